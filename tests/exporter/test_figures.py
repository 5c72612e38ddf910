"""What the exporter counts of itself: there from the start, and on the page about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from jobmeter.exporter.figures import EngineState, Figures

PAGE = Path(__file__).parents[2] / "docs/exporter-series.md"
_ROW = re.compile(r"^\| `(jobmeter_exporter_\w+)` \| (\w+) \| ([^|]*) \| (.+) \|$", re.MULTILINE)


class Numbers(NamedTuple):
    """Of a fleet, or of something that is bounded."""

    errors: Mapping[str, int]
    refused: int = 0
    shown: int = 4
    total_rows: int = 5
    unwatched: int = 6


def figures(errors: Mapping[str, int] | None = None, *, with_groups: bool = True) -> CollectorRegistry:
    registry = CollectorRegistry()
    made = Figures(registry, "1.2")
    engines = (EngineState("docker", "/run/docker.sock", True),)
    made.watch(Numbers(errors or {}), lambda: engines, max_containers=10, max_total_rows=20)
    made.watch_bounds(Numbers({}, 7), Numbers({}, 8) if with_groups else None, max_groups=9)
    return registry


def read_errors(registry: CollectorRegistry) -> dict[str, float | None]:
    name = "jobmeter_exporter_read_errors_total"
    return {
        kind: registry.get_sample_value(name, {"kind": kind}) for kind in ("format", "open", "read", "other")
    }


def test_errors_of_each_kind_are_there_before_the_first() -> None:
    """Prometheus takes the first value of a series as where it begins."""
    assert read_errors(figures()) == {"format": 0, "open": 0, "read": 0, "other": None}
    found = read_errors(figures({"open": 2, "other": 1}))
    assert found == {"format": 0, "open": 2, "read": 0, "other": 1}


def test_what_is_beyond_a_bound() -> None:
    """Beside the bound; where no groups are shown there is none of them."""
    registry = figures()
    for name, value in (("descriptors_refused_total", 7), ("groups_refused", 8), ("groups_max", 9)):
        assert registry.get_sample_value(f"jobmeter_exporter_{name}") == value
    registry = figures(with_groups=False)
    assert registry.get_sample_value("jobmeter_exporter_descriptors_refused_total") == 7
    assert registry.get_sample_value("jobmeter_exporter_groups_refused") is None


def test_all_of_it_is_on_the_page() -> None:
    """By name, kind, labels and meaning."""
    expected = {_name(one): (one.type, _labels(one), one.documentation) for one in figures().collect()}
    found = {name: (kind, labels, text) for name, kind, labels, text in _ROW.findall(PAGE.read_text())}
    assert found == expected


def _name(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


def _labels(metric: Metric) -> str:
    names = {name: None for sample in metric.samples for name in sample.labels if name != "le"}
    return ", ".join(f"`{name}`" for name in names)
