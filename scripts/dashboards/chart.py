"""Lines of a panel as a Vega-Lite specification."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from jobmeter.report.charts import SCHEMA
from jobmeter.report.palette import LIGHT
from scripts.dashboards.asking import Answer, Series, Span
from scripts.dashboards.grafana import CORES, Json

Spec = dict[str, Any]
Points = list[tuple[float, float | None]]

NAMED_COLOURS = {"red": LIGHT.limit, "orange": LIGHT.throttled, "green": LIGHT.io, "text": LIGHT.text}
"""What Grafana calls them, as our pages draw them."""
_COLOURS = ("#1f63b5", "#a8510a", "#0f7268", "#7b3fb0", "#8a6d00", "#b0336d", "#4b6b1f", "#4a5568")
_AXIS_PIXELS = 40
_SECONDS_OF_SECONDS = 200
"""A time that is shorter has seconds at its axis."""


class Line(NamedTuple):
    """One line of a chart, with a number at least."""

    name: str
    colour: str
    is_limit: bool
    series: Series

    @property
    def values(self) -> list[float]:
        """Its numbers."""
        return [value for _, value in self.series.points]

    @property
    def mean(self) -> float:
        """Of its numbers."""
        return sum(self.values) / len(self.values)

    @property
    def highest(self) -> float:
        """Of its numbers."""
        return max(self.values)


def lines_of(answers: Sequence[Answer]) -> list[Line]:
    """A line for each series, named by the legend of its query, red for a limit."""
    found: list[Line] = []
    for answer in answers:
        for series in answer.series:
            if series.points:
                name = _named(answer.legend, series)
                is_limit = name.endswith("limit")
                colour = LIGHT.limit if is_limit else _COLOURS[len(found) % len(_COLOURS)]
                found.append(Line(name, colour, is_limit, series))
    return found


def _named(legend: str, series: Series) -> str:
    return re.sub(r"{{(\w+)}}", lambda match: series.labels.get(match[1], ""), legend).strip()


class _View(NamedTuple):
    """What values are divided by, what the axis says of them (None: percent), how far it reaches, and the time."""

    factor: float
    unit: str | None
    top: float
    span: Span


def specification(panel: Json, lines: Sequence[Line], span: Span, width: float, height: float) -> Spec:
    """The chart without a legend, its thresholds as lines across."""
    defaults = panel["fieldConfig"]["defaults"]
    highest = max((line.highest for line in lines), default=1.0)
    factor, unit = _axis(defaults["unit"], highest)
    view = _View(factor, unit, max(highest, defaults["custom"].get("axisSoftMax", 0.0)) / factor, span)
    steps = [step for step in defaults["thresholds"]["steps"] if step["value"] is not None]
    reached = [step for step in steps if step["value"] / factor <= view.top]
    stacked = defaults["custom"]["stacking"]["mode"] == "normal"
    faint = dict.fromkeys(("labelColor", "titleColor"), LIGHT.faint)
    grid = dict.fromkeys(("gridColor", "domainColor", "tickColor"), LIGHT.grid)
    axis = {"minExtent": _AXIS_PIXELS, "titleFontWeight": "normal", **faint, **grid}
    return {
        "$schema": SCHEMA,
        "width": width,
        "height": height,
        "padding": 0,
        "layer": [
            *([_areas(lines, view), _limits(lines, view)] if stacked else [_curves(lines, view)]),
            *(_threshold(step["value"] / factor, NAMED_COLOURS[step["color"]]) for step in reached),
        ],
        "config": {"view": {"stroke": None}, "font": "sans-serif", "axis": axis},
    }


def _curves(lines: Sequence[Line], view: _View) -> Spec:
    rows = _rows(lines, [_with_gaps(line.series, view.span) for line in lines], view)
    encoding = _encoding(lines, view)
    encoding["y"]["scale"]["domainMax"] = view.top * 1.02
    encoding["strokeDash"] = {"condition": {"test": "datum.limit", "value": [6, 4]}, "value": [1, 0]}
    return {"mark": {"type": "line", "strokeWidth": 1.5}, "encoding": encoding, "data": {"values": rows}}


def _limits(lines: Sequence[Line], view: _View) -> Spec:
    """Lines across what is stacked, as Grafana draws them by their override."""
    rows = _rows(lines, [_with_gaps(line.series, view.span) for line in lines], view)
    mark = {"type": "line", "strokeWidth": 1.5, "strokeDash": [6, 4]}
    return {
        "mark": mark,
        "encoding": _encoding(lines, view),
        "data": {"values": [one for one in rows if one["limit"]]},
    }


def _areas(lines: Sequence[Line], view: _View) -> Spec:
    every = _rows(lines, [_everywhere(line.series, view.span) for line in lines], view)
    rows = [one for one in every if not one["limit"]]
    encoding = _encoding(lines, view)
    encoding["y"]["stack"] = "zero"
    return {"mark": {"type": "area", "opacity": 0.6}, "encoding": encoding, "data": {"values": rows}}


def _rows(lines: Sequence[Line], courses: Sequence[Points], view: _View) -> list[Spec]:
    return [
        {
            "t": round(moment * 1000),
            "v": None if value is None else value / view.factor,
            "line": str(index),
            "limit": line.is_limit,
        }
        for index, (line, points) in enumerate(zip(lines, courses, strict=True))
        for moment, value in points
    ]


def _encoding(lines: Sequence[Line], view: _View) -> Spec:
    span = view.span
    clock = "%H:%M" if span.end - span.start > _SECONDS_OF_SECONDS else "%H:%M:%S"
    numbers = {"tickCount": 5, **({} if view.unit is not None else {"format": ".0%"})}
    return {
        "x": {
            "field": "t",
            "type": "temporal",
            "title": None,
            "axis": {"format": clock, "grid": False, "tickCount": 6},
            "scale": {"domain": [span.start * 1000, span.end * 1000]},
        },
        "y": {
            "field": "v",
            "type": "quantitative",
            "title": view.unit,
            "axis": numbers,
            "scale": {"domainMin": 0, "nice": True},
            "stack": None,
        },
        "color": {
            "field": "line",
            "legend": None,
            "scale": {
                "domain": [str(index) for index in range(len(lines))],
                "range": [line.colour for line in lines],
            },
        },
    }


def _threshold(value: float, colour: str) -> Spec:
    mark = {"type": "rule", "strokeDash": [2, 3], "color": colour}
    return {"mark": mark, "encoding": {"y": {"datum": value}}, "data": {"values": [{}]}}


def _everywhere(series: Series, span: Span) -> Points:
    """A value at every moment of the span, 0 where there is none: what is stacked cannot have gaps."""
    known = {round((moment - span.start) / span.step): value for moment, value in series.points}
    return [(span.start + number * span.step, known.get(number, 0.0)) for number in range(span.steps)]


def _with_gaps(series: Series, span: Span) -> Points:
    """The points, and an empty one wherever some are missing."""
    found: Points = []
    for moment, value in series.points:
        if found and moment - found[-1][0] > 1.5 * span.step:
            found.append((found[-1][0] + span.step, None))
        found.append((moment, value))
    return found


def _axis(unit: str, highest: float) -> tuple[float, str | None]:
    """What values are divided by, and what the axis says; None for a percentage."""
    if unit == "percentunit":
        return 1.0, None
    if unit in ("bytes", "binBps"):
        per = "/s" if unit == "binBps" else ""
        for factor, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
            if highest >= factor:
                return factor, name + per
        return 1.0, "B" + per
    return 1.0, {CORES: "cores", "s": "seconds"}.get(unit, "")
