"""Sizing advice for a terminal: what to request, and why."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from jobmeter.model.quantities import format_bytes, format_cores
from jobmeter.model.sample import ByteLimit, Limit
from jobmeter.model.sizing.answer import Advice, Backtest, Evidence, Outlier
from jobmeter.report.layout import Column, Line, paint, table
from jobmeter.report.text import clean, plural, wrap

TONES = {"unknown": "bad", "learning": "warn", "confident": "good"}
_MAX_OUTLIERS = 5
_GIB_HOUR, _CORE_HOUR = 2**30 * 3600.0, 3600.0


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
            f"{clean(each.container)} took {took(each)} in run {clean(each.run_uid)}, usual is {usual(each)}"
        )
        lines += _wrapped(said, width, "  outlier: ", "warn")
    hidden = len(outliers) - _MAX_OUTLIERS
    return [*lines, [(f"  … and {plural(hidden, 'outlier')} more", "faint")]] if hidden > 0 else lines


def took(outlier: Outlier) -> str:
    """What the run needed, with its unit."""
    return _form(outlier)(outlier.value)


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
        *_wrapped(saved(backtest), width, "  it asks for: "),
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
    """Against what is requested today: so much less, or more."""
    memory, cpu = backtest.saved_memory_byte_seconds, backtest.saved_core_seconds
    parts = [
        _less(memory / _GIB_HOUR, "GiB-hours", "memory") if memory is not None else "",
        _less(cpu / _CORE_HOUR, "core-hours", "CPU") if cpu is not None else "",
    ]
    known = " and ".join(part for part in parts if part)
    return f"{known} than is requested today" if known else "not known, what is requested today was not told"


def _less(value: float, unit: str, resource: str) -> str:
    """``14.3 GiB-hours less memory``."""
    amount = f"{abs(value):,.0f}" if abs(value) >= 100 else f"{abs(value):.3g}"
    return f"{amount} {unit} {'less' if value >= 0 else 'more'} {resource}"


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
