"""The traffic of each container whose network namespace is its own.

A namespace that several containers share, as those of a pod do, is counted once, at the one that was there first.
The host's own counts for nobody.
"""

import os

from jobmeter.linux import procfs
from jobmeter.linux.descriptors import Descriptors
from jobmeter.linux.namespaces import is_initial_network, network_namespace
from jobmeter.model.errors import KernelFormatError

_READ_BYTES = 16384


class Networks:
    """Knows the owner of each network namespace, and keeps its counters open.

    The counters answer as long as the descriptor is held, also after the last process of the namespace.
    """

    def __init__(self, descriptors: Descriptors, root: str = "/proc") -> None:
        self._descriptors = descriptors
        self._root = root
        self._owner_of: dict[int, str] = {}
        self._files: dict[str, tuple[int, int]] = {}

    def enter(self, container: str, pid: int) -> None:
        """A process of a container is known: whose namespace is it in?"""
        inode = network_namespace(self._root, pid)
        if inode is None or container in self._files or is_initial_network(self._root, pid, inode):
            return
        if self._owner_of.setdefault(inode, container) != container:
            return
        try:
            fd = self._descriptors.keep(f"{self._root}/{pid}/net/dev")
        except OSError:
            fd = None
        if fd is None:
            self._owner_of.pop(inode)
        else:
            self._files[container] = (inode, fd)

    def read(self, container: str) -> tuple[int, int] | None:
        """Bytes received and sent; None where they are not the container's own or cannot be told."""
        file = self._files.get(container)
        if file is None:
            return None
        try:
            return procfs.parse_net_dev(os.pread(file[1], _READ_BYTES, 0))
        except (OSError, KernelFormatError):
            return None

    def leave(self, container: str) -> None:
        """It is gone: let go of the namespace, which the kernel can then remove."""
        file = self._files.pop(container, None)
        if file is not None:
            self._owner_of.pop(file[0], None)
            self._descriptors.give_back(file[1])

    def close(self) -> None:
        """Give the descriptors back."""
        for container in list(self._files):
            self.leave(container)
