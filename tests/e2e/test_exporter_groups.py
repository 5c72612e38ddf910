"""Since when a cgroup of the real kernel has been there."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobmeter.exporter.container import Row
from jobmeter.exporter.groups import Groups
from jobmeter.exporter.machine import read_machine
from jobmeter.linux.cgroup_mounts import parse_mountinfo
from jobmeter.linux.descriptors import Descriptors
from tests.e2e.support.cgroup import Cgroup


@pytest.fixture
def cgroup() -> Iterator[Cgroup]:
    with Cgroup.create() as made:
        yield made


def row_of(cgroup: Cgroup) -> Row:
    """As an exporter sees it that starts now."""
    hierarchies = parse_mountinfo(Path("/proc/self/mountinfo").read_text())
    groups = Groups(hierarchies, read_machine(), descriptors=Descriptors(1000), errors={})
    groups.tick()
    name = next(iter(cgroup.paths.values())).name
    groups.close()
    return next(row for row in groups.rows if row.path.endswith(f"/{name}"))


def test_a_slice_is_as_old_as_its_first_service(cgroup: Cgroup) -> None:
    """The kernel's own date of it is that of the last service that came, as with systemd, which sets attributes."""
    began = time.time()
    service = Cgroup({key: path / "first.service" for key, path in cgroup.paths.items()})
    for path in service.paths.values():
        path.mkdir(exist_ok=True)
    with service.spawn(["sleep", "60"]) as process:
        time.sleep(1)
        for path in cgroup.paths.values():
            os.setxattr(path, "trusted.invocation_id", b"x")
            (path / "later.service").mkdir(exist_ok=True)
        dates = [path.stat().st_ctime for path in (*cgroup.paths.values(), *service.paths.values())]
        found = row_of(cgroup).started
        process.kill()
    assert min(dates[: len(cgroup.paths)]) > began + 0.9
    assert found == pytest.approx(began, abs=0.5)
