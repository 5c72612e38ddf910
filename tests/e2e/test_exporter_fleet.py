"""Real containers as the exporter sees them: each from its first moment, whole at its end, gone after a while."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from jobmeter.exporter.container import Container, Identity, Row
from jobmeter.exporter.fleet import Fleet
from jobmeter.linux.cgroup_mounts import parse_mountinfo
from jobmeter.linux.descriptors import Descriptors
from tests.e2e.support.docker import BUSYBOX, DockerEngine

BURN = ("sh", "-c", "timeout 0.3 sh -c 'while :; do :; done'; true")
PARENT = "/jobmeter-test-short"
USAGE = Path(f"/sys/fs/cgroup/cpuacct{PARENT}/cpuacct.usage")


class Nobody:
    """Knows nothing of any container."""

    def learn(self, containers: object) -> None:
        pass

    def identify(self, container: Container) -> Identity:
        return container.row.identity

    def forget(self, container: object) -> None:
        pass


@contextmanager
def watching(linger_seconds: float = 60.0) -> Iterator[Fleet]:
    """A fleet that ticks twice a second in a thread, as the daemon does."""
    hierarchies = parse_mountinfo(Path("/proc/self/mountinfo").read_text())
    fleet = Fleet(hierarchies, Nobody(), linger_seconds=linger_seconds, descriptors=Descriptors.of_process())
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            fleet.tick()
            fleet.wait(0.5)

    fleet.tick()
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield fleet
    finally:
        stop.set()
        thread.join()
        fleet.close()


def below_parent(fleet: Fleet) -> list[Row]:
    return [row for row in fleet.rows if row.path.startswith(f"{PARENT}/")]


def until(condition, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never comes true"
        time.sleep(0.05)


def usage() -> float:
    """The account of all containers below the parent, those that are gone included."""
    return int(USAGE.read_text()) / 1e9


def test_short_containers_are_whole(docker_engine: DockerEngine) -> None:
    """At least 99 % of the CPU time of containers that live for 300 ms, against their parent's account."""
    flags = [f"--cgroup-parent={PARENT}"]
    with docker_engine.spawn(BUSYBOX, "sleep", "600", flags=flags) as keeper, watching() as fleet:
        before, known = usage(), sum(row.account.cpu_seconds or 0 for row in below_parent(fleet))
        with ThreadPoolExecutor(3) as pool:
            runs = [pool.submit(docker_engine.run, BUSYBOX, *BURN, flags=flags) for _ in range(30)]
        assert [run.result().returncode for run in runs] == [0] * 30
        used = usage() - before
        until(lambda: sum(row.ended is not None for row in below_parent(fleet)) == 30)
        seen = sum(row.account.cpu_seconds or 0 for row in below_parent(fleet)) - known
        assert keeper.id in {row.id for row in below_parent(fleet)}
    assert used > 30 * 0.05
    assert 0.99 * used <= seen <= 1.01 * used


def test_a_container_is_there_at_once_and_goes_after_a_while(docker_engine: DockerEngine) -> None:
    """With its limits and its kernel's values; then nothing is held of it."""
    with watching(linger_seconds=1.0) as fleet:
        with docker_engine.spawn(BUSYBOX, "sleep", "600", flags=("--memory=64m", "--cpus=0.5")) as container:
            until(lambda: any(row.id == container.id for row in fleet.rows), 1.0)
            until(lambda: limits_of(fleet, container.id) == (64 * 2**20, 0.5))  # Runtimes set one by one.
            row = row_of(fleet, container.id)
            assert (row.engine, row.parent, row.ended) == ("docker", None, None)
            until(lambda: row_of(fleet, container.id).account.processes == 1)
            assert abs((row.started or 0.0) - time.time()) < 10
            assert held_of(container.id)
        until(lambda: row_of(fleet, container.id).ended is not None, 2.0)
        until(lambda: all(row.id != container.id for row in fleet.rows))
        assert held_of(container.id) == []


def held_of(container_id: str) -> list[str]:
    """Files of a container that are open."""
    links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    return [path for link in links if container_id in (path := _target(link))]


def _target(link: str) -> str:
    try:
        return os.readlink(link)
    except FileNotFoundError:
        return ""


def limits_of(fleet: Fleet, container_id: str) -> tuple[object, object]:
    bounds = row_of(fleet, container_id).bounds
    return bounds.memory_bytes, bounds.cpu_cores


def row_of(fleet: Fleet, container_id: str) -> Row:
    return next(row for row in fleet.rows if row.id == container_id)
