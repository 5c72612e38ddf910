from __future__ import annotations

import re

import pytest

from jobmeter.model.summary import ContainerSummary, Summary
from jobmeter.report import openmetrics
from jobmeter.report.openmetrics import render_openmetrics
from tests.report.examples import EXAMPLES, sidecar, unknown

LABEL = r'\{container="(?:[^"\\\n]|\\\\|\\"|\\n)*"\}'
SAMPLE = re.compile(rf"(?P<name>[a-z0-9_]+)(?:{LABEL})? (?P<value>\S+)")


def assert_valid(text: str) -> None:
    """The rules of OpenMetrics 1.0 that this text has to keep: order, one block per family, units, end."""
    lines = text.split("\n")
    assert lines[-2:] == ["# EOF", ""]
    families: list[str] = []
    for line in lines[:-2]:
        if line.startswith("# TYPE "):
            families.append(line.split(" ")[2])
            assert line == f"# TYPE {families[-1]} gauge"
        elif line.startswith("# UNIT "):
            _, _, name, unit = line.split(" ")
            assert name == families[-1]
            assert name.endswith(f"_{unit}")
        elif line.startswith("# HELP "):
            assert line.split(" ")[2] == families[-1]
        else:
            sample = SAMPLE.fullmatch(line)
            assert sample, line
            assert sample["name"] == families[-1]
            float(sample["value"])
    assert len(families) == len(set(families))


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_valid(name: str) -> None:
    """A strict reader accepts it."""
    assert_valid(render_openmetrics(EXAMPLES[name]()[0]))


def test_a_reader_of_prometheus_accepts_it() -> None:
    """The reference parser finds every series and its labels."""
    parser = pytest.importorskip(
        "prometheus_client.openmetrics.parser", reason="prometheus_client is not installed"
    )
    for make in EXAMPLES.values():
        assert list(parser.text_string_to_metric_families(render_openmetrics(make()[0])))


def test_openmetrics_of_a_job(golden) -> None:
    """The whole text of one example."""
    golden("report/sidecar.om", render_openmetrics(sidecar()[0]))


def test_no_limit_is_infinite_and_unknown_has_no_series() -> None:
    """Ratios with a limit stay right: neither zero nor a missing number stands for unlimited."""
    lines = render_openmetrics(sidecar()[0]).split("\n")

    assert 'jobmeter_container_memory_limit_bytes{container="buildkit-cache-warmer"} +Inf' in lines
    assert not any(
        line.startswith('jobmeter_container_memory_limit_bytes{container="postgres"') for line in lines
    )
    assert "jobmeter_container_" not in render_openmetrics(unknown()[0])


def test_no_label_tells_one_run_from_another() -> None:
    """GitLab compares series of two pipelines by name and labels."""
    summary, _ = sidecar()

    assert summary.run_uid not in render_openmetrics(summary)


def test_two_containers_of_one_name_are_two_series() -> None:
    """The second one is numbered."""
    summary, _ = unknown()
    summary.containers = [
        ContainerSummary(name='a"\\', cpu_seconds=1.0),
        ContainerSummary(name='a"\\', cpu_seconds=2.0),
    ]

    text = render_openmetrics(summary)

    assert_valid(text)
    assert 'container="a\\"\\\\"} 1.0' in text
    assert 'container="a\\"\\\\ (2)"} 2.0' in text


def test_every_series_is_read_from_a_field_of_the_contract() -> None:
    """A field that is renamed in the model cannot silently lose its series."""
    for owner, rows in ((Summary, openmetrics._OF_RUN), (ContainerSummary, openmetrics._OF_CONTAINER)):
        assert {field.split(".")[0] for _, _, field, _ in rows} <= set(owner.__struct_fields__)
