"""Series are what prometheus_client reads back, whatever is in a label."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from jobmeter.exporter.container import Identity, Row
from jobmeter.exporter.families import CONTAINER_FAMILIES
from jobmeter.exporter.render import MAX_LABEL_CHARACTERS, Renderer, Sample, family
from jobmeter.model.account import Account, Bounds
from jobmeter.model.job import Job

ROW = Row(
    id="4f0c", path="/docker/4f0c", parent=None, engine="docker", pod=None,
    identity=Identity(job=Job(repository="acme/engine")),
    account=Account(
        cpu_seconds=1.5, memory_usage_bytes=3000, memory_inactive_file_bytes=1000, cpu_waiting_seconds=0.25
    ),
    bounds=Bounds(cpu_cores=2.0, memory_bytes="unlimited"), started=1795300000.5,
)  # fmt: skip
LABELS = {"id": "4f0c", "repo": "acme/engine", "runtime": "linux-native"}
PREFIX = "jobmeter_container_"


def values(text: str) -> dict[tuple[str, str], float]:
    """Values by name and id, with what tells stalls apart."""
    found = {}
    for each in text_string_to_metric_families(text):
        for one in each.samples:
            more = [one.labels[name] for name in ("resource", "kind") if name in one.labels]
            found["|".join([one.name, *more]), one.labels["id"]] = one.value
    return found


def test_what_is_known_has_a_series_and_nothing_else_has():
    """What could not be read and what has no limit has none."""
    text = "".join(Renderer(CONTAINER_FAMILIES).containers([ROW], openmetrics=False))
    assert {name.removeprefix(PREFIX): value for (name, _), value in values(text).items()} == {
        "cpu_usage_seconds_total": 1.5,
        "cpu_limit_cores": 2.0,
        "memory_usage_bytes": 3000,
        "memory_working_set_bytes": 2000,
        "pressure_seconds_total|cpu|some": 0.25,
        "start_time_seconds": 1795300000.5,
    }
    (cpu,) = next(iter(text_string_to_metric_families(text))).samples
    assert cpu.labels == LABELS


def test_both_formats_say_the_same():
    """OpenMetrics names a counter without its `_total`."""
    renderer = Renderer(CONTAINER_FAMILIES)
    rows = [ROW, replace(ROW, id="7aa1", path="/docker/7aa1", account=Account(cpu_seconds=0.1, oom_kills=3))]
    prometheus = "".join(renderer.containers(rows, openmetrics=False))
    openmetrics = "".join(renderer.containers(rows, openmetrics=True)) + "# EOF\n"
    read = {
        (one.name, *sorted(one.labels.items())): one.value
        for each in openmetrics_families(openmetrics)
        for one in each.samples
    }
    assert read == {
        (one.name, *sorted(one.labels.items())): one.value
        for each in text_string_to_metric_families(prometheus)
        for one in each.samples
    }


@pytest.mark.parametrize(
    "text, shown",
    [
        ('quote " and \\ and', 'quote " and \\ and'),
        ("two\nlines\r\tand", "two lines  and"),
        ("bad \udcff byte", "bad \ufffd byte"),
        ("é 漢 🏗", "é 漢 🏗"),
        ("x" * 10240, "x" * (MAX_LABEL_CHARACTERS - 1) + "…"),
    ],
    ids=["quotes", "lines", "bytes", "unicode", "long"],
)
def test_a_hostile_name_is_a_label(text, shown):
    """Escaped, on one line, cut when long."""
    row = replace(ROW, identity=Identity(job=Job(repository=text)))
    rendered = "".join(Renderer(CONTAINER_FAMILIES).containers([row], openmetrics=False))
    assert {
        one.labels["repo"] for each in text_string_to_metric_families(rendered) for one in each.samples
    } == {shown}


@given(st.text(max_size=50), st.floats(allow_nan=False, allow_infinity=False))
def test_any_text_and_value_is_read_back(text, value):
    """As one series."""
    rendered = "".join(family("x", "gauge", "Help.", [Sample((("a", text),), value)], openmetrics=False))
    (only,) = text_string_to_metric_families(rendered)
    assert [one.value for one in only.samples] == [value]


def test_a_name_that_becomes_known_is_shown():
    """Labels are written again when what is known changes, and only then."""
    renderer = Renderer(CONTAINER_FAMILIES)
    unknown = replace(ROW, identity=Identity())
    assert 'repo=""' in "".join(renderer.containers([unknown], openmetrics=False))
    assert 'repo="acme/engine"' in "".join(renderer.containers([ROW], openmetrics=False))
    assert renderer.containers([], openmetrics=False) == []
