"""The directories of a cgroup hierarchy, told as they come and go.

The kernel tells of a directory at the moment it is made (inotify(7) works on cgroup file systems). Where it cannot
be asked to, for want of watches or because a path is too long, walks tell later.
"""

import os
import stat
from collections import deque
from collections.abc import Iterator

from inotify_simple import INotify, flags

_WANTED = flags.CREATE | flags.DELETE | flags.ONLYDIR | flags.EXCL_UNLINK
_MAX_DIRECTORIES = 100_000


class CgroupTree:
    """Watches the directories below ``top``; their paths are told relative to it, as `/docker/ID`."""

    def __init__(self, top: str) -> None:
        self._top = top.rstrip("/")
        self._known: dict[str, int] = {}  # With the inode: another one may have the path by now.
        self._path_of: dict[int, str] = {}
        self.unwatched = 0
        """Directories that the kernel could not be asked to watch; each walk asks again."""
        self._inotify: INotify | None
        try:
            self._inotify = INotify(nonblocking=True)
        except OSError:
            self._inotify = None

    def fileno(self) -> int | None:
        """Readable when something has changed in what is watched; None where only walking tells."""
        return self._inotify.fileno() if self._inotify is not None else None

    def walk(self) -> tuple[list[str], list[str]]:
        """Compare with the whole tree: what came and what went since it was last looked at."""
        if self._inotify is not None:
            self._inotify.read(timeout=0)  # The walk sees what these tell.
        self.unwatched = 0
        before, found = self._known, dict(self._enter(""))
        gone = [path for path, inode in before.items() if found.get(path) != inode]
        came = [path for path, inode in found.items() if before.get(path) != inode]
        self._known = found
        self._path_of = {watch: path for watch, path in self._path_of.items() if path in found or not path}
        return sorted(came), sorted(gone)

    def changes(self) -> tuple[list[str], list[str]]:
        """What came and went as the kernel told it; walks where it told too little."""
        if self._inotify is None:
            return self.walk()
        came: list[str] = []
        gone: list[str] = []
        for event in self._inotify.read(timeout=0):
            if event.mask & flags.Q_OVERFLOW:
                return self._and_walk(came, gone)
            parent = self._path_of.get(event.wd)
            if event.mask & flags.IGNORED:
                self._path_of.pop(event.wd, None)
            elif parent is not None and event.name:
                self._note(f"{parent}/{event.name}", event.mask, came, gone)
        return came, gone

    def close(self) -> None:
        """Give the descriptor back."""
        if self._inotify is not None:
            self._inotify.close()

    def _note(self, path: str, mask: int, came: list[str], gone: list[str]) -> None:
        if mask & flags.DELETE:
            if self._known.pop(path, None) is not None:
                gone.append(path)
            return
        for found, inode in self._enter(path):
            if found not in self._known:
                self._known[found] = inode
                came.append(found)

    def _and_walk(self, came: list[str], gone: list[str]) -> tuple[list[str], list[str]]:
        more, less = self.walk()
        still_there = [path for path in came if path in self._known]
        return still_there + more, gone + less

    def _enter(self, path: str) -> Iterator[tuple[str, int]]:
        """The directory and all below it with their inodes, watched from here on; first, so that none is missed."""
        inode = _inode(self._top + path)
        # From the top downwards, so that a bound leaves out what lies deepest.
        waiting = deque([(path, inode)] if inode is not None else [])
        for _ in range(_MAX_DIRECTORIES):
            if not waiting:
                return
            directory, inode = waiting.popleft()
            self._watch(directory)
            try:
                with os.scandir(self._top + directory) as entries:
                    waiting.extend(
                        (f"{directory}/{entry.name}", entry.inode())
                        for entry in entries
                        if entry.is_dir(follow_symlinks=False)
                    )
            except OSError:
                continue
            if directory:
                yield directory, inode

    def _watch(self, directory: str) -> None:
        if self._inotify is None:
            return
        try:
            self._path_of[self._inotify.add_watch(self._top + directory, _WANTED)] = directory
        except FileNotFoundError:
            return
        except OSError:
            # ENOSPC: fs.inotify.max_user_watches are in use. ENAMETOOLONG: who may make cgroups makes them deep.
            self.unwatched += 1


def _inode(path: str) -> int | None:
    """Of a directory; None where there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_ino if stat.S_ISDIR(found.st_mode) else None
