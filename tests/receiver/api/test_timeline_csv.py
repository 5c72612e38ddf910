"""The course of a run as CSV."""

from __future__ import annotations

import csv

import msgspec

from jobmeter.report.tables import TIMELINE_FIELDS
from tests.receiver.api.running import RunningReceiver
from tests.receiver.api.test_runs import records_of, summary_of, uid


def test_a_row_per_container_and_bucket_has_the_numbers_of_the_timeline(receiver: RunningReceiver) -> None:
    """The columns of a report, for whoever has no JSON reader."""
    receiver.stream(records_of(300))
    course = receiver.get(f"/api/v1/runs/{uid(300)}/timeline?resolution=1s").json()
    answer = receiver.get(f"/api/v1/runs/{uid(300)}/timeline.csv?resolution=1s")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="run.csv"'
    rows = list(csv.DictReader(answer.text.splitlines()))
    assert tuple(rows[0]) == TIMELINE_FIELDS
    assert len(rows) == len(course["containers"]) * len(course["elapsed_seconds"])
    means = course["containers"][0]["cpu_cores"]["avg"]
    told = [row["cpu_cores"] for row in rows[: len(means)]]
    assert told == ["" if mean is None else str(mean) for mean in means]


def test_of_a_summary_alone_a_row_per_container(receiver: RunningReceiver) -> None:
    """And no name is a formula."""
    summary = summary_of(301)
    summary.containers[0].name = "=1+1"
    receiver.push(summary)
    (row,) = csv.DictReader(receiver.get(f"/api/v1/runs/{uid(301)}/timeline.csv").text.splitlines())
    assert (row["name"], row["run_uid"]) == ("'=1+1", uid(301))


def test_what_is_not_there_is_said(receiver: RunningReceiver) -> None:
    """No run, no summary that can be read, no number of points."""
    receiver.push(msgspec.Raw(b'{"cpu":1}'), organization="csv", repository="csv/r", workflow="w", job="j")
    (run,) = receiver.get("/api/v1/runs?organization=csv").json()["runs"]
    for path, status in (
        (f"/api/v1/runs/{uid(399)}/timeline.csv", 404),
        (f"/api/v1/runs/{uid(301)}/timeline.csv?points=0", 400),
    ):
        assert receiver.get(path).status_code == status
    assert receiver.get(f"/api/v1/runs/{run['run_uid']}/timeline.csv").status_code == 404
