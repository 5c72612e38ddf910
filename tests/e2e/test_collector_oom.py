"""OOM kills beside `jobmeter collector`: of a child, and of a container's own first process, which takes it along."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.support.collectors import Collector, container_of, start_beside, start_on_host
from tests.e2e.support.docker import HOST, Container, DockerEngine

MIB = 1024 * 1024
LIMIT = 64 * MIB
LIMITED = ["--memory=64m", "--memory-swap=64m"]
EAT = "eaten = []\nwhile True: eaten.append(bytearray(b'x') * 1000000)"
WAIT_THEN_EAT = f"import os, time\nwhile not os.path.exists('/tmp/eat'): time.sleep(0.01)\n{EAT}"

KILLED = 137


class View(NamedTuple):
    """Where a collector stands: whether events wake it, so that it sees what is gone before the next tick."""

    arguments: list[str]
    flags: list[str]
    hears: bool


Killed = tuple[Container, dict[str, dict[str, Any]]]
"""A container in which a process was killed, and what each collector said of it."""

BESIDE = {
    "host's cgroups": View(["--cgroup-path=/host/cgroup"], ["--volume=/sys/fs/cgroup:/host/cgroup"], True),
    "peer's root": View([], [], False),
}
VIEWS = [*BESIDE, "on the host"]


@pytest.fixture(scope="module")
def child_killed(docker_engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killed]:
    """A step of a container that goes on was killed."""
    with ExitStack() as stack:
        pause, collectors = _start(stack, docker_engine, tmp_path_factory.mktemp("child"))
        job = stack.enter_context(_limited(docker_engine, pause, "sleep", "infinity"))
        _wait(collectors, job)
        assert job.exec("python3", "-c", EAT, check=False).returncode == KILLED
        assert job.inspect()["State"]["Running"]
        yield job, _stop(collectors)


@pytest.fixture(scope="module")
def first_killed(docker_engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killed]:
    """The first process of a container was killed, so that its cgroup went with it."""
    with ExitStack() as stack:
        pause, collectors = _start(stack, docker_engine, tmp_path_factory.mktemp("first"))
        job = stack.enter_context(_limited(docker_engine, pause, "python3", "-c", WAIT_THEN_EAT))
        _wait(collectors, job)
        job.exec("touch", "/tmp/eat")
        assert job.wait() == KILLED
        assert job.inspect()["State"]["OOMKilled"]
        yield job, _stop(collectors)


def _start(stack: ExitStack, engine: DockerEngine, out: Path) -> tuple[Container, dict[str, Collector]]:
    pause = stack.enter_context(engine.spawn(HOST, "sleep", "infinity"))
    collectors = {
        name: start_beside(
            engine, pause, out / str(number), "--interval=1s", *view.arguments, flags=view.flags
        )
        for number, (name, view) in enumerate(BESIDE.items())
    }
    collectors["on the host"] = start_on_host(out / "host", "--interval=1s")
    for collector in collectors.values():
        stack.enter_context(collector)
    return pause, collectors


def _limited(engine: DockerEngine, pause: Container, *argv: str) -> Container:
    return engine.spawn(HOST, *argv, flags=[f"--pid=container:{pause.id}", *LIMITED])


def _wait(collectors: dict[str, Collector], job: Container) -> None:
    for collector in collectors.values():
        collector.wait_for_container(f"docker-{job.id[:12]}")
        collector.wait_for_samples()


def _stop(collectors: dict[str, Collector]) -> dict[str, dict[str, Any]]:
    for collector in collectors.values():
        collector.wait_for_samples()
    return {name: collector.stop() for name, collector in collectors.items()}


@pytest.mark.parametrize("view", VIEWS)
def test_kill_of_a_child_is_the_cause_for_certain(child_killed: Killed, view: str) -> None:
    """The container lives on, so every view can read the account of its kills: reason, limit, certainty."""
    job, summaries = child_killed
    container, exit_ = container_of(summaries[view], job.id), summaries[view]["exit"]

    assert container["oom_kills"] == 1
    assert (exit_["reason"], exit_["certainty"]) == ("oom", "certain")
    assert "killed a process" in exit_["detail"]
    assert "the memory limit is 64 MiB" in exit_["detail"]


@pytest.mark.parametrize("view", [name for name in VIEWS if name != "peer's root"])
def test_kill_of_the_first_process_is_the_cause_for_certain(first_killed: Killed, view: str) -> None:
    """Where the cgroup's event can be heard, its account is read before it goes."""
    job, summaries = first_killed
    container, exit_ = container_of(summaries[view], job.id), summaries[view]["exit"]

    assert container["oom_kills"] == 1
    assert (exit_["reason"], exit_["certainty"]) == ("oom", "certain")
    assert "the memory limit is 64 MiB" in exit_["detail"]
    assert container["memory_charged_peak_bytes"] == pytest.approx(LIMIT, rel=0.01)


def test_kill_of_the_first_process_is_probable_where_no_event_is_heard(
    first_killed: Killed,
) -> None:
    """Cgroups of v1 that may not be written to raise no event: what is left is the machine's count of kills."""
    job, summaries = first_killed
    exit_ = summaries["peer's root"]["exit"]
    certain = container_of(summaries["peer's root"], job.id)["oom_kills"]

    assert (exit_["reason"], exit_["certainty"]) == ("oom", "certain" if certain else "probable")
    assert f"docker-{job.id[:12]} ended when the kernel killed a process" in exit_["detail"] or certain


@pytest.mark.parametrize("killed", ["child_killed", "first_killed"])
def test_biggest_process_is_named(killed: str, request: pytest.FixtureRequest) -> None:
    """The process that ate the memory is in the detail and at the top of the list, with what it held.

    On the host, where exit records tell of it; from beside, an event wakes the collector, which may come too late.
    """
    job, summaries = request.getfixturevalue(killed)
    summary = summaries["on the host"]
    biggest = max(
        (one for one in summary["top_mem_processes"] if one["container"] == f"docker-{job.id[:12]}"),
        key=lambda one: one["peak_memory_bytes"],
    )

    assert biggest["name"] == "python3"
    assert biggest["peak_memory_bytes"] > LIMIT / 2
    assert "the biggest process was python3 with" in summary["exit"]["detail"]


def test_small_process_is_not_blamed(child_killed: Killed) -> None:
    """What ate the memory between two samples is not named; neither is what merely was there."""
    _, summaries = child_killed

    assert "sleep" not in summaries["peer's root"]["exit"]["detail"]
