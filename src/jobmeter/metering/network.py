"""Network traffic of a container, where its network namespace is its own."""

import os
from collections.abc import Iterable, Mapping

from jobmeter.linux import procfs
from jobmeter.model.errors import KernelFormatError

# Inodes of namespaces made at boot lie just below or above this (PROC_DYNAMIC_FIRST); the initial network
# namespace is one of them, and what uses it shares the host's traffic.
_FIRST_DYNAMIC_INODE = 0xF0000000
_MADE_AT_BOOT = 512
_REFRESH_EVERY = 10


class NetworkWatch:
    """Knows which containers have a network namespace that nothing else seen is in."""

    def __init__(self, root: str = "/proc") -> None:
        self._root = root
        self._files: dict[str, int] = {}
        self._seen: set[str] = set()
        self._round = 0

    def refresh(self, pids: Mapping[str, Iterable[int]], own_pid: int) -> None:
        """Look again who shares what, every few calls; ``pids`` are the processes by container."""
        self._round += 1
        if self._seen.issuperset(pids) and self._round % _REFRESH_EVERY:
            return
        self._seen = set(pids)
        users: dict[int, set[str]] = {}
        members: dict[str, int] = {}
        for key, found in pids.items():
            for pid in list(found)[:3]:
                inode = self._inode(pid)
                if inode is not None:
                    users.setdefault(inode, set()).add(key)
                    members[key] = pid
        own = self._inode(own_pid)
        private = {
            next(iter(keys))
            for inode, keys in users.items()
            if len(keys) == 1 and inode != own and inode >= _FIRST_DYNAMIC_INODE + _MADE_AT_BOOT
        }
        self._update({key: members[key] for key in private})

    def read(self, key: str) -> tuple[int, int] | None:
        """Bytes received and sent by a container; None where the namespace is shared or cannot be told."""
        fd = self._files.get(key)
        if fd is None:
            return None
        try:
            return procfs.parse_net_dev(os.pread(fd, 16384, 0))
        except (OSError, KernelFormatError):
            return None

    def close(self) -> None:
        """Give the descriptors back."""
        for fd in self._files.values():
            os.close(fd)
        self._files = {}

    def _update(self, pids: Mapping[str, int]) -> None:
        for key in self._files.keys() - pids.keys():
            os.close(self._files.pop(key))
        for key, pid in pids.items():
            if key not in self._files:
                try:
                    self._files[key] = os.open(f"{self._root}/{pid}/net/dev", os.O_RDONLY | os.O_CLOEXEC)
                except OSError:
                    continue

    def _inode(self, pid: int) -> int | None:
        try:
            return os.stat(f"{self._root}/{pid}/ns/net").st_ino
        except OSError:
            return None
