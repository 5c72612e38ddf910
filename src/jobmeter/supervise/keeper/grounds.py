"""Where the cgroups of tasks are made: below our own in each hierarchy, so that no limit of ours is escaped.

Of version 2 a cgroup with processes can have no limited ones below it. So there the gateway moves into a cgroup
`gateway` below its own first, beside which tasks have theirs.
"""

import contextlib
import errno
import os
from collections.abc import Mapping

from msgspec import Struct

from jobmeter.linux import procfs
from jobmeter.linux.cgroup_mounts import UNIFIED, directories, parse_mountinfo
from jobmeter.linux.files import read_file
from jobmeter.model.errors import KernelFormatError, LaunchError
from jobmeter.supervise.keeper.spec import Limits

OWN_LEAF = "gateway"
_ACCOUNTS = ("memory", "pids", "io")
LIMITED_BY = {"cpu": "cpu_cores", "memory": "memory_bytes", "pids": "pids"}
"""Controllers, by the limits that need them."""


class Grounds(Struct, frozen=True):
    """Directories by controller below which tasks get theirs, and the mount points above them."""

    parents: Mapping[str, str]
    tops: Mapping[str, str]

    def of(self, controller: str) -> str | None:
        """The hierarchy that has this controller: its own of version 1, else the unified one."""
        return controller if controller in self.parents else UNIFIED if UNIFIED in self.parents else None


def find_grounds(root: str = "/proc") -> Grounds:
    """Ours. Raises LaunchError where no cgroups are to be seen."""
    try:
        hierarchies = parse_mountinfo(read_file(f"{root}/self/mountinfo").decode("utf-8", "replace"))
        own = directories(hierarchies, procfs.parse_cgroup(read_file(f"{root}/self/cgroup")))
    except (OSError, KernelFormatError) as error:
        raise LaunchError(f"the gateway's own cgroup cannot be read: {error}") from None
    parents = {one: own[one] for one in ("cpu", "cpuacct", "memory", "pids", UNIFIED) if one in own}
    if os.path.basename(parents.get(UNIFIED, "")) == OWN_LEAF:
        parents[UNIFIED] = os.path.dirname(parents[UNIFIED])
    if not parents:
        raise LaunchError("no cgroups are mounted here, so a runner cannot be given one")
    tops = {one: hierarchy.mount_point for hierarchy in hierarchies for one in hierarchy.controllers}
    return Grounds(parents, tops)


def prepare(wanted: Limits) -> None:
    """Let tasks' cgroups have what ``wanted`` limits; to be called before the gateway starts any process.

    Raises LaunchError where one of the limits cannot be had.
    """
    grounds = find_grounds()
    refuse_missing(wanted, grounds)
    parent = grounds.parents.get(UNIFIED)
    if parent is None:
        return
    needed = [one for one in _limited(wanted) if grounds.of(one) == UNIFIED]
    available = _words(f"{parent}/cgroup.controllers")
    useful = [one for one in _ACCOUNTS if one in available and one not in grounds.parents]
    missing = {*needed, *useful} - _words(f"{parent}/cgroup.subtree_control")
    if missing:
        _enable(parent, sorted(missing), needed)


def refuse_missing(wanted: Limits, grounds: Grounds) -> None:
    """Raises LaunchError where one of the limits has no controller there. Nothing is changed."""
    parent = grounds.parents.get(UNIFIED)
    available = _words(f"{parent}/cgroup.controllers") if parent is not None else set()
    for controller in _limited(wanted):
        found = grounds.of(controller)
        if found is None:
            raise LaunchError(_refusal(controller, "no cgroup hierarchy here has its controller"))
        if found == UNIFIED and controller not in available:
            raise LaunchError(_refusal(controller, f"its controller is not delegated to {parent}"))


def _limited(wanted: Limits) -> list[str]:
    """The controllers that its limits need."""
    return [one for one, field in LIMITED_BY.items() if getattr(wanted, field) is not None]


def _enable(parent: str, controllers: list[str], needed: list[str]) -> None:
    moved = os.path.exists(f"{parent}/cgroup.type") and _move_down(parent)  # Only the root has no type.
    for controller in controllers:
        try:
            _write(f"{parent}/cgroup.subtree_control", f"+{controller}")
        except OSError as error:
            if controller not in needed:
                continue
            if moved:
                _move_up(parent)
            others = f"other processes are in {parent} beside the gateway, which must have it to itself"
            raise LaunchError(
                _refusal(controller, others if error.errno == errno.EBUSY else f"{parent}: {error.strerror}")
            ) from None


def _move_down(parent: str) -> bool:
    """Move ourselves out of a cgroup that is to have limited ones below it; False where we may not."""
    leaf = f"{parent}/{OWN_LEAF}"
    try:
        os.makedirs(leaf, exist_ok=True)
        _write(f"{leaf}/cgroup.procs", str(os.getpid()))
    except OSError:
        return False
    return True


def _move_up(parent: str) -> None:
    with contextlib.suppress(OSError):
        _write(f"{parent}/cgroup.procs", str(os.getpid()))
        os.rmdir(f"{parent}/{OWN_LEAF}")


def _refusal(controller: str, reason: str) -> str:
    return f"the limit {controller} of launched runners cannot be set: {reason}"


def _words(path: str) -> set[str]:
    try:
        return set(read_file(path).decode().split())
    except (OSError, KernelFormatError):
        return set()


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
