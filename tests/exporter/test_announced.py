"""Which containers are an announced task's, and that no more is kept than was said."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from jobmeter.containers.cgroup_path import locate
from jobmeter.exporter import announced
from jobmeter.exporter.announced import KEPT_SECONDS, LONGEST_SECONDS, Announcements
from jobmeter.exporter.attribution import NEAR_SECONDS
from jobmeter.identity.containers import ContainerIdentity
from jobmeter.model.job import Job
from jobmeter.ops.hooks.events import TaskEvent
from tests.exporter.told import ENVIRON, JOB, OWN, TASK, A, B, Host, docker, hashed

TOLD = Job(
    forge="forgejo", server_url="https://forge.example", organization="org", repository="org/tool",
    job="build", run_id="31", runner="builder-1",
)  # fmt: skip
STARTED = TaskEvent(event="on_task_started", task_id="12", job=TOLD)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def known(host: Host, container_id: str) -> tuple[Job | None, str | None, str | None]:
    identity = host.identity(docker(container_id))
    return identity.job, identity.task_id, identity.attribution


@pytest.mark.parametrize(
    "place",
    [
        {"container_id": A},
        {"container_id": A[:12]},
        {"cgroup": f"/docker/{A}"},
        {"cgroup": "/docker"},
        {"cgroup": "/docker/"},
    ],
)
def test_a_container_that_is_named(host: Host, place: dict[str, Any]) -> None:
    """By its id, by its cgroup or by one around it, from then on."""
    host.begin(docker(A), 10)
    assert known(host, A) == (None, None, None)
    host.announced.start(replace(STARTED, **place))
    assert known(host, A) == (TOLD, "12", "announced")


def test_a_container_that_the_process_is_in(host: Host) -> None:
    """And what lies in it."""
    host.begin(docker(A), 10)
    host.begin(docker(A) + docker(B))
    host.announced.start(STARTED, around=docker(A))
    assert known(host, A)[1:] == ("12", "announced")
    inner = host.identity(docker(A) + docker(B))
    assert (inner.job, inner.execution) == (TOLD, host.identity(docker(A)).execution)


@pytest.mark.parametrize("labels", [OWN, {}])
def test_what_was_announced_wins_over_what_a_job_can_feign(host: Host, labels: dict[str, str]) -> None:
    """Labels and environment; where these do not contradict they tell the rest."""
    host.catalog.put(A, labels=labels)
    host.begin(docker(A), 10)
    environ = {**ENVIRON, "GITHUB_REPOSITORY": "somebody/else", "GITHUB_WORKFLOW_REF": "x"}
    host.proc.put(10, docker(A), parent=5, environ=environ)
    host.identity(docker(A))
    host.announced.start(replace(STARTED, container_id=A))
    assert known(host, A) == (TOLD, "12", "announced")


def test_a_container_that_is_named_within_another_job(host: Host) -> None:
    """Is the announced task's none the less: the one who said so has made it."""
    host.catalog.put(A, labels=OWN)
    host.begin(docker(A), 10)
    host.begin(docker(A) + docker(B))
    assert host.identity(docker(A) + docker(B)).attribution == "nesting"
    host.announced.start(replace(STARTED, cgroup=docker(A) + docker(B)))
    assert host.identity(docker(A) + docker(B)).job == TOLD
    assert host.identity(docker(A)).attribution == "own"


def test_an_id_within_another_container_proves_nothing(host: Host) -> None:
    """Whoever can make cgroups there can choose it."""
    host.begin(docker(B))
    host.begin(docker(B) + docker(A))
    host.announced.start(replace(STARTED, container_id=A))
    assert host.identity(docker(B) + docker(A)).attribution is None


def test_a_number_in_a_name(host: Host) -> None:
    """Tells a container and its services before anything runs in them, for Gitea's names too; once."""
    host.announced.start(STARTED)
    host.catalog.put(A, TASK)
    host.catalog.put(B, hashed(TASK.replace("_", "-"), "redis"))
    host.begin(docker(A), 10)
    host.begin(docker(B))
    assert known(host, A)[1:] == known(host, B)[1:] == ("12", "announced")
    assert host.identity(docker(A)).job == TOLD
    assert host.identity(docker(A)).execution == host.identity(docker(B)).execution


def test_the_environment_adds_to_a_number(host: Host) -> None:
    """What was not announced."""
    host.announced.start(STARTED)
    host.catalog.put(A, TASK)
    host.begin(docker(A), 10)
    host.proc.put(10, docker(A), parent=5, environ={**ENVIRON, "GITHUB_SHA": "c0ffee"})
    job, _, attribution = known(host, A)
    assert job is not None
    assert (job.sha, job.runner, attribution) == ("c0ffee", "builder-1", "announced")


@pytest.mark.parametrize("field", ["GITHUB_REPOSITORY", "GITHUB_RUN_ID"])
def test_another_word_than_the_announced_one(host: Host, field: str) -> None:
    """It is another server's task of the same number, or feigned: neither is believed."""
    host.announced.start(STARTED)
    host.catalog.put(A, TASK)
    host.begin(docker(A), 10)
    host.proc.put(10, docker(A), parent=5, environ={**ENVIRON, field: "99/x"})
    assert known(host, A) == (Job(forge="gitea"), "12", "own")


@pytest.mark.parametrize(
    "change",
    [
        {"task_id": "13"},
        {"job": replace(TOLD, forge="gitlab")},
        {"time": datetime.fromtimestamp(500, UTC), "over": 600.0},
    ],
)
def test_a_number_of_another_task(host: Host, change: dict[str, Any]) -> None:
    """Of another forge, or of long ago."""
    over = change.pop("over", None)
    now, host.now = host.now, over or host.now
    host.announced.start(replace(STARTED, **change))
    if over:
        host.announced.end(replace(STARTED, **change))
    host.now = now
    host.catalog.put(A, TASK)
    host.begin(docker(A))
    assert known(host, A) == (Job(forge="gitea"), "12", "own")


def test_one_that_was_there_before_the_task(host: Host) -> None:
    """Is another server's, unless it is just before; named, it is the task's none the less."""
    host.catalog.put(A, TASK)
    host.catalog.put(B, TASK.replace("9", "8"))
    host.begin(docker(A))
    host.now += NEAR_SECONDS + 1
    host.begin(docker(B))
    host.announced.start(STARTED)
    assert (known(host, A)[2], known(host, B)[2]) == ("own", "announced")
    host.announced.start(replace(STARTED, container_id=A))
    assert known(host, A)[2] == "announced"


def test_two_servers_with_one_number(host: Host) -> None:
    """Nobody knows which, unless the announcement names the container."""
    other = replace(TOLD, server_url="https://other.example", repository="other/tool")
    for job in (TOLD, other):
        host.announced.start(replace(STARTED, job=job))
    host.catalog.put(A, TASK)
    host.begin(docker(A))
    assert known(host, A)[0] == Job(forge="gitea")
    host.announced.start(replace(STARTED, job=other, container_id=A))
    assert known(host, A)[0] == other


def test_gitlab_says_itself(host: Host) -> None:
    """Its labels tell the repository; what they leave open is announced."""
    labels = {
        "com.gitlab.gitlab-runner.job.id": "12",
        "com.gitlab.gitlab-runner.job.url": "https://gitlab.example/org/tool/-/jobs/12",
    }
    host.catalog.put(A, labels=labels)
    host.begin(docker(A))
    host.announced.start(replace(STARTED, job=Job(forge="gitlab", repository="org/tool", runner="shell-1")))
    job, _, attribution = known(host, A)
    assert job is not None
    assert (job.server_url, job.runner, attribution) == ("https://gitlab.example", "shell-1", "own")


def test_a_container_that_works_on_one_task_after_the_other(host: Host) -> None:
    """Is each one's while that runs, and another execution each time; a while after the last it is nobody's."""
    host.begin(docker(A), 10)
    executions = []
    for number in ("12", "13"):
        event = replace(STARTED, task_id=number, cgroup=docker(A))
        host.announced.start(event)
        identity = host.identity(docker(A), after=1)
        assert identity.task_id == number
        executions.append(identity.execution)
        host.announced.end(event)
        assert known(host, A)[1] == number
    assert len(set(executions)) == 2
    host.now += KEPT_SECONDS
    host.announced.expire()
    assert known(host, A) == (None, None, None)


def test_one_that_has_ended_stays_whose_it_was(host: Host) -> None:
    """For as long as it is shown."""
    host.begin(docker(A), 10)
    event = replace(STARTED, container_id=A)
    host.announced.start(event)
    host.identity(docker(A))
    host.end(docker(A))
    host.announced.end(event)
    host.now += KEPT_SECONDS
    host.announced.expire()
    assert known(host, A) == (TOLD, "12", "announced")


def test_said_again(host: Host) -> None:
    """It adds to what is known; the task keeps its beginning, and nothing is looked up again for the same word."""
    first = host.announced.start(replace(STARTED, container_id=A))
    host.now += 100
    host.announced.start(replace(STARTED, job=Job(server_url=TOLD.server_url)))
    version = host.announced.version
    host.announced.start(replace(STARTED, job=Job(server_url=TOLD.server_url)))
    assert host.announced.running() == [first]
    assert host.announced.version == version


def test_nothing_is_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks whose end nobody told, and more than a host can run."""
    now = [1000.0]
    book = Announcements(lambda: now[0])
    book.start(replace(STARTED, container_id=A, cgroup="/a", pid=7), around="/b")
    now[0] += LONGEST_SECONDS
    book.expire()
    assert (book.running(), book._by_mark) == ([], {})
    monkeypatch.setattr(announced, "MAX_TASKS", 10)
    for number in range(30):
        book.start(replace(STARTED, task_id=str(number)))
    assert [event.task_id for event in book.running()] == [str(number) for number in range(20, 30)]
    assert len(book._by_mark) == 10


def test_who_was_not_announced_is_looked_for_in_vain() -> None:
    """An end of an unknown task is none."""
    book = Announcements()
    book.end(STARTED)
    ref = locate(docker(A))
    assert ref is not None
    assert book.find(ref, ContainerIdentity(job=JOB, task_id="12"), 0.0, None) is None
    assert book.version == 0
