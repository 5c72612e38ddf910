"""Whose work a task is, in the words of all rooms."""

from __future__ import annotations

from typing import Any

import pytest

from jobmeter.gateway.forges import actions
from jobmeter.gateway.forges.port import Identity, Task, TaskFacts
from jobmeter.gateway.relay.home import Home
from jobmeter.gateway.relay.options import ForgeOptions
from jobmeter.gateway.relay.tasks import Memory
from tests.gateway.relay.rig import Messages, Told

TOLD = "https://told.example"
GIVEN = "https://user:secret@given.example/"


@pytest.mark.parametrize(
    "kind,public_url,told,seen",
    [
        ("forgejo", GIVEN, TOLD, "https://given.example"),
        ("forgejo", None, TOLD, TOLD),
        ("gitea", None, None, "http://forge.example/sub"),
        ("gitlab", GIVEN, TOLD, TOLD),
        ("gitlab", GIVEN, None, "https://given.example"),
    ],
)
def test_the_forge_is_where_the_job_sees_it(
    kind: Any, public_url: str | None, told: str | None, seen: str
) -> None:
    """Jobs of GitLab by what it tells them, others by what their runner was given."""
    options = ForgeOptions(name="f", kind=kind, url="http://forge.example/sub/", public_url=public_url)
    passing: Any = None
    home = Home(options, actions, passing, Memory(), Messages(), Told())
    task = Task(id="7", body=b"", encoding="proto", facts=TaskFacts(server_url=told, repository="a/b"))
    job = home.job_of(task, Identity(key="k", name="large-1", labels=("docker",)))
    assert (job.forge, job.server_url, job.repository) == (kind, seen, "a/b")
    assert (job.runner, job.runner_labels) == ("large-1", ("docker",))
