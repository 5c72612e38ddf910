"""The cgroup that a command runs in: made below our own, entered, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from jobmeter.linux.cgroup_mounts import Hierarchy, directories, parse_mountinfo
from jobmeter.linux.cgroup_reader import CgroupReader
from jobmeter.linux.procfs import parse_cgroup
from jobmeter.model.errors import SourceUnavailable
from jobmeter.supervise.job_cgroup import JobCgroup, cgroup_name, own_start_ticks, remove_stale

SOURCE = str(Path(__file__).parents[2] / "src")
PID_NAMESPACE = os.stat("/proc/self/ns/pid").st_ino
LONG_AGO = 1
"""A start time that no process has any more."""


def own_place() -> tuple[list[Hierarchy], dict[str, str]]:
    mounts = parse_mountinfo(Path("/proc/self/mountinfo").read_text())
    return mounts, parse_cgroup(Path("/proc/self/cgroup").read_bytes())


def leftovers() -> list[str]:
    """What is below our own cgroups and named as ours."""
    return [
        f"{directory}/{name}"
        for directory in set(directories(*own_place()).values())
        for name in os.listdir(directory)
        if name.startswith(f"jobmeter-{PID_NAMESPACE}-{os.getpid()}-")
    ]


@pytest.fixture
def cgroup() -> Iterator[JobCgroup]:
    """A real one; removed with what a failed test left in it."""
    try:
        made = JobCgroup.create(*own_place(), name())
    except SourceUnavailable as error:
        pytest.skip(str(error))
    yield made
    for pid in made.processes():
        os.kill(pid, signal.SIGKILL)
    made.remove()
    assert leftovers() == []


def name(start_ticks: int | None = None) -> str:
    ticks = own_start_ticks(os.getpid()) if start_ticks is None else start_ticks
    return cgroup_name(PID_NAMESPACE, os.getpid(), ticks or 0)


def run_inside(cgroup: JobCgroup, code: str) -> subprocess.Popen[bytes]:
    """A Python process that enters before it does anything."""
    return subprocess.Popen(
        [sys.executable, "-S", "-c", code],
        preexec_fn=cgroup.enter,  # noqa: PLW1509 the test has one thread
        stdout=subprocess.PIPE,
    )


def test_it_is_below_our_own_in_each_hierarchy(cgroup: JobCgroup) -> None:
    """So that no limit of ours is escaped; the hierarchy that schedules is left alone."""
    own = directories(*own_place())
    assert {"memory", "pids"} & set(cgroup.directories) or "" in cgroup.directories
    for controller, directory in cgroup.directories.items():
        assert os.path.dirname(directory) == own[controller]
    assert not {"cpu", "freezer", "devices", "cpuset"} & set(cgroup.directories)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_child_is_born_inside(cgroup: JobCgroup, threads: int) -> None:
    """It is in every hierarchy's cgroup once it has entered, whether the kernel could put it there or not.

    With a second thread, which may hold a lock, the child is forked as usual.
    """
    parents = {one: os.path.dirname(path) for one, path in cgroup.directories.items()}
    code = f"""
import os, threading, time, warnings
from jobmeter.supervise.job_cgroup import JobCgroup
warnings.simplefilter("ignore")
for _ in range({threads - 1}):
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
cgroup = JobCgroup({parents!r}, {name()!r})
pid = cgroup.fork()
if pid == 0:
    cgroup.enter()
    print(open("/proc/self/cgroup").read(), flush=True)
    os._exit(0)
os.waitpid(pid, 0)
os._exit(0)
"""
    environ = {**os.environ, "PYTHONPATH": SOURCE}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, stdout=subprocess.PIPE, check=True, timeout=50
    )
    paths = parse_cgroup(done.stdout.strip() + b"\n")
    assert {one: os.path.basename(paths[one]) for one in cgroup.directories} == dict.fromkeys(
        cgroup.directories, name()
    )


def test_its_account_is_the_commands(cgroup: JobCgroup) -> None:
    """Everything that runs inside is counted, also what has ended."""
    with run_inside(cgroup, "import os\nfor _ in range(5): os.fork() or os._exit(sum(range(1_000_000)) % 2)"):
        pass
    while any(Path(f"/proc/{pid}").exists() for pid in cgroup.processes()):
        time.sleep(0.01)
    reader = CgroupReader(cgroup.directories)
    used = reader.read().cpu_seconds
    reader.close()
    assert used is not None
    assert used > 0.02
    assert cgroup.remove() == []


def test_survivors_are_moved_back_and_not_killed(cgroup: JobCgroup) -> None:
    """CI daemons serve later steps: they go on where they would have been without us."""
    own = directories(*own_place())
    with run_inside(cgroup, "import time; print(flush=True); time.sleep(60)") as survivor:
        assert survivor.stdout is not None
        survivor.stdout.readline()
        assert cgroup.processes() == {survivor.pid}
        assert cgroup.remove() == []
        now = directories(own_place()[0], parse_cgroup(Path(f"/proc/{survivor.pid}/cgroup").read_bytes()))
        assert {one: now[one] for one in cgroup.directories} == {one: own[one] for one in cgroup.directories}
        assert survivor.poll() is None
        survivor.kill()


def test_a_fork_bomb_is_moved_too(cgroup: JobCgroup) -> None:
    """What is forked while the others are moved is found in the next round."""
    code = (
        "import os, time\nprint(flush=True)\nend = time.monotonic() + 1\n"
        "while time.monotonic() < end:\n    if os.fork() == 0: time.sleep(0.05); os._exit(0)\n    time.sleep(0.002)\n"
    )
    with run_inside(cgroup, code) as bomb:
        assert bomb.stdout is not None
        bomb.stdout.readline()
        time.sleep(0.1)
        assert cgroup.remove() == []
    assert leftovers() == []


def test_an_empty_cgroup_that_the_job_made_inside_is_removed_too(cgroup: JobCgroup) -> None:
    """A container engine inside the job leaves folders."""
    for directory in cgroup.directories.values():
        os.makedirs(f"{directory}/docker/abc")
    assert cgroup.remove() == []
    assert leftovers() == []


def test_removing_twice_is_safe(cgroup: JobCgroup) -> None:
    """Also when somebody else was faster."""
    assert cgroup.remove() == []
    assert cgroup.remove() == []


def test_what_a_killed_wrapper_left_is_removed_at_the_next_start(cgroup: JobCgroup) -> None:
    """Only of wrappers that are gone: one that runs, another's and other names stay."""
    own = directories(*own_place())
    place = own_place()
    ours = [*cgroup.directories.values()]
    stale = [f"{own[one]}/{name(LONG_AGO)}" for one in cgroup.directories]
    other = [f"{own[one]}/jobmeter-test-{os.getpid()}" for one in cgroup.directories]
    for directory in (*stale, *other):
        os.mkdir(directory)
    try:
        with subprocess.Popen(["sleep", "60"]) as survivor:
            for directory in stale:
                Path(directory, "cgroup.procs").write_text(str(survivor.pid))
            remove_stale(*place, PID_NAMESPACE)
            assert not any(os.path.exists(directory) for directory in stale)
            assert all(os.path.isdir(directory) for directory in (*ours, *other))
            assert survivor.poll() is None
            survivor.kill()
    finally:
        for directory in other:
            os.rmdir(directory)


def test_a_cgroup_of_the_same_name_is_not_taken_over(cgroup: JobCgroup) -> None:
    """What is there already is somebody's."""
    with pytest.raises(SourceUnavailable, match="File exists"):
        JobCgroup.create(*own_place(), os.path.basename(next(iter(cgroup.directories.values()))))
    assert all(os.path.isdir(directory) for directory in cgroup.directories.values())


@pytest.mark.parametrize(
    "files, accounts",
    [
        ({"cpuacct": []}, {"cpuacct"}),
        ({"cpuacct": [], "memory": None}, {"cpuacct"}),
        ({"memory": [], "pids": []}, None),
        ({}, None),
    ],
)
def test_a_cgroup_without_an_account_of_cpu_is_not_made(
    tmp_path: Path, files: Mapping[str, list[str] | None], accounts: set[str] | None
) -> None:
    """Hierarchies where we may make none are left out; without CPU time there is no point in one."""
    found = []
    for controller, there in files.items():
        if there is None:
            (tmp_path / controller).touch()  # Stands for a folder in which we may make nothing.
        else:
            (tmp_path / controller).mkdir()
        found.append(Hierarchy((controller,), str(tmp_path / controller), "/"))
    own = dict.fromkeys(files, "/")
    if accounts is None:
        with pytest.raises(SourceUnavailable, match="no cgroup can be made for the command"):
            JobCgroup.create(found, own, "x")
    else:
        made = JobCgroup.create(found, own, "x")
        assert set(made.directories) == accounts
        assert made.remove() == []
    assert not list(tmp_path.glob("*/x"))


@pytest.mark.parametrize(
    "pid, there", [(os.getpid(), True), (1, True), (2**22 + 5, False)], ids=("ours", "first", "none")
)
def test_start_times_tell_who_is_alive(pid: int, there: bool) -> None:
    """A pid alone does not: it is given away again."""
    assert (own_start_ticks(pid) is not None) == there
