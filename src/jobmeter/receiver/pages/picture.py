"""The course of a run as small inline SVG: one picture for CPU and one for memory of each container.

A picture holds shapes alone and is stretched to the width there is; what is to be read stands beside it as text.
"""

from collections.abc import Sequence
from itertools import groupby, pairwise
from math import floor, isfinite, log
from typing import NamedTuple

from jobmeter.model.sample import ByteLimit, Limit
from jobmeter.model.summary import ContainerSummary, Summary
from jobmeter.receiver.api.buckets import ContainerCourse, Course, Range
from jobmeter.report.figures import (
    SOURCE_WORDS,
    byte_limit,
    core_limit,
    cores,
    duration,
    finite,
    roughly,
    size,
    tree,
)
from jobmeter.report.html_parts import text
from jobmeter.report.text import clean, fit, plural

MAX_CONTAINERS = 6
_HEIGHT = 100
# Above the top of the axis, so that a line at it is seen whole.
_HEADROOM = 2
# A limit further above the peak than this would flatten the curve; it is named, not drawn.
_LIMIT_IN_VIEW = 2.5
_NAME_CELLS = 40
# A mark with less of the width beside it is told its name by pointing at it.
_MARK_SHARE = 0.08
# An axis ends at one of these, times a power of its unit; what is next to nothing does not fill it.
_CORE_STEPS = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
_BYTE_STEPS = (*(step * factor for factor in (1, 10, 100) for step in _CORE_STEPS[:-1]), 1024.0)
_LEAST_CORES, _LEAST_BYTES = 0.1, 1024.0**2


def pictures(summary: Summary, course: Course) -> str:
    """Figures of the containers, the busiest first; nothing where there is no course."""
    if not course.elapsed_seconds or course.elapsed_seconds[-1] <= 0:
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


class _Axis(NamedTuple):
    """The time axis that all pictures share: the borders of the buckets and the marks, in lengths of a bucket."""

    edges: tuple[str, ...]
    marks: tuple[tuple[float, str], ...]
    end_seconds: float
    width: float


class _Quantity(NamedTuple):
    """What a panel shows of a container, and how it is told and drawn."""

    heading: str
    colour: str
    series: Range
    peak: float
    limit: float | None
    top: float
    top_text: str


def _axis_of(course: Course) -> _Axis:
    end, step = course.elapsed_seconds[-1], course.resolution_seconds
    width = end / step
    edges = (*map(str, range(len(course.elapsed_seconds))), f"{width:.6g}")
    marks = [(mark.elapsed_seconds / step, fit(clean(mark.name), _NAME_CELLS)) for mark in course.marks]
    return _Axis(edges, tuple(sorted(mark for mark in marks if 0 < mark[0] < width)), end, width)


def _container(track: ContainerCourse, box: ContainerSummary | None, course: Course) -> str:
    name = text(fit(clean(track.name), _NAME_CELLS))
    axis = _axis_of(course)
    shown = [found for found in (_cpu(track, box), _memory(track, box)) if found]
    panels = "".join(_panel(found, axis) for found in shown)
    has_limit = any(found.limit is not None for found in shown)
    legend = _legend(course.resolution_seconds, has_limit, bool(axis.marks)) if panels else ""
    return f'<figure class="card"><figcaption><b>{name}</b>{legend}</figcaption>{panels}</figure>'


def _legend(step: float, has_limit: bool, has_marks: bool) -> str:
    words = [("", f"mean of each {roughly(step)}"), ("band", "lowest to highest in it")]
    words += [("in-limit dash", "limit")] if has_limit else []
    words += [("in-mark dots", "mark (point at it for its name)")] if has_marks else []
    items = "".join(f'<li><i class="{sign}"></i>{text(word)}</li>' for sign, word in words)
    return f'<ul class="legend" aria-hidden="true">{items}</ul>'


def _cpu(track: ContainerCourse, box: ContainerSummary | None) -> _Quantity | None:
    peak = _highest(track.cpu_cores)
    if peak is None:
        return None
    limit = box.cpu_limit_cores if box else None
    drawn = _in_view(limit, peak)
    top = _round_top(max(peak, drawn or 0.0, _LEAST_CORES), 10.0, _CORE_STEPS)
    heading = f"CPU: peak {cores(peak)} cores{_told_limit(core_limit(limit))}"
    noun = "core" if top == 1 else "cores"
    return _Quantity(heading, "cpu", track.cpu_cores, peak, drawn, top, f"{core_limit(top)} {noun}")


def _memory(track: ContainerCourse, box: ContainerSummary | None) -> _Quantity | None:
    peak = _highest(track.memory_bytes)
    if peak is None:
        return None
    limit = box.memory_limit_bytes if box else None
    drawn = _in_view(limit, peak)
    top = _round_top(max(peak, drawn or 0.0, _LEAST_BYTES), 1024.0, _BYTE_STEPS)
    source = SOURCE_WORDS.get(box.memory_source or "", "") if box else ""
    what = f"Memory, {source}" if source else "Memory"
    # The key figure of the page is the higher of the two, so that both are told here.
    one = box.memory_high_water_bytes if box else None
    other = f" (largest process, at its own peak: {size(one)})" if one is not None and one > peak else ""
    heading = f"{what}: sampled peak {size(peak)}{other}{_told_limit(byte_limit(limit))}"
    return _Quantity(heading, "memory", track.memory_bytes, peak, drawn, top, size(top))


def _highest(series: Range) -> float | None:
    return max((value for value in series.max if value is not None and isfinite(value)), default=None)


def _in_view(limit: Limit | ByteLimit, peak: float) -> float | None:
    number = finite(limit)
    return number if number is not None and number <= peak * _LIMIT_IN_VIEW else None


def _told_limit(limit: str) -> str:
    return f", limit {limit}" if limit and limit != "none" else ""


def _round_top(value: float, base: float, steps: Sequence[float]) -> float:
    """The lowest end of an axis that holds the value, but for a hundredth: a step times a power of the base."""
    unit = base ** floor(log(value, base))
    return next((step * unit for step in steps if step * unit >= 0.99 * value), steps[-1] * unit)


def _panel(shown: _Quantity, axis: _Axis) -> str:
    """One series with its heading and its axes."""
    shapes = _curve(shown.series, shown.top, axis.edges) + _marks(axis)
    if shown.limit is not None:
        shapes += f'<path class="limit" d="M0,{_y(shown.limit, shown.top)}H{axis.edges[-1]}"/>'
    heading = text(shown.heading)
    return (
        f'<div class="plot in-{shown.colour}"><p>{heading}</p>{_mark_names(axis)}'
        f'<div class="scale" aria-hidden="true"><span>{text(shown.top_text)}</span><span>0</span></div>'
        f'<svg role="img" aria-label="{heading}" '
        f'viewBox="0 -{_HEADROOM} {axis.edges[-1]} {_HEIGHT + _HEADROOM}" '
        f'preserveAspectRatio="none">{shapes}</svg>{_times(axis)}</div>'
    )


def _times(axis: _Axis) -> str:
    ticks = "".join(f"<span>{text(duration(part * axis.end_seconds))}</span>" for part in (0.5, 1.0))
    return f'<div class="axis" aria-hidden="true"><span>0</span>{ticks}</div>'


def _marks(axis: _Axis) -> str:
    """An upright line for each mark."""
    return "".join(
        f'<path class="mark" d="M{x:.2f},0V{_HEIGHT}"><title>{text(name)}</title></path>'
        for x, name in axis.marks
    )


def _mark_names(axis: _Axis) -> str:
    """The names of the marks at their lines, each as far as the next line."""
    ends = [*axis.marks, (axis.width, "")]
    named = [
        f'<span style="left:{x / axis.width:.1%};width:{(end - x) / axis.width:.1%}">{text(name)}</span>'
        for (x, name), (end, _) in pairwise(ends)
        if end - x >= _MARK_SHARE * axis.width
    ]
    return f'<div class="names" aria-hidden="true">{"".join(named)}</div>' if named else ""


def _curve(series: Range, top: float, edges: Sequence[str]) -> str:
    """The mean as a line over an area, and a paler band from the lowest to the highest value."""
    low, mean, high = (_bridged(values) for values in (series.min, series.avg, series.max))
    shapes = []
    for begin, end in _stretches(mean):
        lows, means, highs = (
            [_y(value or 0.0, top) for value in values[begin:end]] for values in (low, mean, high)
        )
        there = edges[begin : end + 1]
        back = _steps(lows[::-1], there[::-1])
        band = f"M{there[0]},{highs[0]}{_steps(highs, there)}{back}Z"
        line = f"M{there[0]},{means[0]}{_steps(means, there)}"
        shapes.append(f'<path class="band" d="{band}"/>')
        shapes.append(f'<path class="area" d="{line}V{_HEIGHT}H{there[0]}Z"/><path class="line" d="{line}"/>')
    return "".join(shapes)


def _steps(levels: Sequence[str], edges: Sequence[str]) -> str:
    """Level and upright lines, one level from each edge to the next; repeated levels are one line."""
    pieces: list[str] = []
    place = 0
    for level, repeated in groupby(levels):
        place += sum(1 for _ in repeated)
        pieces.append(f"V{level}H{edges[place]}")
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
    return _decimal(_HEIGHT * (1 - min(1.0, max(0.0, value / top))))


def _decimal(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
