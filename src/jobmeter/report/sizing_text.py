"""Sizing advice for a terminal: what to request, and why."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from jobmeter.model.quantities import format_bytes, format_cores
from jobmeter.model.sample import ByteLimit, Limit
from jobmeter.model.sizing.answer import Advice, Backtest, Evidence, Outlier
from jobmeter.report.figures import moment
from jobmeter.report.history_words import short_ref
from jobmeter.report.layout import Column, Line, paint, table
from jobmeter.report.text import clean, plural, wrap

TONES = {"unknown": "bad", "learning": "warn", "confident": "good"}
_MAX_OUTLIERS = 5
_Units = tuple[tuple[str, float, float], ...]
# The name of a unit, what it is in bytes or cores by seconds, and from how many of it on it is used.
_MEMORY_UNITS: _Units = (
    ("GiB-hours", 2**30 * 3600.0, 0.1),
    ("MiB-hours", 2**20 * 3600.0, 1.0),
    ("MiB-seconds", 2**20, 0.0),
)
_CPU_UNITS: _Units = (("core-hours", 3600.0, 0.1), ("core-seconds", 1.0, 0.0))


def render_sizing(advice: Advice, title: str = "", *, width: int = 80, colour: bool = False) -> str:
    """The advice in lines of at most ``width`` cells; ``title`` says of which job."""
    blocks = [_opening(advice, title, width), _containers(advice, width), _notes(advice, width)]
    blocks += [_outliers(advice.meta.outliers, width), _backtest(advice.backtest, width)]
    lines: list[Line] = []
    for block in blocks:
        if block:
            lines += [[], *block] if lines else block
    return paint(lines, width, colour=colour)


def _opening(advice: Advice, title: str, width: int) -> list[Line]:
    meta = advice.meta
    lines = _wrapped(
        f"request {wanted(advice)} ({meta.confidence_phase})", width, "sizing: ", TONES[meta.confidence_phase]
    )
    lines += [[(f"  {clean(title)}", "faint")]] if title else []
    lines += _wrapped(meta.reason, width, "  why: ")
    how = rule(advice)
    return [*lines, *_wrapped(how, width, "  how: ")] if how else lines


def wanted(advice: Advice) -> str:
    """``1.2 GiB and 1.5 cores``: what the whole job should request, at least where some memory was not read."""
    total = advice.total
    known = [each for each in (_size(total.memory.request_bytes), _cores_of(total.cpu.request_cores)) if each]
    unread = any(each.memory_unread_runs for each in advice.evidence if each.in_total)
    least = "at least " if unread and total.memory.request_bytes is not None else ""
    return least + " and ".join(known) if known else "nothing is known"


def rule(advice: Advice) -> str:
    """How the requests are made of what was observed; empty where a receiver of before does not tell."""
    parts = (
        *_by_rule("memory", [(each.memory_rule, each.name) for each in advice.evidence]),
        *_by_rule("CPU", [(each.cpu_rule, each.name) for each in advice.evidence]),
    )
    return "; ".join(parts)


def _by_rule(resource: str, rules: Iterable[tuple[str, str]]) -> Iterator[str]:
    """``memory of build, web: the highest need …``; without names where one rule is that of all."""
    names: dict[str, list[str]] = {}
    for rule, name in rules:
        if rule:
            names.setdefault(rule, []).append(clean(name))
    for rule, of in names.items():
        yield f"{resource} of {', '.join(of)}: {rule}" if len(names) > 1 else f"{resource}: {rule}"


def _containers(advice: Advice, width: int) -> list[Line]:
    names = [(each.name, "") for each in advice.containers]
    return [
        *table("memory", names, memory_columns(advice), width),
        *table("CPU cores", names, cpu_columns(advice), width),
    ]


def memory_columns(advice: Advice) -> list[Column]:
    """Of each container: what to request, and what that rests on."""
    memory, known = [each.memory for each in advice.containers], advice.evidence
    today = [_today(each.memory_request_bytes, each.memory_limit_bytes, _size) for each in known]
    return [
        Column("request", [_size(each.request_bytes) for each in memory], style="bold"),
        Column("limit", [_size(each.limit_bytes) for each in memory]),
        Column("need", [_size(each.memory_need_bytes) for each in known]),
        Column("charged", [_size(each.memory_charged_peak_bytes) for each in known], rank=2),
        Column("today", today, rank=1),
    ]


def cpu_columns(advice: Advice) -> list[Column]:
    """The same of CPU."""
    cpu, known = [each.cpu for each in advice.containers], advice.evidence
    today = [_today(each.cpu_request_cores, each.cpu_limit_cores, _cores) for each in known]
    chosen, peaks = ([each.cpu_cores for each in known], [each.cpu_peak_cores for each in known])
    return [
        Column("request", [_cores(each.request_cores) for each in cpu], style="bold"),
        Column("limit", [_cores(each.limit_cores) for each in cpu]),
        Column(advice.meta.cpu_percentile, [_cores(each) for each in chosen]),
        Column("peak", [_cores(each) for each in peaks], rank=2),
        Column("today", today, rank=1),
    ]


def _today(request: float | None, limit: Limit | ByteLimit, form: Callable[[float | None], str]) -> str:
    """What was requested, or the limit where that is all there is."""
    if request is not None:
        return form(request)
    return "unlimited" if isinstance(limit, str) else form(limit)


def _notes(advice: Advice, width: int) -> list[Line]:
    lines: list[Line] = []
    for each in advice.evidence:
        for note in (clean_runs(each), *each.notes):
            lines += _wrapped(note, width, f"  {clean(each.name)}: ")
    return lines


def clean_runs(evidence: Evidence) -> str:
    """``19 of 20 runs clean, half needed up to 812 MiB``."""
    said = f"{evidence.clean_runs} of {plural(evidence.runs, 'run')} clean"
    if evidence.memory_need_median_bytes is None or evidence.runs < 2:
        return said
    return f"{said}, half needed up to {format_bytes(evidence.memory_need_median_bytes)}"


def _outliers(outliers: Sequence[Outlier], width: int) -> list[Line]:
    lines: list[Line] = []
    for each in outliers[:_MAX_OUTLIERS]:
        said = (
            f"{clean(each.container)} took {took(each)} in run {clean(each.run_uid)}{whose(each)}, "
            f"usual is {usual(each)}"
        )
        lines += _wrapped(said, width, "  outlier: ", "warn")
    hidden = len(outliers) - _MAX_OUTLIERS
    return [*lines, [(f"  … and {plural(hidden, 'outlier')} more", "faint")]] if hidden > 0 else lines


def took(outlier: Outlier) -> str:
    """What the run needed, with its unit."""
    return _form(outlier)(outlier.value)


def whose(outlier: Outlier) -> str:
    """`` of main, 2026-11-21 12:03:00 UTC``, to follow the run; empty where neither branch nor time is known."""
    branch = f" of {short_ref(outlier.ref)}" if outlier.ref else ""
    return branch + (f", {moment(clean(outlier.end_time))}" if outlier.end_time else "")


def usual(outlier: Outlier) -> str:
    """What half of the runs did not exceed, with its unit."""
    return _form(outlier)(outlier.median)


def _form(outlier: Outlier) -> Callable[[float], str]:
    return format_bytes if outlier.resource == "memory" else _cores_of


def _backtest(backtest: Backtest | None, width: int) -> list[Line]:
    if backtest is None:
        return []
    if not backtest.runs:
        return _wrapped(judged(backtest), width, "backtest: ")
    style = "warn" if backtest.would_be_killed else ""
    return [
        *_wrapped(judged(backtest), width, "backtest: ", style),
        *_wrapped(saved(backtest), width, "  in sum: "),
    ]


def judged(backtest: Backtest) -> str:
    """How the advice would have done."""
    if not backtest.runs:
        return "no run has a clean run before it by which it could be judged"
    return (
        f"of {plural(backtest.runs, 'run')}, each judged by the advice of those before it, "
        f"{backtest.would_be_killed:,} would have been killed and {backtest.would_be_throttled:,} throttled"
    )


def saved(backtest: Backtest) -> str:
    """What the advice of each run's time comes to against what is requested today: so much less, or more.

    Not of the advice of now: while few runs were known it was higher.
    """
    memory, cpu = backtest.saved_memory_byte_seconds, backtest.saved_core_seconds
    parts = [
        _less(memory, _MEMORY_UNITS, "memory") if memory is not None else "",
        _less(cpu, _CPU_UNITS, "CPU") if cpu is not None else "",
    ]
    known = " and ".join(part for part in parts if part)
    if not known:
        return "not known whether it asks for less, what is requested today was not told"
    runs = "this run" if backtest.runs == 1 else f"these {backtest.runs:,} runs"
    return f"over {runs} the advice of their time asked for {known} than is requested today"


def _less(value: float, units: _Units, resource: str) -> str:
    """``14.3 GiB-hours less memory``, in the largest unit of which it is enough."""
    unit, size = next((name, size) for name, size, least in units if abs(value) >= least * size)
    amount = abs(value) / size
    shown = f"{amount:,.0f}" if amount >= 100 else f"{amount:.3g}"
    return f"{shown} {unit} {'less' if value >= 0 else 'more'} {resource}"


def _wrapped(text: str, width: int, first: str, style: str = "") -> list[Line]:
    return [
        [(line, style)] for line in wrap(clean(text), width, first=first, indent=" " * min(len(first), 12))
    ]


def _size(size_bytes: float | None) -> str:
    return "" if size_bytes is None else format_bytes(size_bytes)


def _cores(cores: float | None) -> str:
    return "" if cores is None else format_cores(cores)


def _cores_of(cores: float | None) -> str:
    return "" if cores is None else f"{format_cores(cores)} {'core' if cores == 1 else 'cores'}"
