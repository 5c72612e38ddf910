"""What the receiver counts of itself: names that stay, labels that are bounded, values that move."""

from __future__ import annotations

import requests
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from jobmeter.receiver.figures import Figures
from tests.receiver.api.running import running_receiver
from tests.support.runs import UID, records

NAMES = {
    "jobmeter_receiver_requests": "counter",
    "jobmeter_receiver_queued_changes": "gauge",
    "jobmeter_receiver_listeners": "gauge",
    "jobmeter_receiver_summaries_stored": "counter",
    "jobmeter_receiver_records_stored": "counter",
    "jobmeter_receiver_evidence_stored": "counter",
    "jobmeter_receiver_runs_lost": "counter",
    "jobmeter_receiver_removed": "counter",
    "jobmeter_receiver_retention_timestamp_seconds": "gauge",
    "jobmeter_receiver_commit_seconds": "histogram",
    "jobmeter_receiver_commit_changes": "histogram",
}


def test_names_types_and_units_are_those_that_dashboards_know() -> None:
    """Each has a help text."""
    registry = CollectorRegistry()
    Figures(registry)
    families = list(registry.collect())
    assert {one.name: one.type for one in families} == NAMES
    assert all(one.documentation.endswith(".") for one in families)


def test_values_move() -> None:
    """A commit is one observation of each histogram; an answer counts for its route and status."""
    registry = CollectorRegistry()
    figures = Figures(registry)
    figures.committed(3, 0.004)
    figures.committed(500, 30.0)
    for status in (201, 201, 507):
        figures.answered("/api/v1/metrics", status)
    value = registry.get_sample_value
    assert value("jobmeter_receiver_commit_seconds_sum") == 30.004
    assert value("jobmeter_receiver_commit_seconds_bucket", {"le": "0.005"}) == 1
    assert value("jobmeter_receiver_commit_seconds_bucket", {"le": "+Inf"}) == 2
    assert value("jobmeter_receiver_commit_changes_sum") == 503
    labels = {"route": "/api/v1/metrics", "status": "201"}
    assert value("jobmeter_receiver_requests_total", labels) == 2
    assert value("jobmeter_receiver_requests_total", labels | {"status": "507"}) == 1


def test_what_happens_to_a_receiver_is_in_its_figures(tmp_path) -> None:
    """And whatever is asked for makes no label of its own: routes are the templates of the table, or nothing."""
    with running_receiver(tmp_path, "--lost-after=200ms") as receiver:
        before = scraped(receiver.url)
        receiver.push({"n": 1}, job="j")
        receiver.stream(list(records())[:3])
        for number in range(50):
            receiver.get(f"/api/v1/runs/unknown-{number}")
            receiver.get(f"/nonesuch/{number}")
            receiver.get(f"/api/v1/runs?x{number}=1")
        after = scraped(receiver.url)
        while not after[("jobmeter_receiver_runs_lost_total",)]:
            after = scraped(receiver.url)
    for name, growth in (("summaries_stored", 1), ("records_stored", 3), ("runs_lost", 1)):
        key = (f"jobmeter_receiver_{name}_total",)
        assert after[key] - before[key] == growth, name
    assert after[("jobmeter_receiver_commit_seconds_count",)] >= 2
    assert after[("jobmeter_receiver_queued_changes",)] == 0
    asked = {key[1:]: count for key, count in after.items() if key[0] == "jobmeter_receiver_requests_total"}
    assert asked.pop(("/metrics", "200")) >= 1
    assert asked == {
        ("/api/v1/metrics", "201"): 1,
        ("/api/v1/runs/{run_uid}/parts", "200"): 1,
        ("/api/v1/runs/{run_uid}", "404"): 50,
        ("/api/v1/runs", "400"): 50,
        ("", "404"): 50,
    }
    assert UID not in str(after)


def scraped(url: str) -> dict[tuple[str, ...], float]:
    """Each series by its name and the values of its labels, as Prometheus reads it."""
    text = requests.get(f"{url}/metrics", timeout=30).text
    return {
        (one.name, *one.labels.values()): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }
