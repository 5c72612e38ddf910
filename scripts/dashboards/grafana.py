"""Panels, variables and dashboards as Grafana's JSON (its classic dashboard model, schema version 41).

What all panels of ours share is said here once: the data source comes from a variable, nothing is drawn over a gap,
a series named `limit` is a red dashed line, and rows are filled from left to right.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

Json = dict[str, Any]
Steps = Sequence[tuple[float, str]]
"""From which value on which colour; below the first it is green."""

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
SCHEMA_VERSION = 41
GRID_WIDTH = 24
CORES = "suffix: cores"


class Query(NamedTuple):
    """PromQL, and what its series are called: text with `{{label}}`."""

    expr: str
    legend: str = ""


class Column(NamedTuple):
    """A column of numbers in a table: its heading, its query (one value per row), its unit."""

    heading: str
    expr: str
    unit: str
    steps: Steps = ()


class Variable(NamedTuple):
    """A choice at the top of a dashboard, from the values that a label has in a series.

    ``newest_first`` is for numbers that grow.
    """

    name: str
    heading: str
    series: str
    label: str
    multi: bool = True
    newest_first: bool = False


def series(
    title: str,
    text: str,
    *queries: Query,
    unit: str,
    width: int = 12,
    height: int = 8,
    stacked: bool = False,
    top: float | None = None,
    steps: Steps = (),
) -> Json:
    """Lines over time; `steps` are drawn as lines across, `top` is the least the axis reaches to."""
    custom: Json = {
        "drawStyle": "line",
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "fillOpacity": 30 if stacked else 8,
        "gradientMode": "none",
        "showPoints": "auto",
        "pointSize": 4,
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if steps else "off"},
    }
    if top is not None:
        custom["axisSoftMax"] = top
    defaults = {
        "unit": unit,
        "min": 0,
        "color": {"mode": "palette-classic"},
        "thresholds": _thresholds(steps, "transparent"),
        "custom": custom,
    }
    options = {
        "legend": {
            "showLegend": True,
            "displayMode": "table",
            "placement": "bottom",
            "calcs": ["mean", "max"],
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    panel = _panel("timeseries", title, text, width, height, defaults, options)
    panel["fieldConfig"]["overrides"] = [_limit_line()]
    panel["targets"] = [
        _target(index, query.expr, legendFormat=query.legend, range=True)
        for index, query in enumerate(queries)
    ]
    return panel


def stat(
    title: str,
    text: str,
    expr: str,
    *,
    unit: str = "short",
    width: int = 4,
    height: int = 4,
    steps: Steps = (),
    over_range: bool = False,
) -> Json:
    """One number, with its course behind it; `over_range` asks once for the whole time that is shown."""
    defaults = {
        "unit": unit,
        "min": 0,
        "color": {"mode": "thresholds"},
        "thresholds": _thresholds(steps, "green" if steps else "text"),
        "noValue": "0",
    }
    options = {
        "colorMode": "value",
        "graphMode": "none" if over_range else "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "value",
        "wideLayout": True,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
        "reduceOptions": {"calcs": ["lastNotNull"], "values": False, "fields": ""},
    }
    panel = _panel("stat", title, text, width, height, defaults, options)
    how = {"instant": True, "range": False} if over_range else {"range": True}
    panel["targets"] = [_target(0, expr, legendFormat=title, **how)]
    return panel


def table(
    title: str,
    text: str,
    labels: Mapping[str, str],
    columns: Sequence[Column],
    *,
    width: int = 24,
    height: int = 8,
) -> Json:
    """A row per set of `labels` (name and heading), and per `id`, sorted by the first column of numbers."""
    names = {f"Value #{_letter(index)}": column.heading for index, column in enumerate(columns)}
    renamed = dict(labels) | (names if len(columns) > 1 else {"Value": columns[0].heading})
    order = {name: index for index, name in enumerate(renamed)}
    hidden = {"Time": True, "id": True}
    options = {
        "frameIndex": 0,
        "showHeader": True,
        "showTypeIcons": False,
        "cellHeight": "sm",
        "sortBy": [{"displayName": columns[0].heading, "desc": True}],
    }
    defaults = {
        "custom": {"align": "auto", "filterable": True, "inspect": False},
        "thresholds": _thresholds((), "text"),
    }
    panel = _panel("table", title, text, width, height, defaults, options)
    panel["fieldConfig"]["overrides"] = [_column(column) for column in columns]
    panel["targets"] = [
        _target(index, column.expr, format="table", instant=True, range=False)
        for index, column in enumerate(columns)
    ]
    panel["transformations"] = [
        {"id": "merge", "options": {}},
        {
            "id": "organize",
            "options": {"renameByName": renamed, "indexByName": order, "excludeByName": hidden},
        },
    ]
    return panel


def row(title: str) -> Json:
    """A heading; what follows lies below it."""
    return {
        "type": "row",
        "title": title,
        "collapsed": False,
        "panels": [],
        "gridPos": {"w": GRID_WIDTH, "h": 1},
    }


def dashboard(
    uid: str,
    title: str,
    text: str,
    panels: Sequence[Json],
    variables: Sequence[Variable] = (),
    *,
    span: str = "now-1h",
    tag: str = "jobmeter",
) -> Json:
    """A whole dashboard, its panels laid out and numbered."""
    return {
        "uid": uid,
        "title": title,
        "description": text,
        "tags": [tag],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "10s",
        "time": {"from": span, "to": "now"},
        "annotations": {"list": []},
        "links": [_link_to_others(tag)],
        "templating": {"list": [_source_variable(), *(_variable(one) for one in variables)]},
        "panels": _laid_out(panels),
    }


def _panel(
    kind: Literal["timeseries", "stat", "table"],
    title: str,
    text: str,
    width: int,
    height: int,
    defaults: Json,
    options: Json,
) -> Json:
    return {
        "type": kind,
        "title": title,
        "description": text,
        "datasource": SOURCE,
        "gridPos": {"w": width, "h": height},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
    }


def _target(index: int, expr: str, **more: object) -> Json:
    return {"refId": _letter(index), "datasource": SOURCE, "editorMode": "code", "expr": expr, **more}


def _letter(index: int) -> str:
    return chr(ord("A") + index)


def _thresholds(steps: Steps, base: str) -> Json:
    colours = [
        {"value": None, "color": base},
        *({"value": value, "color": colour} for value, colour in steps),
    ]
    return {"mode": "absolute", "steps": colours}


def _limit_line() -> Json:
    properties = {
        "color": {"mode": "fixed", "fixedColor": "red"},
        "custom.lineStyle": {"fill": "dash", "dash": [8, 6]},
        "custom.fillOpacity": 0,
        "custom.stacking": {"mode": "none", "group": "A"},
    }
    return {"matcher": {"id": "byRegexp", "options": "/limit$/"}, "properties": _properties(properties)}


def _column(column: Column) -> Json:
    properties: Json = {"unit": column.unit}
    if column.steps:
        properties["thresholds"] = _thresholds(column.steps, "text")
        properties["custom.cellOptions"] = {"type": "color-text"}
    return {"matcher": {"id": "byName", "options": column.heading}, "properties": _properties(properties)}


def _properties(values: Mapping[str, object]) -> list[Json]:
    return [{"id": name, "value": value} for name, value in values.items()]


def _source_variable() -> Json:
    return {
        "type": "datasource",
        "name": "datasource",
        "label": "Data source",
        "query": "prometheus",
        "hide": 0,
    }


def _variable(one: Variable) -> Json:
    query = f"label_values({one.series}, {one.label})"
    everything: Json = (
        {"allValue": ".*", "current": {"text": ["All"], "value": ["$__all"]}} if one.multi else {}
    )
    return {
        "type": "query",
        "name": one.name,
        "label": one.heading,
        "datasource": SOURCE,
        "definition": query,
        "query": {"query": query, "refId": one.name},
        "refresh": 2,
        "sort": 4 if one.newest_first else 1,
        "multi": one.multi,
        "includeAll": one.multi,
        **everything,
    }


def _link_to_others(tag: str) -> Json:
    return {
        "type": "dashboards",
        "title": "Dashboards",
        "tags": [tag],
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "icon": "",
        "tooltip": "",
        "url": None,
    }


def _laid_out(panels: Sequence[Json]) -> list[Json]:
    """Each panel with its place and number: side by side while there is room, else below."""
    placed, x, y, tallest = [], 0, 0, 0
    for number, panel in enumerate(panels, 1):
        size = panel["gridPos"]
        if x + size["w"] > GRID_WIDTH:
            x, y, tallest = 0, y + tallest, 0
        placed.append({"id": number, **panel, "gridPos": {"x": x, "y": y, **size}})
        x, tallest = x + size["w"], max(tallest, size["h"])
    return placed
