"""Asks a Prometheus what the panels of a dashboard ask, as Grafana does."""

import json
import math
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from scripts.dashboards.grafana import Json

TIMEOUT_SECONDS = 30.0


class Series(NamedTuple):
    """Labels, and values at moments in seconds since 1970; what is no number is left out."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


class Span(NamedTuple):
    """The time that a dashboard shows, in seconds since 1970, and the distance between two points of a line."""

    start: float
    end: float
    step: float

    @property
    def steps(self) -> int:
        """How many points a line has at most."""
        return int((self.end - self.start) / self.step) + 1


class Answer(NamedTuple):
    """What one query of a panel gave."""

    query: str
    legend: str
    series: tuple[Series, ...]


class Prometheus:
    """The HTTP API of a Prometheus at ``url``. What it refuses is an urllib.error.HTTPError."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **parameters: object) -> Any:
        """The `data` of an answer."""
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=TIMEOUT_SECONDS) as answer:
            return json.load(answer)["data"]

    def at(self, expr: str, moment: float) -> tuple[Series, ...]:
        """The value of each series at a moment."""
        data = self.get("query", query=expr, time=moment)
        if data["resultType"] == "scalar":
            return (_series({}, [data["result"]]),)
        return tuple(_series(one["metric"], [one["value"]]) for one in data["result"])

    def over(self, expr: str, span: Span) -> tuple[Series, ...]:
        """The course of each series."""
        data = self.get("query_range", query=expr, start=span.start, end=span.end, step=span.step)
        return tuple(_series(one["metric"], one["values"]) for one in data["result"])

    def label_values(self, series: str, label: str, span: Span) -> list[str]:
        """The values that a label has in a series."""
        asked = {"match[]": series, "start": span.start, "end": span.end}
        return [str(value) for value in self.get(f"label/{label}/values", **asked)]


def _series(labels: Mapping[str, str], values: list[Any]) -> Series:
    numbers = ((float(moment), float(value)) for moment, value in values)
    return Series(labels, tuple((moment, value) for moment, value in numbers if math.isfinite(value)))


def choose(page: Json, prometheus: Prometheus, span: Span, wanted: Mapping[str, str]) -> dict[str, str]:
    """A value for each variable of the dashboard: the wanted one, else all where that can be, else the first."""
    chosen: dict[str, str] = {}
    for variable in page["templating"]["list"]:
        if variable["type"] != "query":
            continue
        series, _, label = (
            variable["definition"].removeprefix("label_values(").removesuffix(")").rpartition(", ")
        )
        known = prometheus.label_values(filled(series, chosen, span, 0), label, span)
        name = variable["name"]
        chosen[name] = variable["allValue"] if variable["multi"] else known[0]
        if name in wanted:
            if wanted[name] not in known:
                raise LookupError(f"{name} is {wanted[name]!r}, but there are only {known}")
            chosen[name] = wanted[name]
    return chosen


def filled(expr: str, chosen: Mapping[str, str], span: Span, scrape_seconds: float) -> str:
    """The query with Grafana's variables put in; a rate spans at least four scrapes."""
    rate = max(span.step + scrape_seconds, 4 * scrape_seconds)
    values = {**chosen, "__range": f"{round(span.end - span.start)}s", "__rate_interval": f"{round(rate)}s"}
    return re.sub(r"\$(\w+)", lambda match: values[match[1]], expr)


def ask(
    panel: Json, prometheus: Prometheus, chosen: Mapping[str, str], span: Span, scrape_seconds: float
) -> Iterator[Answer]:
    """What each query of a panel gives."""
    for target in panel["targets"]:
        query = filled(target["expr"], chosen, span, scrape_seconds)
        series = prometheus.at(query, span.end) if target.get("instant") else prometheus.over(query, span)
        yield Answer(query, target.get("legendFormat", ""), series)
