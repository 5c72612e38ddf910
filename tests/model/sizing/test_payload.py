from __future__ import annotations

import json

import pytest

from jobmeter.model import summary
from jobmeter.model.sizing.observation import observe
from jobmeter.model.sizing.payload import observe_payload
from tests.report.examples import EXAMPLES

KNOWN = {"run_uid": "1", "end_time": "2026-01-02T00:00:00.000Z"}
SEED = {
    "start_time": "2026-02-06T14:00:00Z",
    "end_time": "2026-02-06T14:10:00Z",
    "duration_seconds": 600,
    "sample_count": 300,
    "containers": [
        {
            "name": "runner",
            "cpu_cores": {"peak": 1.9, "p95": 1.5, "avg": 1.1},
            "memory_bytes": {"peak": 900000000},
        }
    ],
    "top_cpu_processes": [{"pid": 4, "name": "cc1", "peak_cpu_percent": 99.0}],
}


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "hostile"])
def test_of_our_summaries_it_tells_what_the_whole_summary_tells(name: str) -> None:
    """Only less is decoded."""
    whole = EXAMPLES[name]()[0]

    assert observe_payload(summary.encode(whole), **KNOWN) == observe(whole)


def test_the_older_form_counts_too() -> None:
    """Its memory is a sum of RSS and its CPU a lower bound, and both are said."""
    found = observe_payload(json.dumps(SEED).encode(), **KNOWN)

    assert found is not None
    assert (found.run_uid, found.end_time, found.outcome) == ("1", "2026-02-06T14:10:00Z", "ok")
    assert (found.duration_seconds, found.cpu_complete) == (600, False)
    (use,) = found.containers
    assert (use.name, use.memory_need_bytes, use.memory_source) == ("runner", 900000000, "rss")
    assert (use.cpu_cores.p95, use.memory_limit_bytes) == (1.5, None)


def test_what_a_payload_lacks_is_what_the_store_knows() -> None:
    """Nulls are missing, not errors."""
    content = b'{"containers": null, "exit": null, "duration_seconds": null, "job": null, "host": null}'
    found = observe_payload(content, **KNOWN)

    assert found is not None
    assert (found.run_uid, found.end_time, found.containers) == ("1", "2026-01-02T00:00:00.000Z", ())


def test_a_time_with_an_offset_is_not_taken() -> None:
    """Texts in UTC are in order as texts; others are not."""
    found = observe_payload(b'{"end_time": "2026-01-01T00:00:00+01:00"}', **KNOWN)

    assert found is not None
    assert found.end_time == "2026-01-02T00:00:00.000Z"


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'"text"', b'{"containers": 3}', b'{"containers": [{}]}', b"[" * 100_000, b"\xff"]
)
def test_what_is_no_summary_tells_nothing(content: bytes) -> None:
    """A receiver takes whatever it is sent; a question about sizing does not fail for it."""
    assert observe_payload(content, **KNOWN) is None


@pytest.mark.parametrize(
    "number",
    ["1e300", "1e400", "9007199254740993000"],
)
@pytest.mark.parametrize(
    "place",
    [
        '"duration_seconds": {}',
        '"containers": [{{"name": "a", "memory_working_set_peak_bytes": {}}}]',
        '"containers": [{{"name": "a", "memory_bytes": {{"peak": {}}}}}]',
        '"containers": [{{"name": "a", "cpu_cores": {{"p95": {}}}}}]',
        '"duration_seconds": 1, "containers": [{{"name": "a", "throttled_seconds": {}}}]',
    ],
)
def test_numbers_that_no_machine_has_are_of_no_run(place: str, number: str) -> None:
    """One sender's odd run must not spoil the advice, or the answer."""
    assert observe_payload(f"{{{place.format(number)}}}".encode(), **KNOWN) is None


@pytest.mark.parametrize("count, known", [(256, True), (257, False)])
def test_a_run_of_very_many_containers_is_not_compared(count: int, known: bool) -> None:
    """What it costs grows with their square."""
    content = json.dumps({"containers": [{"name": "a"}] * count}).encode()

    assert (observe_payload(content, **KNOWN) is not None) is known
