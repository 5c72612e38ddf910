"""Every container from its beginning to its end and a while longer, and each second of it credited once."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator, Sized
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import astuple

from jobmeter.exporter import fleet as fleet_module
from jobmeter.exporter import looks as looks_module
from jobmeter.exporter.attribution import KEPT_SECONDS
from jobmeter.exporter.container import Container
from jobmeter.exporter.network import Traffic
from jobmeter.exporter.totals import Of, Sums
from jobmeter.linux.procfs import parse_stat
from tests.exporter.proc import Processes
from tests.exporter.tree import Watched
from tests.support.fake_host import open_descriptors

A, B, C = (f"/docker/{letter * 64}" for letter in "abc")
NOBODY, BUILD, TEST = Of(), Of("org/tool", "", "build"), Of("org/tool", "", "test")
LONG = 100.0
NO_PID = 2**22 + 1
"""Beyond what the kernel gives: nothing that runs is meant."""


def labels(of: Of) -> dict[str, str]:
    return {"jobmeter.repository": of.repo, "jobmeter.job": of.job, "jobmeter.run_id": "1"}


@contextmanager
def watched(linger_seconds: float = 60.0) -> Iterator[Watched]:
    """In memory, as cgroups are: disks take their time to remove files that are open."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with TemporaryDirectory(dir=memory, prefix="jobmeter-test-") as directory:
        host = Watched(Path(directory), linger_seconds=linger_seconds)
        try:
            yield host
        finally:
            host.close()


@pytest.fixture
def host() -> Iterator[Watched]:
    with watched() as host:
        yield host


def test_use_is_credited_as_it_grows(host: Watched) -> None:
    """To the job, as soon as it is known, and nothing twice."""
    host.catalog.put("a" * 64, labels=labels(BUILD))
    host.tree.make(A)
    host.tree.use(A, 1.5)
    host.tick(5)
    assert host.cpu() == {BUILD: 1.5}
    host.tick(5)
    host.tree.use(A, 0.5)
    host.tick(5)
    assert host.cpu() == {BUILD: 2.0}
    assert host.totals()[BUILD].jobs == 1


def test_legs_of_a_matrix(host: Watched) -> None:
    """Are jobs of their own in one row."""
    for path, leg in ((A, '{"os": "linux"}'), (B, '{"os": "macos"}')):
        host.catalog.put(path.removeprefix("/docker/"), labels={**labels(BUILD), "jobmeter.matrix": leg})
        host.tree.make(path)
        host.tree.use(path, 1.0)
    host.tick(5)
    assert (host.cpu(), host.totals()[BUILD].jobs) == ({BUILD: 2.0}, 2)


def test_name_that_comes_late(host: Watched) -> None:
    """What a container used before its name came is its job's too."""
    host.tree.make(A)
    host.tree.use(A, 1.0)
    host.tick(20)
    assert host.cpu() == {}
    host.catalog.put("a" * 64, labels=labels(BUILD))
    host.tick(5)
    assert host.cpu() == {BUILD: 1.0}


def test_name_that_comes_after_the_end(host: Watched) -> None:
    """Also when the container is gone by then, and shown with its name while it is shown."""
    host.tree.make(A)
    host.tree.use(A, 1.0)
    host.tick()
    host.tree.remove(A)
    host.tick()
    assert (host.row(A).ended, host.cpu()) == (host.now, {})
    host.catalog.put("a" * 64, "late", labels(BUILD))
    host.tick(20)
    assert (host.row(A).name, host.cpu()) == ("late", {BUILD: 1.0})


def test_name_that_never_comes(host: Watched) -> None:
    """After a time, or when it is shown no more, it is nobody's; what it used is not given away later."""
    for path in (A, B):
        host.tree.make(path)
        host.tree.use(path, 1.0)
    host.tick(5)
    host.tree.remove(B)
    host.tick(5)
    assert host.cpu() == {}
    host.tick(25)
    assert host.cpu() == {NOBODY: 2.0}
    host.catalog.put("a" * 64, labels=labels(BUILD))
    host.tree.use(A, 0.25)
    host.tick(5)
    assert host.cpu() == {NOBODY: 2.0, BUILD: 0.25}


def test_nested_use_is_credited_once(host: Watched) -> None:
    """What lies in a job's container is in its account already, and stays there when it is gone."""
    inner = A + B
    host.catalog.put("a" * 64, labels=labels(BUILD))
    for path in (A, inner):
        host.tree.make(path)
    host.tree.use(A, 1.0)
    host.tree.use(inner, 2.0)
    host.tick(5)
    assert host.row(inner).identity.attribution == "nesting"
    assert (host.row(A).account.cpu_seconds, host.cpu()) == (3.0, {BUILD: 3.0})
    host.tree.remove(inner)
    host.tick(5)
    host.tick(LONG)
    host.tree.use(A, 0.5)
    host.tick(5)
    assert host.cpu() == {BUILD: 3.5}
    host.tree.remove(A)
    host.tick(5)
    host.tick(LONG)
    assert (host.fleet.rows, host.cpu()) == ((), {BUILD: 3.5})


def test_jobs_in_the_container_of_a_runner(host: Watched) -> None:
    """Each has its own, and the runner what is left, whatever ends first."""
    root = Path(host.identities._root)
    (root / "self").rmdir()
    processes = Processes(root)
    for path, seconds in ((A, 1.0), (A + B, 2.0), (A + C, 4.0)):
        host.tree.make(path)
        host.tree.use(path, seconds)
    for pid, path, of in ((NO_PID, A + B, BUILD), (NO_PID + 1, A + C, TEST)):
        processes.put(pid, path, environ={"JOBMETER_REPOSITORY": of.repo, "JOBMETER_JOB": of.job})
        (host.tree.root / path.lstrip("/") / "cgroup.procs").write_text(f"{pid}\n")
    host.tick(40)
    assert host.cpu() == {NOBODY: 1.0, BUILD: 2.0, TEST: 4.0}
    host.tree.remove(A + B)
    host.tick(LONG)
    host.tree.use(A, 0.5)
    host.tree.use(A + C, 0.25)
    host.tick(LONG)
    assert host.cpu() == {NOBODY: 1.5, BUILD: 2.0, TEST: 4.25}


def test_reading_that_fails_within(host: Watched) -> None:
    """What cannot be read of a nested container for once is not the outer one's use."""
    host.catalog.put("a" * 64, labels=labels(BUILD))
    host.tree.make(A)
    host.tree.make(A + B)
    host.tree.use(A + B, 2.0)
    host.tick(5)
    file = host.tree.root / (A + B).lstrip("/") / "cpu.stat"
    kept = file.read_text()
    file.write_text("nonsense")
    host.tick(5)
    assert host.row(A + B).account.cpu_seconds is None
    file.write_text(kept)
    host.tick(5)
    assert host.cpu() == {BUILD: 2.0}


def test_same_path_again(host: Watched) -> None:
    """A new container of the same name is another one: nothing of the old one is taken for its own."""
    path = "/default/web"
    host.catalog.put("web", "web", labels(BUILD), engine="containerd")
    (host.tree.root / "default").mkdir()
    host.tree.make(path)
    host.tree.use(path, 2.0)
    host.tick(5)
    host.tree.remove(path)
    host.fleet.wait(0.001)
    host.tree.make(path)
    host.tree.use(path, 0.5)
    host.tick()
    host.tick(5)
    assert [row.account.cpu_seconds for row in host.fleet.rows] == [0.5]
    assert host.cpu() == {BUILD: 2.5}


def test_runner_that_is_started_again(host: Watched) -> None:
    """Of its new account nothing is taken off for those that lay in it before, shown or shown no more."""
    host.catalog.put("a" * 64, labels=labels(BUILD))
    for path in (A, A + B):
        host.tree.make(path)
    host.tree.use(A + B, 100.0)
    host.tick(5)
    for path in (A + B, A):
        host.tree.remove(path)
        host.tick(1)
    host.tree.make(A)
    for seconds, used in ((5, 50.0), (LONG, 20.0), (5, 0.0)):
        host.tick(3)
        host.tree.use(A, used)
        host.tick(seconds)
    assert host.cpu() == {BUILD: 170.0}


def test_three_levels_of_which_the_outermost_comes_again(host: Watched) -> None:
    """What the innermost used is not credited to the middle one when the outer one's name is taken."""
    host.catalog.put("a" * 64, labels=labels(BUILD))
    levels = (A, A + B, A + B + C)
    for path in levels:
        host.tree.make(path)
    host.tree.use(A + B + C, 100.0)
    host.tick(5)
    for path in reversed(levels):
        host.tree.remove(path)
    host.tick(1)
    host.tree.make(A)
    host.tick(3)
    assert host.cpu() == {BUILD: 100.0}


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_clock_that_is_set(host: Watched, step: float) -> None:
    """Of how long something has been it tells nothing: totals grow on, who ended is shown as long as any."""
    host.catalog.put("a" * 64, labels=labels(BUILD))
    host.tree.make(A)
    host.tick(1)
    host.now += step
    host.tree.use(A, 1.0)
    host.tick()
    assert host.cpu() == {}
    host.tick(5)
    assert host.cpu() == {BUILD: 1.0}
    host.tree.remove(A)
    host.tick()
    assert host.row(A).ended == host.now
    host.now -= step
    host.tick(59)
    assert host.fleet.shown == 1
    host.tick(2)
    assert host.fleet.shown == 0


def test_only_so_many_are_shown(host: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those that ended the oldest go first, and are credited; more than that are refused and counted."""
    monkeypatch.setattr(fleet_module, "MAX_CONTAINERS", 2)
    for number in range(4):
        path = f"/docker/{number:064x}"
        host.tree.make(path)
        host.tree.use(path, 1.0)
        host.tick()
        host.tree.remove(path)
        host.tick()
    assert [row.path[-1] for row in host.fleet.rows] == ["2", "3"]
    assert host.cpu() == {NOBODY: 2.0}
    for path in (A, B, C):
        host.tree.make(path)
    host.tick()
    assert host.fleet.refused == 1
    assert host.fleet.shown == len(host.fleet.rows) == 4


def test_refused_ones_are_taken_when_there_is_room(host: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are still there; each was counted once, and what lies in one taken late is not credited twice."""
    monkeypatch.setattr(fleet_module, "MAX_CONTAINERS", 2)
    for path in (B, C, A, "/docker/" + "d" * 64):
        host.tree.make(path)
        host.tick()
    host.tick(5)
    assert host.fleet.refused == 2
    host.tree.remove("/docker/" + "d" * 64)
    host.tree.remove(B)
    host.fleet.wait(0.001)
    host.tree.make(A + B)
    host.fleet.wait(0.001)
    host.tree.remove(C)
    host.tick()
    host.tree.use(A + B, 1.0)
    host.tick(LONG)
    assert host.fleet.refused == 2
    assert {row.path: row.parent for row in host.fleet.rows} == {A: None, A + B: "a" * 64}
    assert (host.cpu(), host.fleet._refused) == ({NOBODY: 1.0}, {})


def test_process_and_cgroup_that_end_at_once(host: Watched) -> None:
    """The one is told after the other is gone, on a busy host: neither is an error, and no descriptor is left."""
    before = open_descriptors()
    for path in (A, B):
        host.tree.make(path)
        with subprocess.Popen(["sleep", "60"]) as process:
            (host.tree.root / path.lstrip("/") / "cgroup.procs").write_text(f"{process.pid}\n")
            host.tick()
            host.tree.remove(path)
            process.kill()
        host.tick()
        assert host.row(path).ended == host.now
    assert open_descriptors() == before


def test_told_of_when_it_is_gone(host: Watched) -> None:
    """Of what came and went unseen nobody would tell the end: it is never shown."""
    host.fleet._note(came=[A], gone=[])
    host.tick()
    assert host.fleet.rows == ()


def test_what_lies_inside_is_no_other(host: Watched) -> None:
    """Directories that a container makes for itself leave it as it was."""
    host.tree.make(A)
    host.tree.use(A, 1.0)
    host.tick(LONG)
    before, container = open_descriptors(), host.fleet._containers[A]
    host.tree.make(f"{A}/init.scope")
    host.tick(5)
    assert host.fleet._containers == {A: container}
    assert (host.cpu(), open_descriptors()) == ({NOBODY: 1.0}, before)


@pytest.mark.parametrize("later, of_process", [(-1000.0, True), (1000.0, False)])
def test_when_it_began(host: Watched, later: float, of_process: bool) -> None:
    """When its first process did, where its cgroup was first looked at after that."""
    stat = Path("/proc/self/stat").read_bytes()
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - parse_stat(stat).start_seconds
    (host.proc / str(os.getpid())).mkdir()
    (host.proc / str(os.getpid()) / "stat").write_bytes(stat)
    host.tree.make(A)
    made = (host.tree.root / A.lstrip("/")).stat().st_ctime
    (host.tree.root / A.lstrip("/") / "cgroup.procs").write_text(f"{os.getpid()}\n")
    host.now = made + age + later
    host.tick()
    assert host.row(A).started == pytest.approx(host.now - age if of_process else made, abs=5)


def test_end_that_is_told_during_a_reading(host: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first process of a container ends when nobody waits: the account is read at once, as whole as it is."""
    host.tree.make(A)
    with subprocess.Popen(["sleep", "60"]) as process:
        (host.tree.root / A.lstrip("/") / "cgroup.procs").write_text(f"{process.pid}\n")
        host.tick()
        process.kill()
    read, asked = Container.read, list[bool]()

    def noted(container: Container, traffic: Traffic, *, whole: bool = False, **others: Any) -> None:
        asked.append(whole)
        read(container, traffic, whole=whole, **others)

    monkeypatch.setattr(Container, "read", noted)
    host.fleet.tick()
    assert asked == [True, False]


@pytest.mark.parametrize("young_seconds", [0.0, 100.0], ids=["while it lives", "at its end"])
def test_limits_that_come_late(host: Watched, monkeypatch: pytest.MonkeyPatch, young_seconds: float) -> None:
    """A runtime sets them when the first process is there; once known they stay, also when the cgroup is gone."""
    monkeypatch.setattr(looks_module, "_YOUNG_SECONDS", young_seconds)
    directory = host.tree.root / A.lstrip("/")
    host.tree.make(A)
    with subprocess.Popen(["sleep", "60"]) as process:
        (directory / "cgroup.procs").write_text(f"{process.pid}\n")
        host.tick()
        assert host.row(A).bounds.memory_bytes is None
        (directory / "memory.max").write_text("1000\n")
        if young_seconds:
            process.kill()
        host.fleet.wait(0.1)
        assert host.row(A).bounds.memory_bytes == 1000
        process.kill()
    host.tree.remove(A)
    host.tick()
    assert (host.row(A).ended, host.row(A).bounds.memory_bytes) == (host.now, 1000)


def test_wake(host: Watched) -> None:
    """Ends the waiting that is under way, or the next one, once."""
    begun = time.monotonic()
    threading.Timer(0.05, host.fleet.wake).start()
    host.fleet.wait(30)
    host.fleet.wake()
    host.fleet.wake()
    host.fleet.tick()
    host.fleet.wait(30)
    assert time.monotonic() - begun < 20
    host.fleet.wait(0.02)
    assert time.monotonic() - begun > 0.02


@pytest.mark.parametrize("inner", ["container", "init.scope", "system.slice/cron.service"])
def test_processes_below(host: Watched, inner: str) -> None:
    """Where the own directory holds none: those in directories that are no containers of their own."""
    host.tree.make(A)
    host.tree.make(f"{A}/{inner}")
    host.tree.make(A + B)
    (host.tree.root / f"{A}/{inner}".lstrip("/") / "cgroup.procs").write_text("7\n0\n5\n")
    (host.tree.root / (A + B).lstrip("/") / "cgroup.procs").write_text("9\n")
    host.tick()
    assert host.fleet._containers[A].processes() == [5, 7]
    (host.tree.root / A.lstrip("/") / "cgroup.procs").write_text("6\n")
    assert host.fleet._containers[A].processes() == [6]


EVENT = st.one_of(
    st.tuples(st.just("come"), st.sampled_from([A, B, A + B, A + C, A + B + C, "/default/web"])),
    st.tuples(st.just("go"), st.integers(0, 5)),
    st.tuples(st.just("again"), st.integers(0, 5)),
    st.tuples(st.just("use"), st.integers(0, 5)),
    st.tuples(st.just("kill"), st.integers(0, 5)),
    st.tuples(st.just("write"), st.integers(0, 5), st.sampled_from(["8:0", "253:1"])),
    st.tuples(st.just("unplug"), st.sampled_from(["8:0", "253:1"])),
    st.tuples(st.just("named"), st.sampled_from("abc"), st.sampled_from([BUILD, TEST, None])),
    st.tuples(st.just("later"), st.sampled_from([0.0, 1.0, 7.0, 40.0, 100.0])),
)


class Story:
    """Plays events, and remembers all that was ever shown."""

    def __init__(self, host: Watched) -> None:
        self.host = host
        self.rows: dict[str, tuple[float, ...]] = {}
        self.totals: dict[Of, Sums] = {}
        self.used = 0.0
        self.kills = 0
        (host.tree.root / "default").mkdir()

    def play(self, event: tuple[object, ...]) -> None:
        match event:
            case ("come", str(path)):
                above = path[: path.rindex("/docker/")] if path.count("/docker/") > 1 else ""
                if path not in self.host.tree.used and (not above or above in self.host.tree.used):
                    self.host.tree.make(path)
                    self.rows.pop(path, None)  # It begins anew.
            case ("go", int(number)) if (found := self._pick(number)) is not None:
                if not any(one.startswith(f"{found}/") for one in self.host.tree.used):
                    self.host.tick()
                    self.host.tree.remove(found)
            case ("use", int(number)) if (found := self._pick(number)) is not None:
                self.host.tree.use(found, 0.25)
                self.used += 0.25
            case ("again", int(number)) if (found := self._pick(number)) is not None:
                if not any(one.startswith(f"{found}/") for one in self.host.tree.used):
                    self.host.tick()
                    self.host.tree.remove(found)
                    self.host.tree.make(found)
                    self.rows.pop(found, None)
            case ("kill", int(number)) if (found := self._pick(number)) is not None:
                self.host.tree.kill(found)
                self.kills += 1
                self.play(("use", number))  # Who is killed has run.
            case ("write", int(number), str(device)) if (found := self._pick(number)) is not None:
                self.host.tree.write(found, device, 4096)
            case ("unplug", str(device)):
                self.host.tick()
                self.host.tree.unplug(device)
            case ("named", str(letter), of):
                name = "again" if isinstance(of, Of) else "other"
                self.host.catalog.put(letter * 64, name, labels(of) if isinstance(of, Of) else {})
            case ("later", float(seconds)):
                self.host.tick(seconds)
                self.look()

    def look(self) -> None:
        """No counter falls, of the same container or of the same row of totals."""
        for row in self.host.fleet.rows:
            one = row.account
            now = (one.cpu_seconds or 0.0, one.oom_kills or 0, one.io_written_bytes or 0)
            before = self.rows.get(row.path, (0.0, 0, 0))
            assert all(count >= earlier for count, earlier in zip(now, before, strict=True))
            self.rows[row.path] = now
        for of, sums in self.host.totals().items():
            earlier_sums = self.totals.get(of, Sums())
            counts = zip(astuple(sums), astuple(earlier_sums), strict=True)
            assert all(count >= earlier for count, earlier in counts)
            self.totals[of] = sums

    def end(self) -> None:
        """All go, and a long time passes: each second was credited once, and nothing is left."""
        self.host.tick()
        for path in sorted(self.host.tree.used, reverse=True):
            self.host.tree.remove(path)
        for seconds in (0.0, LONG, KEPT_SECONDS):
            self.host.tick(seconds)
            self.look()
        assert sum(self.host.cpu().values()) == pytest.approx(self.used)
        assert sum(sums.oom_kills for sums in self.host.totals().values()) == self.kills
        assert left(self.host) == 0

    def _pick(self, number: int) -> str | None:
        there = sorted(self.host.tree.used)
        return there[number % len(there)] if there else None


def left(host: Watched) -> int:
    """What is held of containers, of any kind."""
    fleet, owners, crediting = host.fleet, host.identities._owners, host.fleet._crediting
    held: tuple[Sized, ...] = (
        fleet.rows, fleet._containers, fleet._ended, fleet._refused, fleet._events, fleet._looks._due,
        fleet._looks._since, fleet._networks._files, fleet._networks._owner_of, fleet.totals._credited,
        crediting._credited, crediting._used, crediting._within, crediting._gone_within,
        owners._containers, owners._executions, owners._past, host.identities._known,
    )  # fmt: skip
    return sum(map(len, held))


STORIES = int(os.environ.get("JOBMETER_STORIES", "150"))
"""Ten thousand take some minutes."""


@settings(max_examples=STORIES, deadline=None)
@given(events=st.lists(EVENT, max_size=25))
def test_any_story(events: list[tuple[object, ...]]) -> None:
    """Containers come, go, are named and renamed, lie in each other, and come again by the same name.

    They use CPU time, write to devices that are unplugged, and are killed for want of memory: no counter ever falls.
    """
    with watched() as host:
        story = Story(host)
        for event in events:
            story.play(event)
        story.end()


@pytest.mark.slow
def test_ten_thousand_containers() -> None:
    """They come and go, and nothing is left: no row, no descriptor, nothing of what is known of any."""
    with watched(linger_seconds=1.0) as host:
        before, shown = open_descriptors(), 0
        for batch in range(100):
            paths = [f"/docker/{batch * 100 + number:064x}" for number in range(100)]
            for number, path in enumerate(paths):
                of = Of("org/tool", "", f"job-{number % 10}")
                host.catalog.put(path.removeprefix("/docker/"), "again", labels(of) if number % 2 else {})
                host.tree.make(path)
                host.tree.use(path, 0.01)
            host.tick(1)
            shown += sum(row.ended is None for row in host.fleet.rows)
            for path in paths:
                host.tree.remove(path)
            host.catalog.facts.clear()
            host.tick(1)
        for seconds in (2.0, KEPT_SECONDS):
            host.tick(seconds)
        assert shown == 10_000
        assert sum(host.cpu().values()) == pytest.approx(100.0)
        assert (left(host), open_descriptors(), host.fleet._descriptors._left) == (0, before, 1000)
