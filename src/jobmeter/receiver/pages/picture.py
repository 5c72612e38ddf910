"""The course of a run as small inline SVG: one picture for CPU and one for memory of each container.

A picture holds shapes alone and is stretched to the width there is; what is to be read stands beside it as text.
"""

from collections.abc import Callable, Sequence
from itertools import groupby

from jobmeter.model.sample import ByteLimit, Limit
from jobmeter.model.summary import ContainerSummary, Summary
from jobmeter.receiver.api.buckets import ContainerCourse, Course, Range
from jobmeter.report.figures import byte_limit, core_limit, cores, duration, finite, size, tree
from jobmeter.report.html_parts import text
from jobmeter.report.text import clean, fit, plural

MAX_CONTAINERS = 6
_HEIGHT = 100
_HEADROOM = 1.08
# A limit further above the peak than this would flatten the curve; it is named, not drawn.
_LIMIT_IN_VIEW = 2.5
_NAME_CELLS = 40


def pictures(summary: Summary, course: Course) -> str:
    """Figures of the containers, the busiest first; nothing where there is no course."""
    if not course.elapsed_seconds:
        return ""
    pairs = _pairs(summary, course)
    found = [_container(track, box, course) for track, box in pairs[:MAX_CONTAINERS]]
    hidden = len(pairs) - MAX_CONTAINERS
    more = f"<p>… and {plural(hidden, 'container')} more.</p>" if hidden > 0 else ""
    return "".join(found) + more


def _pairs(summary: Summary, course: Course) -> list[tuple[ContainerCourse, ContainerSummary | None]]:
    """The tracks in the order of the containers, each with its container; tracks without one come last."""
    waiting: dict[str, list[ContainerCourse]] = {}
    for track in reversed(course.containers):
        waiting.setdefault(track.name, []).append(track)
    found: list[tuple[ContainerCourse, ContainerSummary | None]] = []
    for _, box in tree(summary.containers):
        if waiting.get(box.name):
            found.append((waiting[box.name].pop(), box))
    return [*found, *((track, None) for tracks in waiting.values() for track in reversed(tracks))]


def _container(track: ContainerCourse, box: ContainerSummary | None, course: Course) -> str:
    name = text(fit(clean(track.name), _NAME_CELLS))
    cpu_limit = box.cpu_limit_cores if box else None
    memory_limit = box.memory_limit_bytes if box else None
    panels = [
        _panel("CPU", "cpu", track.cpu_cores, course, cores, cpu_limit, core_limit(cpu_limit), " cores"),
        _panel("Memory", "memory", track.memory_bytes, course, size, memory_limit, byte_limit(memory_limit)),
    ]
    return f'<figure class="card"><figcaption><b>{name}</b></figcaption>{"".join(panels)}</figure>'


def _panel(
    what: str,
    colour: str,
    series: Range,
    course: Course,
    form: Callable[[float | None], str],
    limit: Limit | ByteLimit,
    limit_text: str,
    unit: str = "",
) -> str:
    """One series with its heading and its time axis; nothing where nothing was read."""
    peak = max((value for value in series.max if value is not None), default=None)
    if peak is None:
        return ""
    number = finite(limit)
    drawn = number if number is not None and number <= peak * _LIMIT_IN_VIEW else None
    top = max(peak, drawn or 0.0) * _HEADROOM or 1.0
    said = f", limit {limit_text}" if limit_text and limit_text != "none" else ""
    heading = f"{what}: peak {form(peak)}{unit}{said}"
    shapes = _curve(series, top) + _marks(course)
    if drawn is not None:
        y = _y(drawn, top)
        shapes += f'<path class="limit" d="M0,{y}H{len(series.max)}"/>'
    return (
        f'<div class="plot in-{colour}"><p>{text(heading)}</p>'
        f'<svg role="img" aria-label="{text(heading)}" viewBox="0 0 {len(series.max)} {_HEIGHT}" '
        f'preserveAspectRatio="none">{shapes}</svg>{_axis(course)}</div>'
    )


def _axis(course: Course) -> str:
    end = course.elapsed_seconds[-1]
    ticks = "".join(f"<span>{text(duration(part * end))}</span>" for part in (0.5, 1.0))
    return f'<div class="axis" aria-hidden="true"><span>0</span>{ticks}</div>'


def _marks(course: Course) -> str:
    """An upright line for each mark, which says its name when it is pointed at."""
    lines = []
    for mark in course.marks:
        x = mark.elapsed_seconds / course.resolution_seconds
        if 0 < x < len(course.elapsed_seconds):
            lines.append(
                f'<path class="mark" d="M{x:.2f},0V{_HEIGHT}"><title>{text(fit(mark.name, 80))}</title></path>'
            )
    return "".join(lines)


def _curve(series: Range, top: float) -> str:
    """The mean as a line over an area, and a paler band from the lowest to the highest value."""
    low, mean, high = (_bridged(values) for values in (series.min, series.avg, series.max))
    shapes = []
    for begin, end in _stretches(mean):
        lows, means, highs = (
            [_y(value or 0.0, top) for value in values[begin:end]] for values in (low, mean, high)
        )
        back = _steps(list(reversed(lows)), begin, end, backwards=True)
        shapes.append(f'<path class="band" d="M{begin},{highs[0]}{_steps(highs, begin, end)}L{back}Z"/>')
        line = f"M{begin},{means[0]}{_steps(means, begin, end)}"
        shapes.append(f'<path class="area" d="{line}V{_HEIGHT}H{begin}Z"/><path class="line" d="{line}"/>')
    return "".join(shapes)


def _steps(levels: Sequence[str], begin: int, end: int, *, backwards: bool = False) -> str:
    """Level and upright lines, one level per bucket; repeated levels are one line."""
    pieces: list[str] = []
    place = end if backwards else begin
    for level, repeated in groupby(levels):
        lead = f"{place},{level}" if backwards and not pieces else f"V{level}"
        place += sum(1 for _ in repeated) * (-1 if backwards else 1)
        pieces.append(f"{lead}H{place}")
    return "".join(pieces)


def _stretches(values: Sequence[float | None]) -> list[tuple[int, int]]:
    """Where values stand without a gap, as begin and end."""
    found, place = [], 0
    for known, run in groupby(values, key=lambda value: value is not None):
        upto = place + len(list(run))
        if known:
            found.append((place, upto))
        place = upto
    return found


def _bridged(values: Sequence[float | None]) -> list[float | None]:
    """The values; one that is missing alone, because a tick came late, is that before it."""
    found = list(values)
    for i in range(1, len(values) - 1):
        if values[i] is None and values[i + 1] is not None:
            found[i] = values[i - 1]
    return found


def _y(value: float, top: float) -> str:
    return f"{_HEIGHT * (1 - min(1.0, max(0.0, value / top))):.1f}".removesuffix(".0")
