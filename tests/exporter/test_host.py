"""A host: its containers, and the machine that was read beside them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobmeter.exporter.container import Row
from jobmeter.exporter.exposition import Exposition
from jobmeter.exporter.host import Host
from jobmeter.exporter.machine import MachineReader
from jobmeter.exporter.scrapers import Asking
from tests.exporter.reading import read
from tests.exporter.rows import ELSEWHERE
from tests.exporter.tree import Watched

BUILD = "/docker/" + "4f" * 32
CONTAINERS = "jobmeter_container_cpu_usage_seconds_total"
USER = "jobmeter_host_cpu_seconds_total"


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """A container on a machine."""
    made = Watched(tmp_path)
    made.tree.make(BUILD)
    yield made
    made.close()


def write(watched: Watched, *, used: int) -> None:
    """So many seconds of the machine, 1 of them of the container."""
    (watched.proc / "stat").write_text(f"cpu  {used * 100} 0 0 0 0 0 0 0 0 0\ncpu0 1\n")
    watched.tree.use(BUILD, 1.0)


def test_the_machine_is_read_with_its_containers(watched: Watched) -> None:
    """A page shows both as they were at one moment, whatever has happened since."""
    host = Host(watched.fleet, None, MachineReader(str(watched.proc), {}), Exposition())

    def shown() -> dict[str, float]:
        page = read("".join(host.page(Asking("a scraper"), openmetrics=False)))
        return {
            one.name: one.value
            for one in page
            if one.name == CONTAINERS or (one.name == USER and one.labels["mode"] == "user")
        }

    write(watched, used=5)
    host.wait(0.001)
    host.tick()
    write(watched, used=7)
    assert shown() == {CONTAINERS: 1.0, USER: 5.0}

    host.tick()
    assert shown() == {CONTAINERS: 2.0, USER: 7.0}


class Source:
    """Another machine, of which nothing is told before the first tick."""

    rows: tuple[Row, ...] = ()

    def tick(self) -> None:
        self.rows = (ELSEWHERE,)


def test_containers_of_other_machines(watched: Watched) -> None:
    """They are shown after those of the host."""
    host = Host(watched.fleet, None, MachineReader(str(watched.proc), {}), Exposition(), (Source(),))
    host.wait(0.001)
    host.tick()
    assert [row.path for row in host.rows] == [BUILD, ELSEWHERE.path]
    assert host.shown == 2
    page = read("".join(host.page(Asking("a scraper"), openmetrics=False)))
    assert [one.labels["id"] for one in page if one.name == CONTAINERS] == [BUILD[8:], ELSEWHERE.path]
