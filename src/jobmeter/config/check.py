"""The options of `jobmeter check`, and the file of budgets."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Literal, get_args

from msgspec import Struct

from jobmeter.config.file import read_toml
from jobmeter.config.options import Option, columns, parse, secret, secret_file, web_address
from jobmeter.model.budgets.limits import Budget, parse_budget
from jobmeter.model.budgets.measures import BY_KEY, MEASURES, Measure
from jobmeter.model.budgets.plan import DEFAULT_RUNS, MOST_RUNS, Budgets, Plan, Rule
from jobmeter.model.errors import UsageError
from jobmeter.model.history.levels import LEAST_RUNS

Annotations = Literal["auto", "github", "none"]

DEFAULT_FILE = ".jobmeter.toml"
_MAX_BUDGETS = 8
_GENERAL = ("base", "runs", "fail", "fail_on_unknown", "default", "job")
_PATTERNS = ("job", "workflow", "matrix", "fail")

CHECK_OPTIONS = (
    Option("budgets", "JOBMETER_BUDGETS", "the file of budgets", metavar="FILE", default=DEFAULT_FILE),
    Option(
        "run",
        "JOBMETER_RUN",
        "the run_uid of a journal that holds several",
        metavar="UID",
        default="the last one",
    ),
    Option("report-only", "JOBMETER_REPORT_ONLY", "say what is exceeded, and do not fail for it", None),
    Option(
        "base",
        "JOBMETER_BASE",
        "the branch that limits such as '+10 %' are about",
        metavar="BRANCH",
        default="the file's, else the target of the pull request",
    ),
    Option(
        "receiver",
        "JOBMETER_RECEIVER",
        "ask the receiver at this address for the runs of that branch",
        web_address,
        "URL",
    ),
    Option(
        "read-token",
        "JOBMETER_READ_TOKEN",
        "what the receiver asks for; as a flag every process of the machine can see it",
        secret,
        "TOKEN",
    ),
    Option("read-token-file", "JOBMETER_READ_TOKEN_FILE", "the file it is in", secret_file, "FILE"),
    Option(
        "markdown",
        "JOBMETER_MARKDOWN",
        "append the table as Markdown",
        metavar="FILE",
        default="$GITHUB_STEP_SUMMARY",
    ),
    Option("junit", "JOBMETER_JUNIT", "write a JUnit report, a test case a budget", metavar="FILE"),
    Option("code-quality", "JOBMETER_CODE_QUALITY", "write a Code Quality report for GitLab", metavar="FILE"),
    Option(
        "annotations",
        "JOBMETER_ANNOTATIONS",
        "whose log commands annotate the code; auto is github where $GITHUB_ACTIONS is true",
        metavar="FORM",
        choices=get_args(Annotations),
        default="auto",
    ),
    Option(
        "width",
        "JOBMETER_WIDTH",
        "columns of the table, from 40; it uses up to 160",
        columns,
        "N",
        default="the terminal's, else $COLUMNS, else 80",
    ),
)


class CheckSettings(Struct, frozen=True, kw_only=True):
    """Settings of `jobmeter check`; ``file`` is None for the newest run's journal."""

    problems: tuple[str, ...] = ()
    file: str | None = None
    budgets: str = DEFAULT_FILE
    run: str | None = None
    report_only: bool = False
    base: str | None = None
    receiver: str | None = None
    read_token: str | None = None
    markdown: str | None = None
    junit: str | None = None
    code_quality: str | None = None
    annotations: Annotations = "auto"
    width: int | None = None


def check_settings(argv: Sequence[str], environ: Mapping[str, str]) -> CheckSettings:
    """Settings of `check`."""
    invocation = parse(CHECK_OPTIONS, argv, environ, stop_at_first=False)
    invocation.merge_file("read_token")
    values, rest, problems, _ = invocation
    if len(rest) > 1:
        raise UsageError(
            "check takes one journal or summary (- is stdin; without one the newest run's): "
            "jobmeter check [options] [FILE]"
        )
    if values.get("base") == "":
        raise UsageError("--base: '' is no branch; accepted is a name as main, or a ref as refs/heads/main")
    return CheckSettings(file=rest[0] if rest else None, problems=tuple(problems), **values)


def read_plan(path: str) -> Plan:
    """The budgets of a TOML file. Raises UsageError with the place in the file and what is accepted there."""
    top = read_toml(path)
    _only(top, ("check",), f"{path}: ")
    check = _table(top.get("check", {}), f"{path}: check")
    _only(check, _GENERAL, f"{path}: check.")
    default = _budgets(_table(check.get("default", {}), f"{path}: check.default"), f"{path}: check.default.")
    plan = Plan(
        base=_text(check, "base", None, f"{path}: check."),
        runs=_runs(check.get("runs", DEFAULT_RUNS), f"{path}: check.runs"),
        fail=_switch(check, "fail", f"{path}: check.", default=True),
        fail_on_unknown=_switch(check, "fail_on_unknown", f"{path}: check.", default=False),
        default=default,
        rules=tuple(_rules(check.get("job", []), path)),
    )
    if not any(
        budgets for some in (default, *(rule.budgets for rule in plan.rules)) for budgets in some.values()
    ):
        raise UsageError(
            f"{path}: there is no budget in it; [check.default] and [[check.job]] take "
            f"{', '.join(measure.key for measure in MEASURES)}"
        )
    return plan


def _rules(tables: object, path: str) -> Iterator[Rule]:
    if not isinstance(tables, list):
        raise UsageError(
            f"{path}: check.job is not a list; accepted is [[check.job]], once for each kind of job"
        )
    for number, one in enumerate(tables, 1):
        place = f"{path}: [[check.job]] number {number}, "
        table = _table(one, place.removesuffix(", "))
        if not {"job", "workflow", "matrix"} & set(table):
            raise UsageError(
                f"{place}says no job; accepted are job, workflow and matrix, with patterns as 'build-*'"
            )
        yield Rule(
            job=_text(table, "job", "*", place) or "*",
            workflow=_text(table, "workflow", "*", place) or "*",
            matrix=_matrix(table.get("matrix", {}), f"{place}matrix"),
            budgets=_budgets({key: table[key] for key in table if key not in _PATTERNS}, place, _PATTERNS),
            fail=_switch(table, "fail", place, default=False) if "fail" in table else None,
        )


def _matrix(value: object, place: str) -> dict[str, str]:
    table = _table(value, place)
    for name, pattern in table.items():
        if not isinstance(pattern, str):
            raise UsageError(f"{place}.{name}: {_shown(pattern)} is no text; accepted are patterns as 'arm*'")
    return table


def _budgets(table: Mapping[str, Any], place: str, others: Sequence[str] = ()) -> Budgets:
    """Budgets of a table whose keys are measures; ``others`` are the keys that the place takes beside them."""
    found: dict[str, tuple[Budget, ...]] = {}
    for key, value in table.items():
        if key not in BY_KEY:
            raise UsageError(f"{place}{_unknown(key, (*BY_KEY, *others))}")
        found[key] = tuple(_limits(BY_KEY[key], value, f"{place}{key}"))
    return found


def _limits(measure: Measure, value: object, place: str) -> Iterator[Budget]:
    if value == "none":
        return
    limits = value if isinstance(value, list) else [value]
    if not 1 <= len(limits) <= _MAX_BUDGETS:
        raise UsageError(f"{place} has {len(limits)} limits; accepted are 1 to {_MAX_BUDGETS}, or 'none'")
    for limit in limits:
        yield _limit(measure, limit, place)


def _limit(measure: Measure, value: object, place: str) -> Budget:
    strict = False
    if isinstance(value, dict):
        _only(value, ("limit", "strict"), f"{place}.")
        strict = _switch(value, "strict", f"{place}.", default=False)
        value = value.get("limit")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UsageError(
            f"{place}: {_shown(value)} is no limit; accepted are a text as '2 GiB' or '+10 %', "
            "{ limit = '+10 %', strict = true }, a list of them, or 'none'"
        )
    try:
        return parse_budget(measure, str(value), strict=strict)
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from None


def _runs(value: object, place: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and LEAST_RUNS <= value <= MOST_RUNS:
        return value
    raise UsageError(
        f"{place}: {_shown(value)} is not accepted; accepted are {LEAST_RUNS} to {MOST_RUNS} runs"
    )


def _text(table: Mapping[str, Any], key: str, default: str | None, place: str) -> str | None:
    value = table.get(key, default)
    if value is None or (isinstance(value, str) and value):
        return value
    raise UsageError(f"{place}{key}: {_shown(value)} is not accepted; accepted is a text that is not empty")


def _switch(table: Mapping[str, Any], key: str, place: str, *, default: bool) -> bool:
    value = table.get(key, default)
    if isinstance(value, bool):
        return value
    raise UsageError(f"{place}{key}: {_shown(value)} is not accepted; accepted are true and false")


def _table(value: object, place: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise UsageError(f"{place}: {_shown(value)} is not accepted; accepted is a table")


def _only(table: Mapping[str, Any], known: Sequence[str], place: str) -> None:
    for key in table:
        if key not in known:
            raise UsageError(f"{place}{_unknown(key, known)}")


def _unknown(key: str, known: Sequence[str]) -> str:
    close = get_close_matches(key.replace("-", "_"), known, 1)
    meant = f"{close[0]!r} is meant?" if close else f"accepted are {', '.join(known)}"
    plain = key.isascii() and key.replace("-", "_").isidentifier()
    return f"{key[:60] if plain else repr(key[:60])}: there is no such key; {meant}"


def _shown(value: object) -> str:
    """A value of a file in a sentence."""
    kinds = {bool: str(value).lower(), dict: "a table", list: "a list", type(None): "nothing"}
    return kinds.get(type(value), repr(value)[:60])
