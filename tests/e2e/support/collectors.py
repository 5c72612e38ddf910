"""Collectors as jobs have them: in a container beside the job, or as a process of the host.

Each writes a journal and a summary into a directory of the test's, so that what it has seen can be awaited and
what it said can be read, however it ended.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from tests.e2e.support.cgroup import V2, own_cgroups
from tests.e2e.support.components import JOBMETER, jobmeter_environment
from tests.e2e.support.docker import Container, DockerEngine

PATIENCE_SECONDS = 60.0
JOURNAL = "journal.jsonl"
SUMMARY = "summary.json"
BESIDE = Path("/out")
"""Where the directory of the test is mounted in a collector's container."""

Record = dict[str, Any]
Found = TypeVar("Found")


def wait_until(look: Callable[[], Found], what: str, seconds: float = PATIENCE_SECONDS) -> Found:
    """The first true value that `look` returns."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(0.02)
    return found


def read_records(journal: Path) -> list[Record]:
    """Every whole record of a journal; the last line may be torn, or still be on its way."""
    text = journal.read_bytes() if journal.exists() else b""
    whole, _, _ = text.rpartition(b"\n")
    return [json.loads(line) for line in whole.splitlines() if line]


class Running(Protocol):
    """A collector that can be told to stop."""

    @property
    def pid(self) -> int:
        """Its process, as the host sees it."""

    def stop(self) -> int:
        """Stop it by SIGTERM and return its exit code."""

    def kill(self) -> None:
        """SIGKILL."""

    def ended(self) -> bool:
        """Whether it has ended by itself."""

    def log(self) -> str:
        """Its messages up to now."""


@dataclass(frozen=True)
class Collector:
    """One collector between its start and `stop`."""

    directory: Path
    running: Running

    @property
    def pid(self) -> int:
        """Its process, as the host sees it."""
        return self.running.pid

    @property
    def journal(self) -> Path:
        """The journal that it writes."""
        return self.directory / JOURNAL

    def records(self, kind: str | None = None) -> list[Record]:
        """What its journal holds now, or only the records of one kind."""
        return [one for one in read_records(self.journal) if kind in (None, one["kind"])]

    def wait_for(self, what: Callable[[list[Record]], object], say: str) -> None:
        """Wait until the journal's records satisfy `what`."""
        try:
            wait_until(lambda: what(self.records()) or self.running.ended(), say)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; the collector says:\n{self.log()}") from None
        if not what(self.records()):
            raise RuntimeError(f"the collector ended before {say}:\n{self.log()}")

    def wait_for_samples(self, count: int = 2, since: int | None = None) -> None:
        """Wait for so many more samples than `since`, or than now: the last of two was begun after the call."""
        before = len(self.records("sample")) if since is None else since
        self.wait_for(
            lambda records: sum(one["kind"] == "sample" for one in records) >= before + count,
            f"{count} more samples",
        )

    def wait_for_container(self, name: str) -> None:
        """Wait until a container has been declared by this name."""
        self.wait_for(
            lambda records: any(one.get("container", {}).get("name") == name for one in records),
            f"a container called {name}",
        )

    def wait_for_container_of(self, id_: str) -> None:
        """Wait until the container with this id has been declared."""
        self.wait_for(
            lambda records: any(one.get("container", {}).get("id") == id_ for one in records),
            f"the container {id_[:12]}",
        )

    def stop(self) -> Record:
        """Stop it and return the summary that it wrote."""
        code = self.running.stop()
        assert code == 0, self.log()
        return self.summary()

    def summary(self) -> Record:
        """The summary that it wrote."""
        return dict(json.loads((self.directory / SUMMARY).read_text()))

    def log(self) -> str:
        """What it said."""
        return self.running.log()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.running.stop()


def container_of(summary: Record, name_or_id: str) -> Record:
    """One container of a summary."""
    names = [(one["name"], one["id"]) for one in summary["containers"]]
    for one in summary["containers"]:
        if name_or_id in (one["name"], one["id"]):
            return dict(one)
    raise LookupError(f"no container {name_or_id} among {names}")


# --- in a container


@dataclass(frozen=True)
class _Beside:
    container: Container
    pid: int

    def stop(self) -> int:
        if self.container.inspect()["State"]["Running"]:
            return self.container.stop()
        return int(self.container.inspect()["State"]["ExitCode"])

    def kill(self) -> None:
        self.container.kill()
        self.container.wait()

    def ended(self) -> bool:
        return not Path(f"/proc/{self.pid}").exists()

    def log(self) -> str:
        return self.container.logs()


def start_beside(
    engine: DockerEngine,
    job: Container,
    directory: Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    flags: Sequence[str] = (),
    wait: bool = True,
) -> Collector:
    """Start a collector in a container that shares the pid namespace of `job`, and wait for its first sample."""
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o777)  # a collector may run as another user
    before = sum(one["kind"] == "sample" for one in read_records(directory / JOURNAL))
    container = engine.run_collector(
        f"--journal={BESIDE}/{JOURNAL}",
        f"--json={BESIDE}/{SUMMARY}",
        "--log-format=text",
        *arguments,
        env=env,
        flags=[f"--pid=container:{job.id}", f"--volume={directory}:{BESIDE}", *flags],
    )
    collector = Collector(directory, _Beside(container, container.pid))
    if wait:
        collector.wait_for_samples(1, since=before)
    return collector


# --- on the host


@dataclass(frozen=True)
class _OnHost:
    process: subprocess.Popen[bytes]
    messages: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)

    def ended(self) -> bool:
        return self.process.poll() is not None

    def log(self) -> str:
        return self.messages.read_text()


@dataclass(frozen=True)
class HostCollector(Collector):
    """A collector that is a process of the host."""

    process: subprocess.Popen[bytes]


def start_on_host(
    directory: Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    within: Sequence[str] = (),
    to_stdout: bool = False,
    wait: bool = True,
) -> HostCollector:
    """Start a collector on the host, by the command `within` if there is one, and wait for its first sample.

    With `to_stdout` it is told of no file for the summary.
    """
    directory.mkdir(parents=True, exist_ok=True)
    before = sum(one["kind"] == "sample" for one in read_records(directory / JOURNAL))
    messages = directory / "messages"
    command = [
        *within, *JOBMETER, "collector",
        f"--journal={directory / JOURNAL}", *([] if to_stdout else [f"--json={directory / SUMMARY}"]),
        "--log-format=text", *arguments,
    ]  # fmt: skip
    with messages.open("ab") as log:
        process = subprocess.Popen(
            command,
            env=jobmeter_environment(**dict(env or {})),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    collector = HostCollector(directory, _OnHost(process, messages), process)
    if wait:
        collector.wait_for_samples(1, since=before)
    return collector


# --- accounts that no collector has a part in


def cgroup_of(container: Container, controller: str, parent: str = "/docker") -> Path:
    """The directory of a container's cgroup: of a v1 controller, or of the unified hierarchy (`V2`)."""
    own = own_cgroups()
    directory = own.get(controller, own[V2])
    mount_point = next(path for path in (directory, *directory.parents) if path.is_mount())
    return mount_point / parent.strip("/") / container.id


def cpuacct_seconds(container: Container, parent: str = "/docker") -> float:
    """CPU time of a container by cgroup v1."""
    return int((cgroup_of(container, "cpuacct", parent) / "cpuacct.usage").read_text()) / 1e9


def unified_seconds(container: Container, parent: str = "/docker") -> float:
    """CPU time of a container by the unified hierarchy, which a collector leaves aside where there is v1."""
    text = (cgroup_of(container, V2, parent) / "cpu.stat").read_text()
    return int(dict(line.split() for line in text.splitlines())["usage_usec"]) / 1e6


def descriptors(pid: int) -> int:
    """How many descriptors a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))
