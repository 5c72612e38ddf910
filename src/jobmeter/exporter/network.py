"""The traffic of each container whose network namespace is its own.

A namespace that several containers share, as those of a pod do, is counted once, at the one that was there first.
The host's own counts for nobody.
"""

import os
from typing import NamedTuple

from jobmeter.exporter.evidence import parent_of
from jobmeter.linux import procfs
from jobmeter.linux.descriptors import Descriptors
from jobmeter.linux.namespaces import is_initial_network, network_namespace
from jobmeter.model.account import Interface
from jobmeter.model.errors import KernelFormatError

_READ_BYTES = 16384
_MAX_ANCESTORS = 32


class Traffic(NamedTuple):
    """Bytes that came into a network namespace and left it; ``interfaces`` where each is wanted."""

    received_bytes: int | None = None
    sent_bytes: int | None = None
    interfaces: tuple[Interface, ...] | None = None


NO_TRAFFIC = Traffic()
"""Of one whose traffic is not its own or cannot be told."""


class Networks:
    """Knows the owner of each network namespace, and keeps its counters open.

    The counters answer as long as the descriptor is held, also after the last process of the namespace.
    """

    def __init__(
        self, descriptors: Descriptors, root: str = "/proc", *, each_interface: bool = False
    ) -> None:
        self._descriptors = descriptors
        self._root = root
        self._each_interface = each_interface
        self._owner_of: dict[int, str] = {}
        self._files: dict[str, tuple[int, int]] = {}

    def enter(self, container: str, pid: int) -> None:
        """A process of a container is known: whose namespace is it in?"""
        inode = network_namespace(self._root, pid)
        if inode is None or container in self._files or is_initial_network(self._root, pid, inode):
            return
        if self._owner_of.get(inode, container) != container or self._is_of_maker(container, pid, inode):
            return
        self._owner_of[inode] = container
        try:
            fd = self._descriptors.keep(f"{self._root}/{pid}/net/dev")
        except OSError:
            fd = None
        if fd is None:
            self._owner_of.pop(inode)
        else:
            self._files[container] = (inode, fd)

    def _is_of_maker(self, container: str, pid: int, inode: int) -> bool:
        """Whether who made the container, the nearest process outside of it, is in the same namespace.

        The first process of a container begins there, and one on its engine's network stays; the engine itself may be
        in a namespace that is not the initial one.
        """
        for _ in range(_MAX_ANCESTORS):
            parent = parent_of(self._root, pid)
            if not parent:
                return False
            if not self._is_in(container, parent):
                return network_namespace(self._root, parent) == inode
            pid = parent
        return False

    def _is_in(self, container: str, pid: int) -> bool:
        try:
            with open(f"{self._root}/{pid}/cgroup", "rb") as file:
                paths = procfs.parse_cgroup(file.read(_READ_BYTES)).values()
        except (OSError, KernelFormatError):
            return False
        return any(path == container or path.startswith(f"{container}/") for path in paths)

    def read(self, container: str) -> Traffic:
        """What has passed so far; NO_TRAFFIC where it is not the container's own or cannot be told."""
        file = self._files.get(container)
        if file is None:
            return NO_TRAFFIC
        try:
            text = os.pread(file[1], _READ_BYTES, 0)
            each = procfs.parse_interfaces(text) if self._each_interface else None
            return Traffic(*procfs.parse_net_dev(text), each)
        except (OSError, KernelFormatError):
            return NO_TRAFFIC

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
