"""The machines in tests/fixtures/hosts: each is a folder with the files of /proc and /sys that matter."""

from __future__ import annotations

from pathlib import Path

import msgspec

from jobmeter.linux.cgroup_mounts import Hierarchy, directories, parse_mountinfo
from jobmeter.linux.procfs import parse_cgroup

HOSTS = Path(__file__).parent.parent / "fixtures/hosts"
CONTAINER = "4f0c2a9d81b37e5566aa4f0c2a9d81b37e5566aa4f0c2a9d81b37e5566aa4f0c"
JOB_PID = 4242


def proc(host: str) -> str:
    """The machine's /proc."""
    return str(HOSTS / host / "proc")


def hierarchies(host: str) -> list[Hierarchy]:
    """The machine's cgroup mounts, with mount points inside its folder."""
    found = parse_mountinfo((HOSTS / host / "proc/self/mountinfo").read_text())
    return [msgspec.structs.replace(each, mount_point=f"{HOSTS / host}{each.mount_point}") for each in found]


def cgroup_paths(host: str, pid: int | str = JOB_PID) -> dict[str, str]:
    """/proc/PID/cgroup of the machine."""
    return parse_cgroup((HOSTS / host / f"proc/{pid}/cgroup").read_bytes())


def job_directories(host: str, pid: int | str = JOB_PID) -> dict[str, str]:
    """The directories of a process's cgroup by controller."""
    return directories(hierarchies(host), cgroup_paths(host, pid))
