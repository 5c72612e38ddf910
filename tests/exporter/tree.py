"""A cgroup hierarchy of a few files, an engine that says what a test wants, and a fleet over both."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from jobmeter.containers.catalog.facts import ContainerFacts, describe
from jobmeter.containers.catalog.sockets import EngineSocket
from jobmeter.containers.catalog.watcher import SocketState
from jobmeter.exporter.container import Row
from jobmeter.exporter.directory import Identities
from jobmeter.exporter.fleet import Fleet
from jobmeter.exporter.scrapers import Asking
from jobmeter.exporter.totals import Of, Sums
from jobmeter.linux.cgroup_mounts import Hierarchy
from jobmeter.linux.descriptors import Descriptors

BEGAN = 1000.0
DOCKER = EngineSocket("docker", "/run/docker.sock")


class Catalog:
    """What an engine would say, and how often it was asked."""

    def __init__(self) -> None:
        self.facts: dict[str, ContainerFacts] = {}
        self.version = 0
        self.asked = 0
        self.sockets = (DOCKER, EngineSocket("docker", "/run/podman/podman.sock"))

    def lookup(self, container_id: str) -> ContainerFacts | None:
        self.asked += 1
        return self.facts.get(container_id)

    def told_by(self, container_id: str) -> EngineSocket | None:
        return DOCKER if container_id in self.facts else None

    def states(self) -> list[SocketState]:
        """Of two sockets that speak Docker's API, one is Podman's."""
        places = ((DOCKER.path, "docker"), ("/run/podman/podman.sock", "podman"))
        return [
            SocketState(
                path=path, engine=engine, status="connected", reason=None, since=BEGAN, containers=0, dropped=0,
                connections=1,
            )
            for path, engine in places
        ]  # fmt: skip

    def put(
        self,
        container_id: str,
        name: str = "",
        labels: Mapping[str, str] | None = None,
        *,
        engine: str = "docker",
        pod_id: str = "",
    ) -> None:
        facts = describe(
            engine=engine, container_id=container_id, name=name, image="bb:1", labels=labels or {},
            created=None, pod_id=pod_id,
        )  # fmt: skip
        assert facts is not None
        self.facts[container_id] = facts
        self.version += 1


class Tree:
    """The unified hierarchy below `root`. What is counted of a cgroup is in those above it too."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.used: dict[str, float] = {}
        self.kills: dict[str, int] = {}
        self.written: dict[str, dict[str, int]] = {}
        """Bytes, by device."""
        root.mkdir()

    def make(self, path: str) -> None:
        self.used[path], self.kills[path], self.written[path] = 0.0, 0, {}
        (self.root / path.lstrip("/")).mkdir(parents=True)
        (self._file(path, "cgroup.procs")).write_text("")
        self._write(path)
        self._write_others(path)

    def kill(self, path: str) -> None:
        """For want of memory."""
        for one in self._with_those_above(path):
            self.kills[one] += 1
            self._write_others(one)

    def write(self, path: str, device: str, count: int) -> None:
        for one in self._with_those_above(path):
            self.written[one][device] = self.written[one].get(device, 0) + count
            self._write_others(one)

    def unplug(self, device: str) -> None:
        """The kernel tells of it no more."""
        for path, counts in self.written.items():
            counts.pop(device, None)
            self._write_others(path)

    def use(self, path: str, seconds: float) -> None:
        for one in self._with_those_above(path):
            self.used[one] += seconds
            self._write(one)

    def remove(self, path: str) -> None:
        shutil.rmtree(self.root / path.lstrip("/"))
        for counted in (self.used, self.kills, self.written):
            del counted[path]

    def _with_those_above(self, path: str) -> list[str]:
        return [one for one in self.used if path == one or path.startswith(f"{one}/")]

    def _write_others(self, path: str) -> None:
        self._file(path, "memory.events").write_text(f"max 0\noom_kill {self.kills[path]}\n")
        lines = (f"{device} rbytes=0 wbytes={n} rios=0 wios=1\n" for device, n in self.written[path].items())
        self._file(path, "io.stat").write_text("".join(lines))

    def _write(self, path: str) -> None:
        usage = round(self.used[path] * 1e6)
        text = f"usage_usec {usage}\nuser_usec {usage}\nsystem_usec 0\n".encode()
        with self._file(path, "cpu.stat").open("r+b" if usage else "wb") as file:
            file.write(text)

    def _file(self, path: str, name: str) -> Path:
        return self.root / path.lstrip("/") / name


class Watched:
    """A fleet over a tree, and clocks that a test moves on; ``now`` may be set, as that of a machine is."""

    def __init__(
        self, directory: Path, *, linger_seconds: float = 60.0, there: Mapping[str, float] | None = None
    ) -> None:
        """``there`` are containers of before it, with what they have used; nothing is read yet where it is given."""
        self.proc = directory / "proc"
        (self.proc / "self").mkdir(parents=True)
        self.now = BEGAN
        self.passed = 0.0
        self.tree, self.catalog = Tree(directory / "cgroup"), Catalog()
        (self.tree.root / "docker").mkdir()
        self.identities = Identities(
            self.catalog, root=str(directory / "proc"), clock=lambda: self.now, monotonic=lambda: self.passed
        )
        self.fleet = Fleet(
            [Hierarchy(("",), str(self.tree.root), "/")], self.identities, linger_seconds=linger_seconds,
            descriptors=Descriptors(1000), root=str(directory / "proc"), clock=lambda: self.now,
            monotonic=lambda: self.passed,
        )  # fmt: skip
        for path, seconds in (there or {}).items():
            self.tree.make(path)
            self.tree.use(path, seconds)
        if there is None:
            self.fleet.tick()

    def tick(self, seconds: float = 0.0) -> None:
        """Who comes and goes is noticed, and so much later everything is read."""
        self.fleet.wait(0.001)
        self.now += seconds
        self.passed += seconds
        self.fleet.tick()

    def row(self, path: str) -> Row:
        return next(row for row in self.fleet.rows if row.path == path)

    def totals(self) -> dict[Of, Sums]:
        """As a scraper sees them that is here for the first time."""
        return {
            of: sums for of, sums in self.fleet.totals.shown_to(Asking(f"at {self.now}")) if sums != Sums()
        }

    def cpu(self) -> dict[Of, float]:
        return {of: round(sums.cpu_seconds, 6) for of, sums in self.totals().items()}

    def close(self) -> None:
        self.fleet.close()
