"""The cgroup of one task: limited, ended whatever is in it, removed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobmeter.linux.cgroup_mounts import UNIFIED
from jobmeter.model.errors import LaunchError
from jobmeter.supervise.keeper.grounds import Grounds, find_grounds, prepare
from jobmeter.supervise.keeper.spec import Limits
from jobmeter.supervise.keeper.task_cgroup import TaskCgroup, names_of, probe
from tests.e2e.support.components import require_root

NAME = f"jobmeter-test-{os.getpid()}-cgroup"
MIB = 1024 * 1024
LIMITS = Limits(cpu_cores=0.5, memory_bytes=64 * MIB, pids=40)
BOMB = """
import os, time
while True:
    try:
        if os.fork() == 0 and os.fork() == 0:
            time.sleep(0.05)
    except OSError:
        pass
"""


@pytest.fixture
def grounds() -> Iterator[Grounds]:
    require_root("a cgroup of the test's own")
    found = find_grounds()
    yield found
    assert names_of(found, NAME) == []


@pytest.fixture
def cgroup(grounds: Grounds) -> Iterator[TaskCgroup]:
    made = TaskCgroup.create(grounds, NAME, LIMITS)
    yield made
    made.end()
    made.remove()


def run_inside(cgroup: TaskCgroup, code: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-S", "-c", code], preexec_fn=cgroup.enter)  # noqa: PLW1509 one thread


def test_limits_are_set(cgroup: TaskCgroup) -> None:
    """In whichever hierarchy has the controller, swap included; and they are the ones that bind."""
    limits = cgroup.bounds().limits
    assert (limits.cpu_cores, limits.memory_bytes) == (0.5, 64 * MIB)
    pids = cgroup.directories.get("pids", cgroup.directories.get(UNIFIED, ""))
    assert Path(pids, "pids.max").read_text() == "40\n"


def test_without_a_limit_of_cpu_scheduling_stays(grounds: Grounds) -> None:
    """A cgroup in the cpu hierarchy of version 1 would share the CPU otherwise than one process does."""
    cgroup = TaskCgroup.create(grounds, NAME, Limits())
    assert "cpu" not in cgroup.directories
    assert cgroup.remove() == []


def test_the_name_is_taken_once(grounds: Grounds, cgroup: TaskCgroup) -> None:
    """A second one of that name is refused, and the first stays as it is."""
    with pytest.raises(LaunchError, match=f"{NAME} is there already"):
        TaskCgroup.create(grounds, NAME, LIMITS)
    assert names_of(grounds, NAME) == [NAME]
    assert all(map(os.path.isdir, cgroup.directories.values()))


def test_it_is_found_again(grounds: Grounds, cgroup: TaskCgroup) -> None:
    """By its name, with what is in it."""
    with run_inside(cgroup, "import time; time.sleep(1000)") as process:
        while not cgroup.listed():
            os.sched_yield()
        found = TaskCgroup.find(grounds, NAME)
        assert found.directories == {one: f"{grounds.parents[one]}/{NAME}" for one in found.directories}
        assert set(cgroup.directories) <= set(found.directories)
        assert found.listed() == [str(process.pid)]
        assert [one.pid for one in found.survivors()] == [process.pid]
        assert found.end(reap=process.poll)
    assert found.remove() == []


def test_a_fork_bomb_is_ended(cgroup: TaskCgroup) -> None:
    """Nothing new begins while what is there is killed."""
    with run_inside(cgroup, BOMB) as bomb:
        while len(cgroup.listed()) < 20:
            os.sched_yield()
        assert cgroup.end(reap=bomb.poll)
        assert cgroup.survivors() == ()
    assert cgroup.remove() == []


def test_cgroups_that_the_task_made_go_too(cgroup: TaskCgroup) -> None:
    """With what runs in them."""
    inner = Path(next(iter(cgroup.directories.values())), "inner", "most")
    inner.mkdir(parents=True)
    with run_inside(cgroup, "import time; time.sleep(1000)") as process:
        (inner / "cgroup.procs").write_text(str(process.pid))
        assert cgroup.end(reap=process.poll)
    assert cgroup.remove() == []


def test_grounds_that_need_nothing(grounds: Grounds) -> None:
    """Where controllers are those of version 1 the gateway stays where it is."""
    if "memory" not in grounds.parents:
        pytest.skip("with cgroup v2 alone the caller would be moved; shown in a machine of its own")
    before = Path("/proc/self/cgroup").read_text()
    prepare(LIMITS)
    assert Path("/proc/self/cgroup").read_text() == before


@pytest.mark.parametrize(
    "limits, sentence",
    [
        (Limits(memory_bytes=-5), "the limit memory of the task cannot be set: .*: Invalid argument"),
        (Limits(pids=-5), "the limit pids of the task cannot be set: .*pids.max: Invalid argument"),
    ],
)
def test_what_could_not_be_set_is_known_before_a_task_comes(grounds, limits, sentence) -> None:
    """Limits are tried, and nothing is left of that."""
    probe(LIMITS)
    with pytest.raises(LaunchError, match=sentence):
        probe(limits)
    assert names_of(grounds, "jobmeter-probe-") == []
