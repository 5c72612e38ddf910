"""The limits that bind a cgroup."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobmeter.linux.cgroup_limits import BoundBy, Levels, read_limits
from jobmeter.model.readings import CgroupLimits
from tests.support.hosts import hierarchies, job_directories


def tops(host: str) -> dict[str, str]:
    return {one: each.mount_point for each in hierarchies(host) for one in each.controllers}


@pytest.mark.parametrize(
    "host, pid, cores, memory",
    [
        ("hybrid", 4242, 0.5, 67108864),
        ("hybrid", "self", "unlimited", "unlimited"),
        ("v1", 4242, 0.5, 1073741824),
        ("v2", 4242, 0.5, 33554432),
        ("no_psi", 4242, 0.5, 67108864),
        ("private_cgroupns", "self", None, None),
    ],
)
def test_the_lowest_limit_of_all_levels_binds(host, pid, cores, memory) -> None:
    """An ancestor's limit may be lower than the own one; none at any level is unlimited; unreadable is unknown."""
    found = read_limits(job_directories(host, pid), tops(host))
    assert found.limits == CgroupLimits(cpu_cores=cores, memory_bytes=memory)


def test_the_cgroup_that_is_throttled_is_named() -> None:
    """Throttling is accounted where the CPU limit is set."""
    found = read_limits(job_directories("hybrid"), tops("hybrid"))
    assert found.cpu_limit_directories == {"cpu": job_directories("hybrid")["cpu"]}
    assert read_limits(job_directories("hybrid", "self"), tops("hybrid")).cpu_limit_directories == {}


@pytest.mark.parametrize(
    "levels, cores, where",
    [
        (["max 100000", "max 100000"], "unlimited", None),
        (["max 100000", "150000 100000"], 1.5, 0),
        (["300000 100000", "150000 100000"], 1.5, 0),
        (["50000 100000", "150000 100000"], 0.5, 1),
        (["nonsense", "150000 100000"], 1.5, 0),
        ([None, None], None, None),
        ([None, "max"], "unlimited", None),
        (["0 100000", None], 0, 1),
    ],
)
def test_levels_of_v2(tmp_path: Path, levels, cores, where) -> None:
    """A malformed or missing file leaves the others; ``levels`` is the cgroup, then its parent."""
    child = tmp_path / "child"
    child.mkdir()
    for directory, text in zip((child, tmp_path), levels, strict=True):
        if text is not None:
            (directory / "cpu.max").write_text(text + "\n")
    found = read_limits({"": str(child)}, {"": str(tmp_path)})
    assert found.limits.cpu_cores == cores
    assert found.cpu_limit_directories == ({} if where is None else {"": str((tmp_path, child)[where])})


def test_a_level_is_read_once(tmp_path: Path) -> None:
    """For as long as someone keeps what was read: many containers lie below the same cgroups."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "memory.max").write_text("max\n")
    (tmp_path / "memory.max").write_text("4096\n")
    levels = Levels()

    def limit(name: str, known: Levels | None) -> object:
        return read_limits({"": str(tmp_path / name)}, {"": str(tmp_path)}, known).limits.memory_bytes

    assert limit("one", levels) == 4096
    (tmp_path / "memory.max").write_text("8192\n")
    assert limit("other", levels) == 4096
    assert limit("other", None) == 8192


def test_a_controller_of_version_1_has_no_limits_in_version_2(tmp_path: Path) -> None:
    """It is in one hierarchy only."""
    (tmp_path / "cpu").mkdir()
    (tmp_path / "unified").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("-1\n")
    (tmp_path / "unified/cpu.max").write_text("50000 100000\n")
    places = {"cpu": str(tmp_path / "cpu"), "": str(tmp_path / "unified")}
    assert read_limits(places, places).limits.cpu_cores == "unlimited"


def test_no_hierarchy_no_limit() -> None:
    """Where nothing is visible nothing is known."""
    assert read_limits({}, {}) == BoundBy(CgroupLimits(), {})
