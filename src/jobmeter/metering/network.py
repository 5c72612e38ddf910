"""Network traffic of a container, where its network namespace is its own."""

import os
from collections.abc import Iterable, Mapping

from jobmeter.linux import procfs
from jobmeter.linux.files import read_whole
from jobmeter.linux.namespaces import is_initial_network, network_namespace
from jobmeter.model.errors import KernelFormatError

_REFRESH_EVERY = 10
# A container's first process is still in the host's namespace when the container is made.
_LOOKS = 3


class NetworkWatch:
    """Knows which containers have a network namespace that nothing else seen is in."""

    def __init__(self, root: str = "/proc") -> None:
        self._root = root
        self._files: dict[str, int] = {}
        self._looks: dict[str, int] = {}
        self._round = 0

    def refresh(self, pids: Mapping[str, Iterable[int]], own_pid: int) -> None:
        """Look again who shares what, every few calls; ``pids`` are the processes by container."""
        self._round += 1
        unknown = [key for key in pids if key not in self._files and self._looks.get(key, 0) < _LOOKS]
        if not unknown and self._round % _REFRESH_EVERY:
            return
        for key in unknown:
            self._looks[key] = self._looks.get(key, 0) + 1
        users: dict[int, set[str]] = {}
        members: dict[int, int] = {}
        for key, found in pids.items():
            for pid in sorted(found)[:3]:
                inode = network_namespace(self._root, pid)
                if inode is not None:
                    users.setdefault(inode, set()).add(key)
                    members.setdefault(inode, pid)
        own = network_namespace(self._root, own_pid)
        self._update(
            {
                next(iter(keys)): members[inode]
                for inode, keys in users.items()
                if len(keys) == 1
                and inode != own
                and not is_initial_network(self._root, members[inode], inode)
            }
        )

    def read(self, key: str) -> tuple[int, int] | None:
        """Bytes received and sent by a container; None where the namespace is shared or cannot be told."""
        fd = self._files.get(key)
        if fd is None:
            return None
        try:
            return procfs.parse_net_dev(read_whole(fd))
        except (OSError, KernelFormatError):
            # The process is gone whose file it was; another one will be asked.
            os.close(self._files.pop(key))
            self._looks.pop(key, None)
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
