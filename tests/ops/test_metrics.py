"""What a daemon counts of itself, in the form that is asked for."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as prometheus_text

from jobmeter.ops.metrics import daemon_registry, exposition
from tests.ops.asgi import ask


@pytest.mark.parametrize(
    "accept, content_type, parser",
    [
        ({}, "text/plain", prometheus_text),
        ({"Accept": "*/*"}, "text/plain", prometheus_text),
        (
            {"Accept": "application/openmetrics-text; version=1.0.0"},
            "application/openmetrics-text",
            open_metrics,
        ),
    ],
)
def test_a_scraper_is_given_the_form_it_asks_for(accept, content_type, parser) -> None:
    """The value is that of now, not that of the first scrape."""
    registry = CollectorRegistry()
    counter = Counter("things_total", "Things.", registry=registry)
    for expected in (1.0, 2.0):
        counter.inc()
        answer = ask(exposition(registry), **accept)
        assert answer.status == 200
        assert answer.headers["content-type"].startswith(content_type)
        found = {one.name: one.value for family in parser(answer.text) for one in family.samples}
        assert found["things_total"] == expected


def test_of_any_daemon_cpu_memory_and_descriptors_are_known() -> None:
    """Two daemons of one process have a registry each."""
    registries = daemon_registry(), daemon_registry()
    for registry in registries:
        for name in ("process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"):
            assert (registry.get_sample_value(name) or 0) > 0, name
        assert registry.get_sample_value("python_gc_collections_total", {"generation": "0"}) is not None
    Counter("things_total", "Things.", registry=registries[0])
    assert registries[1].get_sample_value("things_total") is None
