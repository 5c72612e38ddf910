"""The course of a run as Vega-Lite specifications: CPU, memory, and what held the containers back.

One description serves a page that draws it in the browser and a report that carries it as SVG. Each
chart has one panel per container, below each other on the same time axis.
"""

from msgspec import Struct

from jobmeter.model.quantities import format_percent
from jobmeter.model.summary import ContainerSummary, Summary
from jobmeter.model.timeline import ContainerTrack, Timeline
from jobmeter.report.figures import (
    byte_limit,
    core_limit,
    cores,
    distinct_names,
    finite,
    size,
    tracks,
)
from jobmeter.report.palette import LIGHT, Palette
from jobmeter.report.panels import (
    POINT,
    STRIP,
    Frame,
    Row,
    Spec,
    Values,
    area_panel,
    frame,
    is_in_view,
    join,
    lines_panel,
)
from jobmeter.report.text import clean, fit

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
MAX_PANELS = 6
_MIN_POINTS = 2
_NAME_CELLS = 32
# Less of the time than this is not worth a chart.
_STALL_SHARE = 0.005
_BYTE_UNITS = (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024))


class Sign(Struct, frozen=True):
    """One entry of a legend: what it means, the palette's name of its colour, and its form.

    The form is "" for a line, or "band", "dash", "dots", "thick", and in history "bar", "point", "ring", "plus".
    """

    label: str
    colour: str
    form: str = ""


MARK = Sign("mark", "mark", "dots")
_LIMIT = Sign("limit", "limit", "dash")
_STALLS = {
    "throttled": Sign("throttled by the CPU limit", "throttled"),
    "CPU": Sign("waited for CPU", "cpu"),
    "memory": Sign("waited for memory", "memory"),
    "I/O": Sign("waited for I/O", "io"),
}


class Chart(Struct, frozen=True):
    """A chart: heading, one sentence about what it shows, its legend, its Vega-Lite specification.

    ``question`` is what was asked for it, for who unfolds that.
    """

    key: str
    title: str
    description: str
    legend: tuple[Sign, ...]
    spec: Spec
    question: str = ""

    @property
    def about(self) -> str:
        """What it is for who does not see it."""
        return self.description or self.title


def charts(
    summary: Summary, timeline: Timeline | None, *, width: int = 760, palette: Palette = LIGHT
) -> list[Chart]:
    """The charts of a run, ``width`` pixels wide; none when there is no course to draw."""
    if timeline is None or len(timeline.elapsed_seconds) < _MIN_POINTS:
        return []
    makers = (cpu_chart, memory_chart, stall_chart)
    made = [make(summary, timeline, width=width, palette=palette) for make in makers]
    return [chart for chart in made if chart]


def cpu_chart(
    summary: Summary, timeline: Timeline, *, width: int = 760, palette: Palette = LIGHT
) -> Chart | None:
    """Cores used by each container: the mean of each moment, its peak above it, the limit as a line."""
    view = _frame(summary, timeline, width, palette)
    panels, limits, has_low = [], set(), False
    for name, track, container in _named(summary, timeline):
        mean, peak = _cpu_course(view, track, POINT)
        if all(value is None for value in mean):
            continue
        rows: list[Row] = [
            {"t": end, "low": low, "high": high}
            for end, low, high in zip(view.points(POINT), mean, peak, strict=True)
        ]
        if track.cpu_cores_low:
            has_low = True
            for row, lowest in zip(rows, view.course(track.cpu_cores_low, lowest=True), strict=True):
                row["base"] = lowest
        hints = [_cores_hint(low, high) for low, high in zip(*_cpu_course(view, track, STRIP), strict=True)]
        limit = container.cpu_limit_cores if container else None
        title = _title(name, "cores", core_limit(limit))
        panels.append(area_panel(view, title, rows, hints, palette.cpu, finite(limit)))
        limits |= {_LIMIT} if is_in_view(rows, finite(limit)) else set()
    reach = "from its lowest to its highest value" if has_low else "to its peak"
    about = f"Cores in use over time: the line is the mean of each moment, the paler band reaches {reach}."
    band = Sign("lowest to highest" if has_low else "peak", "cpu", "band")
    signs = [Sign("mean", "cpu"), band, *limits]
    return _chart("cpu", "CPU", about, signs, panels, view)


def memory_chart(
    summary: Summary, timeline: Timeline, *, width: int = 760, palette: Palette = LIGHT
) -> Chart | None:
    """Memory of each container: the highest value of each moment, the limit as a line."""
    view = _frame(summary, timeline, width, palette)
    panels, limits = [], set()
    for name, track, container in _named(summary, timeline):
        values = view.course(track.memory_bytes, highest=True)
        if all(value is None for value in values):
            continue
        unit, factor = _byte_unit(max(value or 0 for value in values))
        rows: list[Row] = [
            {"t": end, "low": None if value is None else value / factor}
            for end, value in zip(view.points(POINT), values, strict=True)
        ]
        strips = view.course(track.memory_bytes, highest=True, pixels=STRIP)
        hints = [size(value) or "not read" for value in strips]
        limit = container.memory_limit_bytes if container else None
        top = finite(limit)
        title = _title(name, unit, byte_limit(limit))
        scaled = None if top is None else top / factor
        panels.append(area_panel(view, title, rows, hints, palette.memory, scaled))
        limits |= {_LIMIT} if is_in_view(rows, scaled) else set()
    about = "Memory in use over time: the highest value of each moment."
    return _chart("memory", "Memory", about, [Sign("highest", "memory"), *limits], panels, view)


def stall_chart(
    summary: Summary, timeline: Timeline, *, width: int = 760, palette: Palette = LIGHT
) -> Chart | None:
    """The share of time in which each container was throttled or waited for CPU, memory or I/O, if it did."""
    view = _frame(summary, timeline, width, palette)
    panels, kinds = [], []
    for name, track, _ in _named(summary, timeline):
        shares = _shares(track)
        if shares:
            panels.append(_stall_panel(view, name, shares))
            kinds += [kind for kind in shares if kind not in kinds]
    about = (
        "Share of time in which the CPU limit throttled a container, "
        "or tasks in it waited for CPU, memory or I/O (pressure)."
    )
    return _chart("stalls", "Held back", about, [_STALLS[kind] for kind in kinds], panels, view)


def stall_colours(palette: Palette) -> dict[str, str]:
    """The colour of each thing that can hold a container back."""
    return {kind: getattr(palette, sign.colour) for kind, sign in _STALLS.items()}


def _stall_panel(view: Frame, name: str, shares: dict[str, Values]) -> Spec:
    rows: list[Row] = [{"t": end} for end in view.points(POINT)]
    hints = [""] * len(view.points(STRIP))
    for kind, values in shares.items():
        for row, value in zip(rows, view.course(values), strict=True):
            row[kind] = value
        for i, share in enumerate(view.course(values, pixels=STRIP)):
            if share:
                hints[i] += f"{', ' if hints[i] else ''}{kind} {format_percent(share)}"
    colours = {kind: colour for kind, colour in stall_colours(view.palette).items() if kind in shares}
    told = [hint or "not held back" for hint in hints]
    return lines_panel(view, _title(name, "share of time", ""), rows, told, colours)


def _shares(track: ContainerTrack) -> dict[str, Values]:
    series = {
        "throttled": track.throttled_ratio,
        "CPU": track.cpu_stall_ratio,
        "memory": track.memory_stall_ratio,
        "I/O": track.io_stall_ratio,
    }
    return {
        kind: values
        for kind, values in series.items()
        if max((value for value in values if value is not None), default=0.0) > _STALL_SHARE
    }


def _cpu_course(view: Frame, track: ContainerTrack, pixels: float) -> tuple[Values, Values]:
    mean = view.course(track.cpu_cores, pixels=pixels)
    peak = view.course(track.cpu_cores_peak, highest=True, pixels=pixels)
    high = [None if a is None or b is None else max(a, b) for a, b in zip(mean, peak, strict=True)]
    return mean, high


def _cores_hint(mean: float | None, peak: float | None) -> str:
    if mean is None:
        return "not read"
    return f"{cores(mean)} cores" + (f", peak {cores(peak)}" if peak is not None else "")


def _frame(summary: Summary, timeline: Timeline, width: int, palette: Palette) -> Frame:
    span = max(summary.duration_seconds, timeline.elapsed_seconds[-1], 1e-3)
    return frame(span, width, palette, timeline.elapsed_seconds, timeline.marks)


def _named(summary: Summary, timeline: Timeline) -> list[tuple[str, ContainerTrack, ContainerSummary | None]]:
    pairs = tracks(summary, timeline)
    names = distinct_names([track for track, _ in pairs])
    return [(name, track, box) for name, (track, box) in zip(names, pairs, strict=True)][:MAX_PANELS]


def _title(name: str, unit: str, limit: str) -> str:
    said = {"": "", "none": ", no limit"}.get(limit, f", limit {limit}")
    return f"{fit(clean(name), _NAME_CELLS)} · {unit}{said}"


def _byte_unit(top: float) -> tuple[str, int]:
    return next(((unit, factor) for unit, factor in _BYTE_UNITS if top >= factor), ("KiB", 1024))


def _chart(
    key: str, title: str, about: str, legend: list[Sign], panels: list[Spec], view: Frame
) -> Chart | None:
    if not panels:
        return None
    signs = (*legend, MARK) if view.marks else tuple(legend)
    spec: Spec = {"$schema": SCHEMA, "description": f"{title}. {about}"}
    return Chart(key, title, about, signs, spec | join(panels, view))
