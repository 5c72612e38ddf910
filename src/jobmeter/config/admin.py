"""The tasks of `jobmeter admin`: one row each, with its usage, its options and the settings they make."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple, get_args

from msgspec import Struct

from jobmeter.config.options import Option, age, parse
from jobmeter.config.receiver import RECEIVER_OPTIONS
from jobmeter.model.errors import UsageError

Right = Literal["read", "push", "mint"]
Action = Literal["add", "list", "revoke"]


class BackupSettings(Struct, frozen=True, kw_only=True):
    """Settings of `jobmeter admin backup`."""

    target: str
    db: str = "metrics.db"


class ExportSettings(Struct, frozen=True, kw_only=True):
    """Settings of `jobmeter admin export`."""

    target: str
    db: str = "metrics.db"
    with_tokens: bool = False


class ImportSettings(Struct, frozen=True, kw_only=True):
    """Settings of `jobmeter admin import`."""

    source: str
    db: str = "metrics.db"
    with_tokens: bool = False


class TokenSettings(Struct, frozen=True, kw_only=True):
    """Settings of `jobmeter admin token`; ``expires_in`` in seconds. A list has no name."""

    action: Action
    name: str = ""
    db: str = "metrics.db"
    allow: Right | None = None
    organization: str | None = None
    repository: str | None = None
    workflow: str | None = None
    job: str | None = None
    expires_in: float | None = None


class Task(NamedTuple):
    """One task. ``settings`` makes its settings of the words after its name and of the values of its options."""

    usage: Sequence[str]
    options: tuple[Option, ...]
    settings: "Callable[[Sequence[str], dict[str, Any]], AdminSettings]"


def _backup(words: Sequence[str], values: dict[str, Any]) -> BackupSettings:
    if not words:
        raise UsageError("backup needs the file to copy to")
    if words[1:]:
        raise UsageError(f"backup copies to one file, so {words[1]!r} is not accepted")
    return BackupSettings(target=words[0], **values)


def _export(words: Sequence[str], values: dict[str, Any]) -> ExportSettings:
    return ExportSettings(target=_directory("export", "to", words), **values)


def _import(words: Sequence[str], values: dict[str, Any]) -> ImportSettings:
    return ImportSettings(source=_directory("import", "from", words), **values)


def _directory(task: str, where: str, words: Sequence[str]) -> str:
    if len(words) != 1:
        raise UsageError(f"{task} needs one directory to {task} {where}")
    return words[0]


def _token(words: Sequence[str], values: dict[str, Any]) -> TokenSettings:
    if not words:
        raise UsageError(f"token needs to be told what to do: {', '.join(get_args(Action))}")
    action, *names = words
    match action:
        case "add" | "revoke":
            pass
        case "list":
            if names:
                raise UsageError(f"token list takes no name, so {names[0]!r} is not accepted")
        case _:
            raise UsageError(f"token is told {action!r}; accepted are {', '.join(get_args(Action))}")
    if action != "list" and len(names) != 1:
        raise UsageError(f"token {action} needs the name of one token")
    if action == "add" and "allow" not in values:
        raise UsageError("token add needs --allow: read, push or mint")
    misplaced = sorted(values.keys() - {"db"}) if action != "add" else []
    if misplaced:
        raise UsageError(f"token {action} takes no --{misplaced[0].replace('_', '-')}")
    _check_scope(values)
    return TokenSettings(action=action, name="".join(names), **values)


def _check_scope(values: Mapping[str, Any]) -> None:
    """What is narrower needs what is wider: a workflow is one of a repository."""
    order = ("organization", "repository", "workflow", "job")
    for wider, narrower in pairwise(order):
        if narrower in values and wider not in values:
            raise UsageError(f"--{narrower} needs --{wider} too")


AdminSettings = BackupSettings | ExportSettings | ImportSettings | TokenSettings

_DB = next(option for option in RECEIVER_OPTIONS if option.name == "db")._replace(
    help="the receiver's database, a file or postgresql://…"
)
_WITH_TOKENS = Option("with-tokens", "", "the hashes of tokens that were given out, too", None)
TASKS: dict[str, Task] = {
    "backup": Task(
        ("backup [options] FILE",),
        (_DB,),
        _backup,
    ),
    "export": Task(
        ("export [options] DIRECTORY",),
        (_DB, _WITH_TOKENS),
        _export,
    ),
    "import": Task(
        ("import [options] DIRECTORY",),
        (_DB, _WITH_TOKENS),
        _import,
    ),
    "token": Task(
        ("token add --allow RIGHT [options] NAME", "token list [options]", "token revoke [options] NAME"),
        (
            _DB,
            Option("allow", "", "what a new token is for", metavar="RIGHT", choices=get_args(Right)),
            Option("organization", "", "the only one that a new token is for", metavar="NAME"),
            Option("repository", "", "the only one of it, by its path or name", metavar="NAME"),
            Option("workflow", "", "the only one of it", metavar="NAME"),
            Option("job", "", "the only one of it", metavar="NAME"),
            Option("expires-in", "", "how long a new token is accepted; for ever if not said", age, "AGE"),
        ),
        _token,
    ),
}
ADMIN_USAGE = tuple(f"jobmeter admin {usage}" for task in TASKS.values() for usage in task.usage)
ADMIN_OPTIONS = tuple({option.name: option for task in TASKS.values() for option in task.options}.values())


def _forms(task: Task, name: str, words: Sequence[str]) -> Sequence[str]:
    """The forms of a task that somebody may have meant: the one of the action, if it was told."""
    meant = " ".join((name, *words[:1])) + " "
    return [form for form in task.usage if form.startswith(meant)] or task.usage


def _usage(forms: Sequence[str]) -> str:
    """The end of a sentence about what was mistaken; several forms stand on lines of their own."""
    return (
        f"; usage: {forms[0]}" if len(forms) == 1 else "\n".join(("; usage:", *(f"  {one}" for one in forms)))
    )


def admin_settings(argv: Sequence[str], environ: Mapping[str, str]) -> AdminSettings:
    """Settings of `admin`: their type says the task."""
    values, rest, problems, flags = parse(ADMIN_OPTIONS, argv, environ, stop_at_first=False)
    if problems:
        raise UsageError(problems[0].removesuffix("; it is left out"))
    name, *words = rest or ("",)
    task = TASKS.get(name)
    if task is None:
        told = f"the task {name!r} is not known" if name else "there is no task"
        raise UsageError(f"{told}; accepted are {', '.join(TASKS)}{_usage(ADMIN_USAGE)}")
    own = {option.field: option for option in task.options}
    usage = _usage([f"jobmeter admin {one}" for one in _forms(task, name, words)])
    foreign = sorted(flags - own.keys())
    if foreign:
        raise UsageError(f"--{foreign[0].replace('_', '-')} is not for {name}{usage}")
    try:
        return task.settings(words, {field: value for field, value in values.items() if field in own})
    except UsageError as error:
        raise UsageError(f"{error}{usage}") from None
