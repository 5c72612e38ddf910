"""Draws a dashboard with the data of a Prometheus as one HTML page. It is not Grafana that draws it.

What a panel asks, its place, title, unit, legend, thresholds and stacking are those of the dashboard's JSON; lines are
drawn by Vega-Lite.
"""

from collections.abc import Callable, Mapping, Sequence
from html import escape

import vl_convert

from jobmeter.model.quantities import format_bytes, format_cores, format_duration, format_percent
from jobmeter.report.palette import LIGHT, css_variables
from scripts.dashboards.asking import Answer, Span
from scripts.dashboards.chart import NAMED_COLOURS, lines_of, specification
from scripts.dashboards.grafana import CORES, GRID_WIDTH, Json

CELL_PIXELS = 38
PAGE_PIXELS = 1600
_COLUMN_PIXELS = PAGE_PIXELS / GRID_WIDTH
_BESIDE_PIXELS = 100
_ABOVE_PIXELS = 66
_LEGEND_ROWS = 4
_LEGEND_ROW_PIXELS = 21
_STYLE = """
body { margin: 0; padding: 12px; width: %dpx; background: #f4f5f7; color: var(--text);
  font: 13px/1.3 system-ui, sans-serif; display: grid; grid-template-columns: repeat(%d, 1fr);
  grid-auto-rows: %dpx; gap: 0 }
section { margin: 4px; padding: 8px 10px; background: var(--paper); border: 1px solid var(--grid); border-radius: 3px;
  overflow: hidden; display: flex; flex-direction: column }
h1 { grid-column: 1 / -1; font-size: 18px; margin: 4px } h2 { font-size: 13px; margin: 0 0 4px; font-weight: 600 }
h3 { grid-column: 1 / -1; font-size: 14px; margin: auto 6px 4px }
.number { font-size: 30px; margin: auto; white-space: nowrap } svg { display: block }
table { border-collapse: collapse; width: 100%% } td, th { text-align: right; padding: 2px 6px; font-weight: 400 }
th { color: var(--faint); border-bottom: 1px solid var(--grid) } tr :is(td, th):first-child { text-align: left }
.wide :is(td, th) { padding: 4px 10px; text-align: left } .legend td:first-child { width: 70%% }
i { display: inline-block; width: 12px; height: 3px; margin: 0 6px 3px 0 } body { %s }
"""


def html(page: Json, panels: Sequence[tuple[Json, Sequence[Answer]]], span: Span) -> str:
    """The page: its panels, each with what its queries gave."""
    style = _STYLE % (PAGE_PIXELS, GRID_WIDTH, CELL_PIXELS, css_variables(LIGHT))
    parts = [_placed(panel, answers, span) for panel, answers in panels]
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(page["title"])}</title>'
        f"<style>{style}</style><h1>{escape(page['title'])}</h1>{''.join(parts)}</html>"
    )


def _placed(panel: Json, answers: Sequence[Answer], span: Span) -> str:
    place = panel["gridPos"]
    # The first row is the heading's.
    position = f"grid-area: {place['y'] + 2} / {place['x'] + 1} / span {place['h']} / span {place['w']}"
    if panel["type"] == "row":
        return f'<h3 style="{position}">{escape(panel["title"])}</h3>'
    if panel["type"] == "timeseries":
        body = _chart(panel, answers, span)
    else:
        body = {"stat": _number, "table": _table}[panel["type"]](panel, answers)
    return f'<section style="{position}"><h2>{escape(panel["title"])}</h2>{body}</section>'


def _number(panel: Json, answers: Sequence[Answer]) -> str:
    defaults = panel["fieldConfig"]["defaults"]
    points = [point for answer in answers for series in answer.series for point in series.points]
    value = max(points)[1] if points else 0.0
    steps = [
        step for step in defaults["thresholds"]["steps"] if step["value"] is None or value >= step["value"]
    ]
    colour = NAMED_COLOURS.get(steps[-1]["color"], LIGHT.text)
    return f'<div class="number" style="color: {colour}">{escape(shown(defaults["unit"], value))}</div>'


def _table(panel: Json, answers: Sequence[Answer]) -> str:
    columns = panel["fieldConfig"]["overrides"]
    headings = {
        name: text
        for name, text in panel["transformations"][-1]["options"]["renameByName"].items()
        if not name.startswith("Value")
    }
    rows: dict[tuple[str, ...], dict[int, float]] = {}
    for index, answer in enumerate(answers):
        for series in answer.series:
            key = (*(series.labels.get(name, "") for name in headings), series.labels.get("id", ""))
            rows.setdefault(key, {})[index] = series.points[-1][1] if series.points else 0.0
    ordered = sorted(rows.items(), key=lambda row: -row[1].get(0, 0.0))
    units = [column["properties"][0]["value"] for column in columns]
    head = [*headings.values(), *(column["matcher"]["options"] for column in columns)]
    body = [
        [
            *key[:-1],
            *(shown(unit, values[index]) if index in values else "" for index, unit in enumerate(units)),
        ]
        for key, values in ordered
    ]
    lines = [_cells("th", head), *(_cells("td", row) for row in body)]
    return f'<table class="wide">{"".join(lines)}</table>'


def _cells(tag: str, texts: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts) + "</tr>"


def _chart(panel: Json, answers: Sequence[Answer], span: Span) -> str:
    place, unit = panel["gridPos"], panel["fieldConfig"]["defaults"]["unit"]
    lines = lines_of(answers)
    rows = sorted(lines, key=lambda line: (line.is_limit, -line.highest))[:_LEGEND_ROWS]
    width = place["w"] * _COLUMN_PIXELS - _BESIDE_PIXELS
    height = place["h"] * CELL_PIXELS - _ABOVE_PIXELS - _LEGEND_ROW_PIXELS * len(rows)
    picture = vl_convert.vegalite_to_svg(
        specification(panel, lines, span, width, height), allowed_base_urls=[]
    )
    legend = "".join(
        f'<tr><td><i style="background: {line.colour}"></i>{escape(line.name)}</td>'
        f"<td>{shown(unit, line.mean)}</td><td>{shown(unit, line.highest)}</td></tr>"
        for line in rows
    )
    return f'{picture}<table class="legend">{legend}</table>'


_FORMATS: Mapping[str, Callable[[float], str]] = {
    CORES: lambda value: f"{format_cores(value)} cores",
    "bytes": format_bytes,
    "binBps": lambda value: f"{format_bytes(value)}/s",
    "Bps": lambda value: f"{format_bytes(value)}/s",
    "percentunit": format_percent,
    "s": format_duration,
    "short": lambda value: f"{value:,.3g}" if value < 100 else f"{value:,.0f}",
}


def shown(unit: str, value: float) -> str:
    """A value in its unit."""
    return _FORMATS[unit](value)
