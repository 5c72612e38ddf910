"""`jobmeter report` of what a real collector wrote: every form of one journal, and two side by side."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.e2e.support.collectors import Collector, container_of, start_beside
from tests.e2e.support.components import JOBMETER, jobmeter_environment
from tests.e2e.support.docker import HOST, DockerEngine

WORK = "i=0; while [ $i -lt {count} ]; do i=$((i + 1)); done; sleep 1"
ENVIRONMENT = {
    "CGROUP_PROCESS_MAP": '{"sleep": "runner"}',
    "GITHUB_REPOSITORY": "my-org/my-repo",
    "GITHUB_JOB": "build",
    "GITHUB_ACTIONS": "true",
}


@pytest.fixture(scope="module")
def collected(docker_engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> list[Collector]:
    """Two runs of one job, of which the second does twice the work."""
    done = []
    for count in (100_000, 200_000):
        with ExitStack() as stack:
            job = stack.enter_context(docker_engine.spawn(HOST, "sleep", "infinity", flags=["--memory=64m"]))
            collector = start_beside(
                docker_engine, job, tmp_path_factory.mktemp("run"), "--interval=200ms", env=ENVIRONMENT
            )
            job.exec("sh", "-c", WORK.format(count=count))
            collector.wait_for_samples()
            collector.stop()
            done.append(collector)
    return done


def report(*arguments: str | Path) -> str:
    """What `jobmeter report` prints."""
    return subprocess.run(
        [*JOBMETER, "report", *map(str, arguments)],
        env=jobmeter_environment(), capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def check_json(text: str, collector: Collector) -> None:
    """The journal holds the very summary that the collector wrote."""
    assert json.loads(text) == collector.summary()


def check_samples(text: str, collector: Collector) -> None:
    """One line a sample, in order, with the counters as they were read."""
    lines = [json.loads(line) for line in text.splitlines()]

    assert [line["elapsed_seconds"] for line in lines] == [
        one["sample"]["elapsed_seconds"] for one in collector.records("sample")
    ]
    assert all(line["containers"] for line in lines)


def check_table(text: str, collector: Collector) -> None:
    """A table that a spreadsheet reads, with the container in it."""
    rows = list(csv.reader(io.StringIO(text)))

    assert len({len(row) for row in rows}) == 1
    assert any("runner" in row for row in rows)


def check_series(text: str, collector: Collector) -> None:
    """What Prometheus' own parser reads, with the CPU time of the container."""
    cpu = container_of(collector.summary(), "runner")["cpu_seconds"]
    samples = [one for family in text_string_to_metric_families(text) for one in family.samples]

    assert any(one.labels.get("container") == "runner" and one.value == pytest.approx(cpu) for one in samples)


def check_page(text: str, collector: Collector) -> None:
    """One page that loads nothing from anywhere."""
    assert text.lower().startswith("<!doctype html>")
    assert "runner" in text
    assert 'src="http' not in text
    assert "<link" not in text


def check_words(text: str, collector: Collector) -> None:
    """Names of the job and of the container, and the limit."""
    for word in ("my-org/my-repo", "build", "runner", "64"):
        assert word in text


FORMS: dict[str, Callable[[str, Collector], None]] = {
    "json": check_json,
    "jsonl": check_samples,
    "csv": check_table,
    "openmetrics": check_series,
    "html": check_page,
    "markdown": check_words,
    "terminal": check_words,
}


@pytest.mark.parametrize("form", FORMS)
def test_journal_is_shown_in_every_form(collected: list[Collector], form: str) -> None:
    """Each form is made from the journal of a real collector and says what the summary says."""
    FORMS[form](report(f"--format={form}", collected[0].journal), collected[0])


def test_summary_file_is_shown_as_well(collected: list[Collector]) -> None:
    """The summary that the collector wrote is enough for a report, if without its samples."""
    directory = collected[0].directory

    assert json.loads(report("--format=json", directory / "summary.json")) == collected[0].summary()
    check_words(report(directory / "summary.json"), collected[0])


@pytest.mark.parametrize("form", ["terminal", "markdown"])
def test_two_journals_are_compared(collected: list[Collector], form: str) -> None:
    """Two runs of the job stand side by side, with what changed."""
    text = report(f"--format={form}", collected[0].journal, collected[1].journal)

    assert "runner" in text
    assert "%" in text
    assert "before" in text
    assert "after" in text
    assert "CPU time" in text


def test_journal_is_read_while_it_is_written(docker_engine: DockerEngine, tmp_path: Path) -> None:
    """A report of a run that goes on is one that has no end yet."""
    with docker_engine.spawn(HOST, "sleep", "infinity") as job:
        with start_beside(docker_engine, job, tmp_path, "--interval=100ms") as collector:
            collector.wait_for_samples()
            running = json.loads(report("--format=json", collector.journal))
        ended = json.loads(report("--format=json", collector.journal))

    assert running["exit"]["reason"] == "lost"
    assert ended["exit"]["reason"] == "unknown"
    assert ended["sample_count"] > running["sample_count"] >= 2
