"""The traffic of each container whose network namespace is its own.

A namespace that several containers share, as those of a pod do, is counted once, at the one that was there first.
The host's own counts for nobody.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, cast

from jobmeter.exporter.evidence import parent_of
from jobmeter.linux import procfs
from jobmeter.linux.cgroup_namespace import cgroup_paths
from jobmeter.linux.descriptors import Descriptors
from jobmeter.linux.files import read_file, read_whole
from jobmeter.linux.namespaces import is_initial_network, network_namespace
from jobmeter.model.account import Interface
from jobmeter.model.errors import KernelFormatError

_GONE = ""
_MAX_ANCESTORS = 32
_MAX_LEFT = 256
_LEFT_SECONDS = 60.0


class Traffic(NamedTuple):
    """Bytes that came into a network namespace and left it; ``interfaces`` where each is wanted.

    The last of these has no name and is all those together that are there no more, if any.
    """

    received_bytes: int | None = None
    sent_bytes: int | None = None
    interfaces: tuple[Interface, ...] | None = None


NO_TRAFFIC = Traffic()
"""Of one whose traffic is not its own or cannot be told."""


class _Counted:
    """What has passed since it was made, added up per interface: one of them may go, and come again from 0."""

    def __init__(self, seen: Mapping[str, Interface] | None = None) -> None:
        """``seen`` is what each interface's counters held when it began."""
        self.traffic = NO_TRAFFIC
        self._said: int | None = None  # The hash of the last text.
        self._seen = seen or {}
        self._passed: dict[str, Interface] = {}

    def from_here(self) -> "_Counted":
        """One that takes what this one has not."""
        return _Counted(self._seen)

    def add(self, text: bytes, *, each_interface: bool) -> None:
        """Take what has grown since, by /proc/PID/net/dev. Raises KernelFormatError."""
        said = hash(text)
        if said == self._said:
            return
        seen = {one.name: one for one in procfs.parse_interfaces(text)}
        received, sent = self.traffic.received_bytes or 0, self.traffic.sent_bytes or 0
        passed: dict[str, Interface] = {}
        for name, one in seen.items():
            grown = _grown(self._seen.get(name), one)
            passed[name] = _together(name, (grown, self._passed.pop(name, None)))
            if procfs.leads_outside(name):
                received += grown.received_bytes
                sent += grown.sent_bytes
        if self._passed:
            passed[_GONE] = _together(_GONE, self._passed.values())
        self._said, self._seen, self._passed = said, seen, passed
        self.traffic = Traffic(received, sent, tuple(passed.values()) if each_interface else None)


def _grown(before: Interface | None, now: Interface) -> Interface:
    """All of it where a counter fell: the interface was made anew, and its counters began at 0."""
    if before is None:
        return now
    grown = [one - other for one, other in zip(_counters(now), _counters(before), strict=True)]
    return Interface(now.name, *grown) if min(grown) >= 0 else now


def _together(name: str, interfaces: Iterable[Interface | None]) -> Interface:
    counters = [_counters(one) for one in interfaces if one is not None]
    return Interface(name, *map(sum, zip(*counters, strict=True)))


def _counters(interface: Interface) -> tuple[int, ...]:
    """The kernel tells all of them."""
    return cast("tuple[int, ...]", interface[1:])


@dataclass
class _File:
    """Of a network namespace; opened for each reading through a process where it cannot stay open."""

    inode: int
    pid: int
    fd: int | None
    counted: _Counted


class Networks:
    """Knows the owner of each network namespace, and keeps its counters open.

    The counters answer as long as the descriptor is held, also after the last process of the namespace. When an owner
    goes, another container that is in there takes over and counts from 0: the traffic of both is counted once.
    """

    def __init__(
        self,
        descriptors: Descriptors,
        root: str = "/proc",
        *,
        each_interface: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._descriptors = descriptors
        self._monotonic = monotonic
        self._root = root
        self._each_interface = each_interface
        self._owner_of: dict[int, str] = {}
        self._files: dict[str, _File] = {}
        self._others: dict[str, tuple[int, int]] = {}
        self._left: OrderedDict[int, tuple[float, _Counted]] = OrderedDict()

    def enter(self, container: str, pid: int) -> None:
        """A process of a container is known: whose namespace is it in?"""
        inode = network_namespace(self._root, pid)
        if inode is None:
            return
        file = self._files.get(container)
        if file is not None:
            if file.inode == inode:
                file.pid = pid
            return
        if self._others.get(container, (None,))[0] == inode and inode in self._owner_of:
            self._others[container] = (inode, pid)
            return
        if is_initial_network(self._root, pid, inode) or self._is_of_maker(container, pid, inode):
            return
        if inode in self._owner_of:
            self._others[container] = (inode, pid)
            return
        try:
            fd = self._descriptors.keep(f"{self._root}/{pid}/net/dev")
        except OSError:
            return
        self._others.pop(container, None)
        self._owner_of[inode] = container
        self._files[container] = _File(inode, pid, fd, self._counted(inode))

    def _counted(self, inode: int) -> _Counted:
        """From where the last owner left it, if that was lately: a mount may keep a namespace for the next container.

        A new namespace may have the number, too; its counters are lower, so that they count from 0.
        """
        left, counted = self._left.pop(inode, (-_LEFT_SECONDS, _Counted()))
        return counted if self._monotonic() - left < _LEFT_SECONDS else _Counted()

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
            paths = cgroup_paths(self._root, pid)
        except (OSError, KernelFormatError):
            return False
        return any(path == container or path.startswith(f"{container}/") for path in paths)

    def read(self, container: str) -> Traffic:
        """What has passed so far, which never falls; NO_TRAFFIC where it is not the container's own."""
        file = self._files.get(container)
        if file is None:
            return NO_TRAFFIC
        try:
            file.counted.add(self._text(file), each_interface=self._each_interface)
        except (OSError, KernelFormatError):
            return file.counted.traffic  # What has passed has passed.
        return file.counted.traffic

    def _text(self, file: _File) -> bytes:
        if file.fd is not None:
            return read_whole(file.fd)
        if network_namespace(self._root, file.pid) != file.inode:
            raise ProcessLookupError
        return read_file(f"{self._root}/{file.pid}/net/dev")

    def leave(self, container: str) -> None:
        """It is gone: let go of the namespace, which the kernel can then remove, unless another one is in there."""
        self._others.pop(container, None)
        file = self._files.get(container)
        if file is None:
            return
        heir = next((one for one, (inode, _) in self._others.items() if inode == file.inode), None)
        if heir is not None:
            _, pid = self._others.pop(heir)
            self._owner_of[file.inode] = heir
            self._files[heir] = replace(file, pid=pid, counted=file.counted.from_here())
        else:
            self._owner_of.pop(file.inode)
            self._left[file.inode] = self._monotonic(), file.counted.from_here()
            if len(self._left) > _MAX_LEFT:
                self._left.popitem(last=False)
            if file.fd is not None:
                self._descriptors.give_back(file.fd)
        del self._files[container]

    def close(self) -> None:
        """Give the descriptors back."""
        self._others.clear()  # Nobody takes over.
        for container in list(self._files):
            self.leave(container)
