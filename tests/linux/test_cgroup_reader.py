"""One cgroup's account at every tick."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from jobmeter.linux.cgroup_mounts import directories, parse_mountinfo
from jobmeter.linux.cgroup_reader import CgroupGone, CgroupReader
from jobmeter.linux.procfs import parse_cgroup
from jobmeter.model.readings import CgroupReading
from jobmeter.model.sample import Pressure, Stall
from tests.support.fake_host import open_descriptors
from tests.support.hosts import HOSTS, job_directories

MEMORY = {
    "memory_current_bytes": 22151168,
    "memory_inactive_file_bytes": 21061632,
    "memory_peak_bytes": 67108864,
    "oom_kills": 1,
}
PRESSURE = Pressure(Stall(0.75506, 0.754967), Stall(79e-6, 79e-6), Stall(0.001142, 0.001134))


@pytest.mark.parametrize(
    "host, expected",
    [
        pytest.param(
            "hybrid",
            dict(
                cpu_seconds=0.843154,
                cpu_user_seconds=pytest.approx(0.784951, abs=0.01),
                cpu_system_seconds=pytest.approx(0.058202, abs=0.01),
                throttled_seconds=0.793065,
                **MEMORY,
                pressure=PRESSURE,
                pids=2,
                pids_peak=3,
            ),
            id="hybrid: v1 where both account, pressure from v2, no I/O counted without a throttle rule",
        ),
        pytest.param(
            "v1",
            dict(
                cpu_seconds=0.843154,
                cpu_user_seconds=pytest.approx(0.784951),
                cpu_system_seconds=pytest.approx(0.058203),
                throttled_seconds=0.793065,
                **MEMORY,
                io_read_bytes=12288,
                io_write_bytes=20971520,
                pids=2,
            ),
            id="v1: no pressure, no pids.peak",
        ),
        pytest.param(
            "v2",
            dict(
                cpu_seconds=0.784439,
                cpu_user_seconds=pytest.approx(0.70122),
                cpu_system_seconds=pytest.approx(0.083219),
                throttled_seconds=pytest.approx(0.731504),
                **MEMORY,
                pressure=PRESSURE,
                io_read_bytes=16384,
                io_write_bytes=20971520,
                pids=2,
                pids_peak=3,
            ),
            id="v2: everything",
        ),
        pytest.param(
            "no_psi",
            dict(
                cpu_seconds=0.784439,
                cpu_user_seconds=pytest.approx(0.70122),
                cpu_system_seconds=pytest.approx(0.083219),
                throttled_seconds=pytest.approx(0.731504),
                **(MEMORY | {"memory_peak_bytes": None}),
                io_read_bytes=16384,
                io_write_bytes=20971520,
                pids=2,
            ),
            id="an older v2 kernel without pressure and peaks",
        ),
    ],
)
def test_the_jobs_account_on_each_host(host, expected) -> None:
    """Each number comes from the hierarchy that keeps it; what no hierarchy has is unknown, never zero."""
    reader = CgroupReader(job_directories(host))
    found = reader.read()
    assert msgspec.structs.asdict(found) == dict.fromkeys(CgroupReading.__struct_fields__) | expected
    assert reader.read_errors == 0
    given = {name for name in CgroupReading.__struct_fields__ if getattr(found, name) is not None} - {
        "pressure"
    }
    assert given <= reader.gives
    reader.close()


def test_a_containers_own_view_through_its_root() -> None:
    """A peer in another cgroup namespace is read below /proc/PID/root."""
    reader = CgroupReader({"": str(HOSTS / "private_cgroupns/proc/4242/root/sys/fs/cgroup")})
    assert reader.read().cpu_seconds == 0.784439
    reader.close()


def test_a_parent_with_processes_gives_cpu_but_no_memory(tmp_path: Path) -> None:
    """A v2 cgroup without controllers still has cpu.stat; what it has not is no error."""
    (tmp_path / "cpu.stat").write_text("usage_usec 5\nuser_usec 3\nsystem_usec 2\n")
    reader = CgroupReader({"": str(tmp_path)})
    found = reader.read()
    assert (found.cpu_seconds, found.memory_current_bytes, found.oom_kills) == (5e-6, None, None)
    assert (reader.read_errors, "throttled_seconds" in reader.gives, "oom_kills" in reader.gives) == (
        0,
        False,
        False,
    )
    reader.close()


def test_a_file_that_becomes_nonsense_is_one_error_and_one_gap(tmp_path: Path) -> None:
    """The other files are read as before, and the next good reading fills the gap."""
    (tmp_path / "memory.current").write_text("5\n")
    (tmp_path / "memory.peak").write_text("9\n")
    reader = CgroupReader({"": str(tmp_path)})
    (tmp_path / "memory.current").write_text("five\n")
    assert reader.read() == CgroupReading(memory_peak_bytes=9)
    assert reader.read_errors == 1
    (tmp_path / "memory.current").write_text("6\n")
    assert reader.read() == CgroupReading(memory_current_bytes=6, memory_peak_bytes=9)
    reader.close()


def test_a_file_that_may_not_be_read_is_an_error(tmp_path: Path) -> None:
    """A folder in its place stands for EACCES and the like; ENOENT is no error."""
    (tmp_path / "memory.current").mkdir()
    reader = CgroupReader({"": str(tmp_path)})
    assert reader.read() == CgroupReading()
    reader.close()


def test_no_hierarchy_no_numbers() -> None:
    """A reader of nothing gives nothing."""
    reader = CgroupReader({})
    assert (reader.read(), reader.gives) == (CgroupReading(), frozenset())


def test_throttling_of_an_enclosing_cgroup_counts_from_the_start(tmp_path: Path) -> None:
    """What was throttled there before is not the job's."""
    (tmp_path / "child").mkdir()
    (tmp_path / "child/cpu.stat").write_text("usage_usec 5\nuser_usec 3\nsystem_usec 2\n")
    stat = tmp_path / "cpu.stat"
    stat.write_text("usage_usec 1\nthrottled_usec 2000000\n")
    reader = CgroupReader({"": str(tmp_path / "child")}, throttled_in={"": str(tmp_path)})
    assert reader.read().throttled_seconds == 0
    stat.write_text("usage_usec 1\nthrottled_usec 2500000\n")
    assert reader.read().throttled_seconds == pytest.approx(0.5)
    reader.close()


def test_descriptors_are_given_back() -> None:
    """One per file while it is read, none after it was closed; closing twice is safe."""
    before = open_descriptors()
    reader = CgroupReader(job_directories("hybrid"))
    opened = open_descriptors()
    for _ in range(100):
        reader.read()
    assert before < open_descriptors() == opened
    reader.close()
    reader.close()
    assert open_descriptors() == before


@pytest.fixture
def own_cgroup() -> Iterator[dict[str, str]]:
    """A real cgroup below our own in each hierarchy where we may make one."""
    made: dict[str, str] = {}
    for one, directory in _own_directories().items():
        path = f"{directory}/jobmeter-test-{os.getpid()}"
        if one in ("cpuacct", "memory", "pids", "") and os.access(directory, os.W_OK):
            os.mkdir(path)
            made[one] = path
    if not made:
        pytest.skip("no cgroup may be made here")
    yield made
    for path in made.values():
        if os.path.isdir(path):
            os.rmdir(path)


def _own_directories() -> dict[str, str]:
    mounts = parse_mountinfo(Path("/proc/self/mountinfo").read_text())
    return directories(mounts, parse_cgroup(Path("/proc/self/cgroup").read_bytes()))


def test_a_cgroup_that_is_removed_while_it_is_read(own_cgroup: dict[str, str]) -> None:
    """From then on it is gone, once and for all, and that is not an error of reading."""
    reader = CgroupReader(own_cgroup)
    assert reader.read().cpu_seconds == 0
    for path in own_cgroup.values():
        os.rmdir(path)
    for _ in range(2):
        with pytest.raises(CgroupGone, match="removed"):
            reader.read()
    assert reader.read_errors == 0
    reader.close()
    gone = CgroupReader(own_cgroup)
    assert (gone.read(), gone.read_errors) == (CgroupReading(), 0)


def test_hierarchies_of_this_machine_agree(own_cgroup: dict[str, str]) -> None:
    """v1 and v2 account for the same processes alike."""
    if not {"cpuacct", ""} <= set(own_cgroup):
        pytest.skip("this machine has not both versions of cgroups")
    one, other = CgroupReader({"cpuacct": own_cgroup["cpuacct"]}), CgroupReader({"": own_cgroup[""]})
    child = os.fork()
    if child == 0:
        for path in own_cgroup.values():
            Path(path, "cgroup.procs").write_text("0")
        sum(range(200_000))
        os._exit(0)
    os.waitpid(child, 0)
    used, also = one.read().cpu_seconds, other.read().cpu_seconds
    assert used is not None
    assert used > 0
    # The child enters one hierarchy after the other.
    assert also == pytest.approx(used, abs=0.002)
    one.close()
    other.close()
