"""The list of the jobs that run now."""

from __future__ import annotations

import asyncio
from typing import Any

from jobmeter.exporter.container import Identity, Row
from jobmeter.exporter.jobs import RunningJobs
from jobmeter.model.account import Account, Bounds
from jobmeter.model.job import Job

BUILD = Job(
    forge="forgejo", server_url="https://forge.example/", repository="acme/engine", workflow="ci", job="build"
)


def row(started: float, job: Job | None, task_id: str | None = None, **more: Any) -> Row:
    return Row(
        id=f"c{started}", path=f"/c{started}", parent=None, engine=None, pod=None, account=Account(),
        bounds=Bounds(), started=started, identity=Identity(job=job, task_id=task_id), **more,
    )  # fmt: skip


def listed(*rows: Row) -> list[dict[str, str]]:
    return [dict(one) for one in asyncio.run(RunningJobs(lambda: rows, clock=lambda: 100.0).jobs())]


def test_each_execution_is_there_once_with_its_oldest_container() -> None:
    """Two of the same names are two."""
    found = listed(row(50.0, BUILD, "7"), row(40.0, BUILD, "7"), row(60.0, BUILD, "8"), row(1.0, None))
    assert [(one["task_id"], one["duration"], one["containers"]) for one in found] == [
        ("7", "60s", "2"), ("8", "40s", "1"),
    ]  # fmt: skip
    assert found[0] == {
        "url": "https://forge.example/acme/engine", "state": "running", "duration": "60s", "containers": "2",
        "forge": "forgejo", "repository": "acme/engine", "workflow": "ci", "job": "build", "task_id": "7",
    }  # fmt: skip


def test_what_is_over_does_not_run() -> None:
    """Its last values are still shown elsewhere."""
    assert listed(row(50.0, BUILD, "7", ended=60.0)) == []


def test_what_is_not_known_is_left_out() -> None:
    """A task without a repository, a job without a task."""
    found = listed(row(2.0, Job(forge="gitea"), "7"), row(1.0, Job(job="x", matrix={"os": "linux"})))
    assert [sorted(one) for one in found] == [
        ["containers", "duration", "job", "state"],
        ["containers", "duration", "forge", "state", "task_id"],
    ]
