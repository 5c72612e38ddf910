"""OOM kills in cgroups of version 1 below one, each of which counts those of its own processes alone.

Source: `oom_kill` of memory.oom_control (cgroup-v1/memory.rst, section 10). A process that a limit further up killed
is counted where it was itself.
"""

import os
from collections.abc import Callable, Iterator

from jobmeter.linux import cgroupfs
from jobmeter.linux.files import read_file
from jobmeter.model.errors import KernelFormatError

_MAX_DIRECTORIES = 512
_LINKS_WITHOUT_DIRECTORIES = 2


class InnerKills:
    """Those below ``directory`` of the memory hierarchy.

    ``belongs`` says of a path below it, as ``/init.scope``, whether what happens there is to be counted here; what lies
    in another that is not is left out too. What a directory counted stays when it goes; what happened in one that went
    before it was looked at is not known.
    """

    __slots__ = ("_belongs", "_counts", "_directory", "total")

    def __init__(self, directory: str, belongs: Callable[[str], bool]) -> None:
        self._directory = directory
        self._belongs = belongs
        self._counts: dict[tuple[str, int], int] = {}
        self.total = 0

    def look(self) -> bool:
        """Whether there are more of them by now."""
        counts: dict[tuple[str, int], int] = {}
        grown = 0
        try:
            for path, inode in self._inner():
                known = self._counts.get((path, inode), 0)
                count = _oom_kills(f"{self._directory}{path}/memory.oom_control")
                counts[path, inode] = max(known, count or 0)
                grown += counts[path, inode] - known
        except OSError:
            counts = {**self._counts, **counts}  # Those that were not found may be there still.
        self._counts = counts
        self.total += grown
        return grown > 0

    def _inner(self) -> Iterator[tuple[str, int]]:
        waiting = [""]
        count = 0
        while waiting:
            for path, inode in _directories_in(self._directory, waiting.pop()):
                if count >= _MAX_DIRECTORIES:
                    return
                if self._belongs(path):
                    count += 1
                    yield path, inode
                    waiting.append(path)


def _directories_in(top: str, path: str) -> list[tuple[str, int]]:
    """With their inodes: another one may have the path later. Raises OSError."""
    if os.stat(top + path).st_nlink == _LINKS_WITHOUT_DIRECTORIES:
        return []
    with os.scandir(top + path) as entries:
        return [
            (f"{path}/{entry.name}", entry.inode())
            for entry in entries
            if entry.is_dir(follow_symlinks=False)
        ]


def _oom_kills(path: str) -> int | None:
    try:
        return cgroupfs.parse_flat_keyed(read_file(path), b"oom_kill")[0]
    except (OSError, KernelFormatError):
        return None
