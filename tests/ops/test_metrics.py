"""What a daemon counts of itself, in the form that is asked for."""

from __future__ import annotations

import asyncio
import gc
import threading
import time

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as prometheus_text

from jobmeter.ops.lag import lag_observed
from jobmeter.ops.metrics import daemon_registry, exposition
from jobmeter.ops.runtime import runtime_observed
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
        for name in (
            "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds",
            "process_threads", "python_threads", "python_allocated_blocks",
        ):  # fmt: skip
            assert (registry.get_sample_value(name) or 0) > 0, name
        assert registry.get_sample_value("python_gc_collections_total", {"generation": "0"}) is not None
    Counter("things_total", "Things.", registry=registries[0])
    assert registries[1].get_sample_value("things_total") is None


def test_threads_are_counted_as_they_are() -> None:
    """Of the process, and those of them that run Python."""
    registry, over = daemon_registry(), threading.Event()
    before = [registry.get_sample_value(name) or 0 for name in ("process_threads", "python_threads")]
    thread = threading.Thread(target=over.wait)
    thread.start()
    now = [registry.get_sample_value(name) for name in ("process_threads", "python_threads")]
    over.set()
    thread.join()
    assert now == [before[0] + 1, before[1] + 1]


def test_a_loop_that_is_held_up_is_seen_to_be_late() -> None:
    """By as long as it was held up; one that is not, is not."""

    async def main(held_up: float) -> list[float]:
        found: list[float] = []
        with lag_observed(found.append, 0.05):
            await asyncio.sleep(0.01)
            time.sleep(held_up)
            await asyncio.sleep(0.2)
        count = len(found)
        await asyncio.sleep(0.1)
        assert len(found) == count
        return found

    assert max(asyncio.run(main(0.5))) >= 0.45
    assert min(asyncio.run(main(0.0))) < 0.45


def test_lag_and_pauses_are_counted_while_they_are_looked_at() -> None:
    """Before, there are no such series; afterwards nothing is left in the collector of garbage."""

    async def main() -> None:
        with runtime_observed(registry):
            gc.collect()
            await asyncio.sleep(0.6)

    registry, callbacks = daemon_registry(), list(gc.callbacks)
    assert registry.get_sample_value("python_event_loop_lag_seconds_count") is None
    assert registry.get_sample_value("python_gc_pause_seconds_count") is None
    asyncio.run(main())
    assert registry.get_sample_value("python_event_loop_lag_seconds_count") == pytest.approx(2, abs=1)
    assert (registry.get_sample_value("python_gc_pause_seconds_count") or 0) >= 1
    assert (registry.get_sample_value("python_gc_pause_seconds_sum") or 0) > 0
    assert gc.callbacks == callbacks
