"""What processes of a container show of whose it is: their environment, their ancestors, the sockets they can reach.

Each needs the right to look into other users' processes: root, or CAP_SYS_PTRACE (ptrace(2), "Ptrace access mode
checking"). Where one cannot be read, it shows nothing.
"""

import os
import re
from collections.abc import Iterable, Sequence

from jobmeter.containers.cgroup_path import locate
from jobmeter.linux.cgroup_namespace import cgroup_paths
from jobmeter.linux.procfs import parse_stat
from jobmeter.model.errors import KernelFormatError

MAX_ENVIRON_BYTES = 128 * 1024
MAX_VARIABLES = 256
_MAX_MOUNTINFO_BYTES = 1024 * 1024
_MAX_ANCESTORS = 32
_HOSTS_INIT = 1
_OF_A_JOB = re.compile(
    rb"(?:^|\0)((?:GITHUB|GITEA|FORGEJO|GITLAB|CI|RUNNER|JOBMETER)_[^\0=]{0,60}|MATRIX)=([^\0]*)"
)
_ESCAPED = re.compile(r"\\([0-7]{3})")


def read_environ(root: str, pid: int) -> dict[str, str]:
    """Variables of a process that may tell of a job (proc_pid_environ(5)); none where it cannot be read."""
    try:
        text = _read(f"{root}/{pid}/environ", MAX_ENVIRON_BYTES)
    except OSError:
        return {}
    found: dict[str, str] = {}
    for match in _OF_A_JOB.finditer(text):
        if len(found) >= MAX_VARIABLES:
            break
        found.setdefault(match[1].decode("utf-8", "replace"), match[2].decode("utf-8", "replace"))
    return found


def is_runtimes(root: str, pid: int) -> bool:
    """Whether it is still the runtime's (runc, crun), not yet the process that the container is made for."""
    try:
        return _read(f"{root}/{pid}/comm", 64).startswith((b"runc:[", b"crun\n"))
    except OSError:
        return False


def parent_of(root: str, pid: int) -> int | None:
    """The pid of its parent; None once it is gone."""
    try:
        return parse_stat(_read(f"{root}/{pid}/stat", 4096)).parent_pid
    except (OSError, KernelFormatError):
        return None


def containers_above(root: str, pid: int) -> list[str] | None:
    """Cgroup paths of the containers that its ancestors are in, the nearest first; None where the chain broke off.

    Of a container that another one made by an engine within, the first process descends from the engine's shim,
    and this from the first process around: a child whose parent ends is given to that one (pid_namespaces(7)).
    """
    found: list[str] = []
    for _ in range(_MAX_ANCESTORS):
        parent = parent_of(root, pid)
        if parent is None:
            return None
        if parent <= _HOSTS_INIT:
            break
        pid = parent
        try:
            path = _innermost(root, pid)
        except (OSError, KernelFormatError):
            return None
        if path is not None and path not in found:
            found.append(path)
    return found


def container_of(root: str, pid: int) -> str | None:
    """Cgroup path of the container that a process is in; None where it is in none, or gone."""
    try:
        return _innermost(root, pid)
    except (OSError, KernelFormatError):
        return None


def _innermost(root: str, pid: int) -> str | None:
    """An engine within a container may know some hierarchies only: the innermost place is the true one."""
    found = (ref.path for path in cgroup_paths(root, pid) if (ref := locate(path)) is not None)
    return max(found, key=len, default=None)


def reachable(root: str, pid: int, sockets: Iterable[str]) -> frozenset[str]:
    """Those of the sockets (paths of ours) that are mounted, alone or in a directory, where a process can see them.

    A mount is told by its device and what of it is mounted (proc_pid_mountinfo(5)): that is the same in every mount
    namespace. A socket that an engine has made anew since is another one, whose mount ends in `//deleted`.
    """
    try:
        mounts = {(device, top) for device, top, _ in _mounts(f"{root}/{pid}/mountinfo")}
        ours = _mounts(f"{root}/self/mountinfo")
    except OSError:
        return frozenset()
    found: set[str] = set()
    for socket in sockets:
        place = _place(os.path.realpath(socket), ours)
        if place is not None:
            device, inner = place
            if any((device, above) in mounts for above in _and_above(inner)):
                found.add(socket)
    return frozenset(found)


def _mounts(path: str) -> list[tuple[str, str, str]]:
    """Device, what of it is mounted, and where, in the order they were mounted."""
    found: list[tuple[str, str, str]] = []
    for line in _read(path, _MAX_MOUNTINFO_BYTES).decode("utf-8", "replace").splitlines():
        fields = line.split(" ", 5)
        if len(fields) == 6:
            found.append((fields[2], _unescape(fields[3]), _unescape(fields[4])))
    return found


def _place(path: str, mounts: Sequence[tuple[str, str, str]]) -> tuple[str, str] | None:
    """The device that a path of ours is on, and the path within."""
    above = _and_above(path)
    found: tuple[str, str] | None = None
    nearest = len(above)
    for device, top, point in mounts:
        if point in above and above.index(point) <= nearest:
            nearest = above.index(point)
            found = device, f"{top.rstrip('/')}/{path[len(point) :].lstrip('/')}"
    return found


def _and_above(path: str) -> list[str]:
    """The path and its directories, from the inside out."""
    found = [path]
    while found[-1] not in ("/", ""):
        found.append(os.path.dirname(found[-1]))
    return found


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), text) if "\\" in text else text


def _read(path: str, limit: int) -> bytes:
    """The file as one read(2) gives it; mountinfo comes in pieces."""
    pieces: list[bytes] = []
    with open(path, "rb", buffering=0) as file:
        while limit > 0 and (piece := file.read(limit)):
            pieces.append(piece)
            limit -= len(piece)
    return b"".join(pieces)
