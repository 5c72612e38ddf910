"""Cgroup paths of other processes for one that is in a cgroup namespace of its own, as in a container.

There /proc/PID/cgroup counts from the root of the reader's namespace: `/../ID` is a neighbour, in the directory
above (cgroup_namespaces(7)). Where the host's tree is mounted too, they are told as paths in that one.
"""

import os
from contextlib import suppress
from functools import cache

from jobmeter.linux.cgroup_mounts import parse_mountinfo
from jobmeter.linux.files import read_file
from jobmeter.linux.procfs import parse_cgroup
from jobmeter.model.errors import KernelFormatError

_UP = ".."


def cgroup_paths(root: str, pid: int) -> frozenset[str]:
    """Those of a process in all hierarchies, as the host sees them. ``root`` is /proc.

    A path that leads out of our namespace stays as it is where no mount shows what is there. Raises OSError and
    KernelFormatError.
    """
    paths = parse_cgroup(read_file(f"{root}/{pid}/cgroup")).values()
    return frozenset(_from_the_top(root, path) if path.startswith(f"/{_UP}") else path for path in paths)


def _from_the_top(root: str, path: str) -> str:
    names, above = _names(path), _namespace(root)
    up = _climb(names)
    if not up or above is None or up > len(above):
        return path
    return "/" + "/".join((*above[: len(above) - up], *names[up:]))


@cache  # Nobody but ourselves could bring us into another namespace.
def _namespace(root: str) -> tuple[str, ...] | None:
    """Names from the top of a host's tree to the root of our namespace; None where no such tree is mounted.

    Of a mount that shows more than our namespace the root is so many times `/..` (proc_pid_mountinfo(5)).
    """
    with suppress(OSError, KernelFormatError):
        for line in read_file(f"{root}/self/mountinfo").decode("utf-8", "replace").splitlines():
            for hierarchy in parse_mountinfo(line):
                names = _names(hierarchy.root)
                depth = _climb(names)
                if depth and depth == len(names) and (own := _find_self(hierarchy.mount_point)) is not None:
                    return own[:depth]
    return None


def _find_self(top: str) -> tuple[str, ...] | None:
    own = str(os.getpid()).encode()
    for directory, _, _ in os.walk(top):
        with suppress(OSError, KernelFormatError):
            if own in read_file(f"{directory}/cgroup.procs").split():
                return _names(directory[len(top) :])
    return None


def _names(path: str) -> tuple[str, ...]:
    return tuple(name for name in path.split("/") if name)


def _climb(names: tuple[str, ...]) -> int:
    """How many of the first names lead upwards."""
    return next((place for place, name in enumerate(names) if name != _UP), len(names))
