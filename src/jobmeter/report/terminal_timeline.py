"""The course of a run in a few lines of blocks: CPU and memory of each container, and the marks."""

from collections.abc import Sequence

from jobmeter.model.summary import Summary
from jobmeter.model.timeline import ContainerTrack, Timeline, TimelineMark
from jobmeter.report.figures import cores, distinct_names, duration, size, tracks
from jobmeter.report.layout import Line
from jobmeter.report.sparkline import resample, sparkline
from jobmeter.report.text import cells, clean, fit, pad, plural

_MIN_POINTS = 4
_MAX_TRACKS = 4
_SMALLEST_SCALE_CORES = 0.05


def timeline_lines(summary: Summary, timeline: Timeline | None, width: int) -> list[Line]:
    """A line of marks and two lines per container, scaled alike so that containers can be compared."""
    if timeline is None or len(timeline.elapsed_seconds) < _MIN_POINTS:
        return []
    drawn = [track for track, _ in tracks(summary, timeline) if _has_values(track)]
    shown = drawn[:_MAX_TRACKS]
    labels = _labels(shown)
    label_width = max((cells(label) for label in labels), default=0)
    room = width - label_width - 2 - len("  99.99 cores")
    if not shown or room < 8:
        return []
    span = max(summary.duration_seconds, timeline.elapsed_seconds[-1])
    ruler = f"{_ruler(timeline.marks, span, room)}  {duration(span)}"
    lines: list[Line] = [[(pad("timeline", label_width + 2, left=True), "bold"), (ruler, "faint")]]
    for track, label in zip(shown, _pairs(labels), strict=True):
        lines += _track_lines(track, label, label_width, timeline.elapsed_seconds, span, room, shown)
    if len(drawn) > len(shown):
        lines.append([(f"  … and {plural(len(drawn) - len(shown), 'more container')}", "faint")])
    return lines


def _has_values(track: ContainerTrack) -> bool:
    return any(value is not None for value in (*track.cpu_cores, *track.memory_bytes))


def _labels(shown: Sequence[ContainerTrack]) -> list[str]:
    if len(shown) == 1:
        return ["  CPU", "  memory"]
    if not shown:
        return []
    names = [fit(clean(name), 14) for name in distinct_names(shown)]
    width = max(cells(name) for name in names)
    return [
        f"  {pad(each, width, left=True)} {what}"
        for name in names
        for each, what in ((name, "CPU"), ("", "mem"))
    ]


def _pairs(labels: Sequence[str]) -> list[tuple[str, str]]:
    return list(zip(labels[::2], labels[1::2], strict=True))


def _track_lines(
    track: ContainerTrack,
    labels: tuple[str, str],
    label_width: int,
    ends: Sequence[float],
    span: float,
    room: int,
    shown: Sequence[ContainerTrack],
) -> list[Line]:
    cpu_top, memory_top = _scales(shown)
    lines: list[Line] = []
    if any(value is not None for value in track.cpu_cores):
        blocks = sparkline(resample(ends, track.cpu_cores, room, span), cpu_top)
        peak = f"{cores(max(_top(track.cpu_cores), _top(track.cpu_cores_peak)))} cores"
        lines.append(_chart_line(labels[0], label_width, blocks, peak, "cpu"))
    if any(value is not None for value in track.memory_bytes):
        blocks = sparkline(resample(ends, track.memory_bytes, room, span, highest=True), memory_top)
        lines.append(_chart_line(labels[1], label_width, blocks, size(_top(track.memory_bytes)), "memory"))
    return lines


def _scales(shown: Sequence[ContainerTrack]) -> tuple[float, float]:
    cpu = max((_top(track.cpu_cores) for track in shown), default=0.0)
    return max(cpu, _SMALLEST_SCALE_CORES), max((_top(track.memory_bytes) for track in shown), default=0.0)


def _top(values: Sequence[float | None]) -> float:
    return max((value for value in values if value is not None), default=0.0)


def _chart_line(label: str, label_width: int, blocks: str, peak: str, style: str) -> Line:
    return [(pad(label, label_width + 2, left=True), ""), (blocks, style), (f"  {peak}", "faint")]


def _ruler(marks: Sequence[TimelineMark], span: float, room: int) -> str:
    """The marks at their places; one without room for its name is a stroke, of those in one place the last."""
    if span <= 0:
        return " " * room
    ordered = sorted(marks, key=lambda mark: mark.elapsed_seconds)
    places = [max(0, min(room - 1, int(mark.elapsed_seconds / span * room))) for mark in ordered]
    line = ""
    for i, (mark, place) in enumerate(zip(ordered, places, strict=True)):
        if place < cells(line) or place in places[i + 1 :]:
            continue
        following = next((other for other in places[i + 1 :] if other > place), room + 1)
        label = fit("│" + clean(mark.name), following - place - 1)
        line = pad(line, place, left=True) + (label if cells(label) > 3 or label == "│" + mark.name else "│")
    return pad(line, room, left=True)
