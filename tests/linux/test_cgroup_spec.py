"""What is set on a cgroup itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobmeter.linux.cgroup_limits import read_bounds
from jobmeter.linux.cgroup_spec import read_spec
from jobmeter.model.account import Spec
from tests.support.hosts import hierarchies, job_directories

V1 = {
    "cpu/cpu.shares": "512\n",
    "cpu/cpu.cfs_quota_us": "50000\n",
    "cpu/cpu.cfs_period_us": "100000\n",
    "memory/memory.limit_in_bytes": "67108864\n",
    "memory/memory.soft_limit_in_bytes": "9223372036854771712\n",
    "memory/memory.memsw.limit_in_bytes": "134217728\n",
}
V2 = {
    "cpu.weight": "100\n",
    "cpu.max": "max 100000\n",
    "memory.max": "67108864\n",
    "memory.min": "0\n",
    "memory.swap.max": "max\n",
}
ON_V1 = Spec(
    cpu_shares=512, cpu_period_microseconds=100000, cpu_quota_microseconds=50000, memory_limit_bytes=67108864,
    memory_reservation_bytes="unlimited", memory_swap_limit_bytes=134217728,
)  # fmt: skip
ON_V2 = Spec(
    cpu_shares=2597, cpu_period_microseconds=100000, cpu_quota_microseconds="unlimited",
    memory_limit_bytes=67108864, memory_reservation_bytes=0, memory_swap_limit_bytes="unlimited",
)  # fmt: skip


def write(top: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = top / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    "files, controllers, expected",
    [(V1, {"cpu": "cpu", "memory": "memory"}, ON_V1), (V2, {"": "."}, ON_V2), ({}, {"": "."}, Spec())],
    ids=["v1", "v2", "nothing"],
)
def test_settings_of_both_versions(tmp_path, files, controllers, expected) -> None:
    """In the units of version 1, as runtimes and dashboards know them."""
    write(tmp_path, files)
    assert read_spec({one: str(tmp_path / place) for one, place in controllers.items()}) == expected


@pytest.mark.parametrize("weight, shares", [(1, 2), (39, 998), (100, 2597), (10000, 262144)])
def test_a_weight_in_shares(tmp_path, weight, shares) -> None:
    """From one end of the scale to the other."""
    write(tmp_path, {"cpu.weight": str(weight)})
    assert read_spec({"": str(tmp_path)}).cpu_shares == shares


def test_what_cannot_be_understood_is_not_known(tmp_path) -> None:
    """The rest is."""
    write(tmp_path, V2 | {"cpu.max": "50000 0\n", "memory.max": "much"})
    found = read_spec({"": str(tmp_path)})
    assert (found.cpu_quota_microseconds, found.memory_limit_bytes, found.cpu_shares) == (None, None, 2597)


@pytest.mark.parametrize(
    "host, binding, own",
    [("hybrid", 67108864, 67108864), ("v1", 1073741824, "unlimited"), ("v2", 33554432, 67108864)],
)
def test_a_real_container(host, binding, own) -> None:
    """What is set on it is told beside what binds it, only where it is wanted."""
    tops = {one: each.mount_point for each in hierarchies(host) for one in each.controllers}
    found = read_bounds(job_directories(host), tops, with_spec=True)
    assert found.spec is not None
    assert (found.spec.cpu_quota_microseconds, found.memory_bytes) == (50000, binding)
    assert found.spec.memory_limit_bytes == own
    assert read_bounds(job_directories(host), tops).spec is None
