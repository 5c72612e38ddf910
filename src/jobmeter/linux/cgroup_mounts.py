"""Where the cgroup hierarchies are mounted, and which directory belongs to which path."""

import os
from collections.abc import Iterable, Mapping

from msgspec import Struct

from jobmeter.model.errors import KernelFormatError, SourceUnavailable

UNIFIED = ""
TELLING = ("memory", "cpuacct", "pids", UNIFIED, "cpu")
"""Controllers whose hierarchy has every container's directory, best first."""


class Hierarchy(Struct, frozen=True):
    """One mounted hierarchy: ``controllers`` of v1, or (``UNIFIED``,); ``root`` is the path at the mount point."""

    controllers: tuple[str, ...]
    mount_point: str
    root: str


def parse_mountinfo(text: str) -> list[Hierarchy]:
    """The cgroup hierarchies of /proc/PID/mountinfo (proc_pid_mountinfo(5)), first mount of each first."""
    found: list[Hierarchy] = []
    for line in text.splitlines():
        before, separator, after = line.partition(" - ")
        fields, tail = before.split(" "), after.split(" ")
        if not separator or len(fields) < 6 or len(tail) < 3:
            raise KernelFormatError(f"not a line of /proc/PID/mountinfo: {line[:80]!r}")
        if tail[0] == "cgroup2":
            controllers: tuple[str, ...] = (UNIFIED,)
        elif tail[0] == "cgroup":
            controllers = tuple(option for option in tail[2].split(",") if option not in ("rw", "ro"))
        else:
            continue
        known = {controller for hierarchy in found for controller in hierarchy.controllers}
        if not known.issuperset(controllers):
            found.append(Hierarchy(controllers, _unescape(fields[4]), _unescape(fields[3])))
    return found


def _unescape(path: str) -> str:
    """Octal escapes of blanks and the like, as \\040."""
    if "\\" not in path:
        return path
    parts = path.split("\\")
    return parts[0] + "".join(_unescape_one(part) for part in parts[1:])


def _unescape_one(part: str) -> str:
    try:
        return chr(int(part[:3], 8)) + part[3:]
    except ValueError:
        return "\\" + part


def hierarchies_below(root: str) -> list[Hierarchy]:
    """The hierarchies of a cgroup file system mounted at ``root``, told by their files.

    For a mount that is not in our own mount table: a host's /sys/fs/cgroup given by ``--cgroup-path``,
    or a container's own view through /proc/PID/root. Raises SourceUnavailable when there is none.
    """
    try:
        names = os.listdir(root)
    except OSError as error:
        raise SourceUnavailable(f"cannot read the cgroups in {root}: {error.strerror}") from None
    if "cgroup.procs" in names:
        return [Hierarchy((UNIFIED,), root, "/")]
    found: dict[str, Hierarchy] = {}
    # Distributions link cpu and cpuacct to cpu,cpuacct: the directory itself names all its controllers.
    for name in sorted(names, key=lambda name: (os.path.islink(f"{root}/{name}"), name)):
        directory = f"{root}/{name}"
        if not os.path.exists(f"{directory}/cgroup.procs"):
            continue
        controllers = (
            (UNIFIED,) if os.path.exists(f"{directory}/cgroup.controllers") else tuple(name.split(","))
        )
        found.setdefault(os.path.realpath(directory), Hierarchy(controllers, directory, "/"))
    if not found:
        raise SourceUnavailable(f"there are no cgroups in {root}")
    return list(found.values())


def directories(hierarchies: Iterable[Hierarchy], paths: Mapping[str, str]) -> dict[str, str]:
    """Controller to directory for a process whose /proc/PID/cgroup gave ``paths``; only what is visible.

    A path outside the mount's root (another namespace's) has no directory here.
    """
    found: dict[str, str] = {}
    for hierarchy in hierarchies:
        for controller in hierarchy.controllers:
            path = paths.get(controller)
            inner = _below(path, hierarchy.root) if path is not None else None
            if inner is not None:
                found[controller] = hierarchy.mount_point + inner
    return found


def _below(path: str, root: str) -> str | None:
    if path.startswith("/.."):
        return None
    if root == "/":
        return path.rstrip("/")
    if path == root:
        return ""
    return path[len(root) :] if path.startswith(root + "/") else None


def ancestors(directory: str, mount_point: str) -> list[str]:
    """The directory and those above it up to the mount point, nearest first."""
    found = [directory]
    while directory.startswith(mount_point.rstrip("/") + "/") and directory != mount_point:
        directory = os.path.dirname(directory)
        found.append(directory)
    return found
