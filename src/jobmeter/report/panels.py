"""The building blocks of charts in Vega-Lite: panels on one time axis, with marks, limits and hints."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from jobmeter.model.timeline import TimelineMark
from jobmeter.report.figures import duration
from jobmeter.report.palette import Palette
from jobmeter.report.sparkline import resample
from jobmeter.report.text import clean, fit

Spec = dict[str, Any]
Values = list[float | None]
Row = dict[str, float | None]

# Widths in pixels: of a point of a curve, of a strip that answers the pointer, of a letter of a label.
POINT = 3.5
STRIP = 11.0
_LETTER = 6.2
_TICK = 90
_PANEL_HEIGHT = 96
_SINGLE_PANEL_HEIGHT = 150
_AXIS_WIDTH = 38
_RIGHT_MARGIN = 12
# A limit further above the peak than this would flatten the curve; it is named, not drawn.
_LIMIT_IN_VIEW = 2.5
_STEPS_SECONDS = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30),
    *(60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400),
)
_FONT = "system-ui, sans-serif"
_PLAIN = "format(datum.value, datum.value >= 10 ? ',.0f' : '.3~f')"
_PERCENT = "format(datum.value * 100, '.3~f') + ' %'"
_STEP_LINE = {"type": "line", "interpolate": "step-before", "strokeWidth": 1.4}
_FORMS: dict[str, Spec] = {
    "": {"strokeWidth": 1.4},
    "dash": {"strokeWidth": 1.4, "strokeDash": [6, 3]},
    "dots": {"strokeWidth": 1.6, "strokeDash": [1.5, 2.5]},
    "thick": {"strokeWidth": 3, "opacity": 0.8},
}
_STEP_AREA = {"type": "area", "interpolate": "step-before"}


class Frame(Struct, frozen=True):
    """What the panels of one chart share: the run's length, a width for the plot, colours and marks."""

    span: float
    width: int
    palette: Palette
    ends: list[float]
    marks: list[TimelineMark]

    def points(self, pixels: float) -> list[float]:
        """The ends of equal parts of that width; the points themselves where they are fewer."""
        parts = max(8, int(self.width / pixels))
        if len(self.ends) <= parts:
            return self.ends
        return [self.span * (i + 1) / parts for i in range(parts)]

    def course(
        self,
        values: Sequence[float | None],
        *,
        highest: bool = False,
        lowest: bool = False,
        pixels: float = POINT,
    ) -> Values:
        """A series in these parts: the mean of each, or its highest or lowest value."""
        parts = self.points(pixels)
        if parts is self.ends:
            return [*values[: len(parts)], *[None] * (len(parts) - len(values))]
        if lowest:
            below = [None if value is None else -value for value in values]
            found = resample(self.ends, below, len(parts), self.span, highest=True)
            return [None if value is None else -value for value in found]
        return resample(self.ends, values, len(parts), self.span, highest=highest)


class Curve(Struct, frozen=True):
    """A line through points: seconds since the begin, by rising time, and a value or None for a gap."""

    points: list[tuple[float, float | None]]
    colour: str
    form: str = ""
    """As of the signs of a legend: "" for a line, or "dash", "dots", "thick"."""


def frame(span: float, width: int, palette: Palette, ends: list[float], marks: list[TimelineMark]) -> Frame:
    """A frame whose chart is ``width`` pixels wide with its axis."""
    ordered = sorted(marks, key=lambda mark: mark.elapsed_seconds)
    return Frame(span, max(80, width - _AXIS_WIDTH - _RIGHT_MARGIN), palette, ends, ordered)


def area_panel(
    frame: Frame, title: str, rows: list[Row], hints: list[str], colour: str, limit: float | None
) -> Spec:
    """An area up to ``low``, a paler one to ``high`` where rows have it, from ``base`` or there, and the limit."""
    top, drawn = _top(rows), limit if is_in_view(rows, limit) else None
    x, y = _time(frame), _quantity("low", max(top, drawn or 0.0), _PLAIN)
    layers: list[Spec] = [
        {"mark": _STEP_AREA | {"color": colour, "opacity": 0.35}, "encoding": {"x": x, "y": y}},
        {"mark": _STEP_LINE | {"color": colour}, "encoding": {"x": x, "y": y}},
    ]
    if any(row.get("high") is not None for row in rows):
        has_base = any(row.get("base") is not None for row in rows)
        band = {"x": x, "y": y | {"field": "base"} if has_base else y, "y2": {"field": "high"}}
        layers.insert(0, {"mark": _STEP_AREA | {"color": colour, "opacity": 0.18}, "encoding": band})
    if drawn is not None:
        layers.append(_limit_rule(frame, drawn))
    return _panel(frame, title, rows, hints, layers)


def _with_starts(rows: list[Row]) -> list[Row]:
    """A row more where a curve begins: a value stands for the time up to its row, so it starts at the one before."""
    found: list[Row] = []
    before: Row = {"t": 0.0}
    for row in rows:
        begun: Row = {
            key: value
            for key, value in row.items()
            if value is not None and before.get(key) is None and key != "t"
        }
        if begun and (row["t"] or 0.0) > (before["t"] or 0.0):
            found.append(before | begun)
        found.append(row)
        before = row
    return found


def is_in_view(rows: list[Row], limit: float | None) -> bool:
    """Whether a limit is near enough to the curve to be drawn beside it."""
    return limit is not None and limit <= _top(rows) * _LIMIT_IN_VIEW


def _top(rows: list[Row]) -> float:
    values = [value for row in rows for key, value in row.items() if key != "t" and value is not None]
    return max(values, default=0.0)


def lines_panel(frame: Frame, title: str, rows: list[Row], hints: list[str], colours: dict[str, str]) -> Spec:
    """Shares of time as lines, one for each field that has a colour."""
    top = max((row.get(field) or 0.0 for row in rows for field in colours), default=0.0)
    x = _time(frame)
    layers: list[Spec] = [
        {
            "mark": _STEP_LINE | {"color": colour},
            "encoding": {"x": x, "y": _quantity(field, max(top, 0.1), _PERCENT)},
        }
        for field, colour in colours.items()
    ]
    return _panel(frame, title, rows, hints, layers)


def curves_panel(frame: Frame, title: str, curves: Sequence[Curve], hints: list[str], label: str) -> Spec:
    """Values of moments as lines from one to the next; the expression ``label`` writes the numbers of the axis."""
    values = [value for curve in curves for _, value in curve.points if value is not None]
    low, high = min([0.0, *values]), max([0.0, *values])
    room = 0.06 * (high - low)
    scale = {"domain": [low - room if low < 0 else 0, high + room if high > low else 1]}
    axis = {"title": None, "tickCount": 4, "labelExpr": label}
    x, y = _time(frame), _field("v") | {"scale": scale, "axis": axis}
    layers = [layer for curve in curves for layer in _curve_layers(curve, x, y)]
    titled = {"title": {"text": title}} if title else {}
    return titled | {"layer": [*layers, _strips(frame, hints)]}


def _curve_layers(curve: Curve, x: Spec, y: Spec) -> list[Spec]:
    """The line, and a dot where a value stands alone."""
    rows = [_rounded({"t": time, "v": value}) for time, value in curve.points]
    missing = [True, *(row["v"] is None for row in rows), True]
    alone = [row for i, row in enumerate(rows) if missing[i] and not missing[i + 1] and missing[i + 2]]
    line = {"type": "line", "color": curve.colour, **_FORMS[curve.form]}
    layers: list[Spec] = [{"data": {"values": rows}, "mark": line, "encoding": {"x": x, "y": y}}]
    if alone:
        dot = {"type": "point", "color": curve.colour, "filled": True, "size": 16, "opacity": 1}
        layers.append({"data": {"values": alone}, "mark": dot, "encoding": {"x": x, "y": y}})
    return layers


def join(panels: list[Spec], frame: Frame) -> Spec:
    """Panels below each other; the first one names the marks, the last one the times."""
    height = _SINGLE_PANEL_HEIGHT if len(panels) == 1 else _PANEL_HEIGHT
    for panel in panels:
        panel |= {"width": frame.width, "height": height}
    for panel in panels[:-1]:
        panel["layer"][0]["encoding"]["x"]["axis"]["labels"] = False
    labels = _mark_labels(frame)
    if labels:
        panels[0]["layer"].append(labels)
        panels[0]["title"]["offset"] = 15
    body: Spec = panels[0] if len(panels) == 1 else {"vconcat": panels, "spacing": 12}
    return body | {"config": config(frame.palette), "padding": 2}


def _panel(frame: Frame, title: str, rows: list[Row], hints: list[str], layers: list[Spec]) -> Spec:
    values = [_rounded(row) for row in _with_starts(rows)]
    if frame.marks:
        layers.append(_mark_rules(frame))
    return {
        "title": {"text": title},
        "data": {"values": values},
        "layer": [*layers, _strips(frame, hints)],
    }


def _rounded(row: Row) -> Row:
    return {key: None if value is None else float(f"{value:.5g}") for key, value in row.items()}


def _field(name: str) -> Spec:
    return {"field": name, "type": "quantitative"}


def _time(frame: Frame) -> Spec:
    return _field("t") | {"scale": {"domain": [0, frame.span], "nice": False}, "axis": _time_axis(frame)}


def _quantity(field: str, top: float, label: str) -> Spec:
    scale = {"domain": [0, max(top, 1e-6) * 1.06]}
    return _field(field) | {"scale": scale, "axis": {"title": None, "tickCount": 4, "labelExpr": label}}


def _time_axis(frame: Frame) -> Spec:
    """Ticks at round times, so many that their labels have room."""
    wanted = max(2, frame.width // _TICK)
    longest = _STEPS_SECONDS[-1] * -(-frame.span // (_STEPS_SECONDS[-1] * wanted))
    step = next((each for each in _STEPS_SECONDS if frame.span / each <= wanted), longest)
    ticks = [round(step * i, 6) for i in range(int(frame.span / step) + 1)]
    unit, divisor = ("s", 1) if step < 60 else ("min", 60) if step < 3600 else ("h", 3600)
    label = f"datum.value == 0 ? '0' : format(datum.value / {divisor}, '~g') + ' {unit}'"
    return {"title": None, "values": ticks, "labelExpr": label}


def _limit_rule(frame: Frame, limit: float) -> Spec:
    rule = {"type": "rule", "color": frame.palette.limit, "strokeWidth": 1.3, "strokeDash": [5, 3]}
    return {"data": {"values": [{"limit": limit}]}, "mark": rule, "encoding": {"y": _field("limit")}}


def _mark_rules(frame: Frame) -> Spec:
    values = [{"t": min(mark.elapsed_seconds, frame.span)} for mark in frame.marks]
    rule = {"type": "rule", "color": frame.palette.mark, "strokeWidth": 1, "strokeDash": [1, 2]}
    return {"data": {"values": values}, "mark": rule, "encoding": {"x": _field("t")}}


def _mark_labels(frame: Frame) -> Spec | None:
    """The names of the marks above the panel, as far as they have room beside each other."""
    values: list[Spec] = []
    ends = [*(mark.elapsed_seconds for mark in frame.marks[1:]), frame.span * 1.03]
    for mark, end in zip(frame.marks, ends, strict=False):
        letters = int((end - mark.elapsed_seconds) / frame.span * frame.width / _LETTER) - 1
        name = clean(mark.name)
        if letters >= min(4, len(name)):
            values.append({"t": min(mark.elapsed_seconds, frame.span), "name": fit(name, letters)})
    text = {"type": "text", "align": "left", "baseline": "bottom", "dx": -1, "fontSize": 11}
    encoding = {"x": _field("t"), "y": {"value": -4}, "text": {"field": "name"}}
    mark_text = text | {"color": frame.palette.mark}
    return {"data": {"values": values}, "mark": mark_text, "encoding": encoding} if values else None


def _strips(frame: Frame, hints: Sequence[str]) -> Spec:
    """Unseen strips over the panel that say the numbers of their moment when pointed at."""
    ends = frame.points(STRIP)
    values = [
        {"t": begin, "t2": end, "hint": f"{duration(end)}: {hint}"}
        for begin, end, hint in zip([0.0, *ends[:-1]], ends, hints, strict=True)
    ]
    hint = {"field": "hint", "type": "nominal"}
    encoding = {"x": _field("t"), "x2": {"field": "t2"}, "tooltip": hint, "description": hint}
    mark = {"type": "rect", "color": frame.palette.text, "fillOpacity": 0}
    return {"data": {"values": values}, "mark": mark, "encoding": encoding}


def config(palette: Palette) -> Spec:
    """What all charts look like."""
    return {
        "background": None,
        "font": _FONT,
        "view": {"stroke": None},
        "axis": {
            "labelColor": palette.faint,
            "labelFontSize": 11,
            "labelPadding": 6,
            "gridColor": palette.grid,
            "domain": False,
            "ticks": False,
        },
        "axisX": {"grid": False, "ticks": True, "tickColor": palette.faint, "tickSize": 4},
        "axisY": {"minExtent": _AXIS_WIDTH, "maxExtent": _AXIS_WIDTH},
        "title": {
            "anchor": "start",
            "frame": "group",
            "color": palette.text,
            "fontSize": 12,
            "fontWeight": 600,
        },
    }
