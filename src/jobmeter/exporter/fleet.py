"""All containers of a host, from the moment each is made until a while after its end."""

import os
import select
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from msgspec.structs import replace

from jobmeter.containers.cgroup_path import ContainerRef, locate
from jobmeter.exporter.container import Container, Identity, Row
from jobmeter.exporter.network import Networks
from jobmeter.exporter.totals import Totals
from jobmeter.linux.cgroup_mounts import Hierarchy
from jobmeter.linux.cgroup_reader import CgroupGone
from jobmeter.linux.cgroup_tree import CgroupTree
from jobmeter.linux.descriptors import Descriptors
from jobmeter.model.errors import SourceUnavailable

MAX_CONTAINERS = 5000
TELLING = ("memory", "cpuacct", "pids", "", "cpu")
"""Controllers whose hierarchy has every container's directory, best first."""
_WALK_SECONDS = 60.0
_LOOK_EVERY = 6
_EVENTS_EVERY = 32
_YOUNG_SECONDS = 2.0
_YOUNG_WAIT_SECONDS = 0.01
_UNNAMED_SECONDS = 30.0


class Directory(Protocol):
    """Says what is known of a container beside its cgroup."""

    def identify(self, ref: ContainerRef, pids: Iterable[int]) -> Identity | None:
        """What is known by now; None while that may still change for the better."""
        ...


class Fleet:
    """Watches the cgroup tree of ``hierarchies``; not for several threads, but ``rows`` may be read by any.

    ``detailed``: each interface, each device and what is set on each cgroup itself are read too.
    """

    def __init__(
        self,
        hierarchies: Iterable[Hierarchy],
        directory: Directory,
        *,
        linger_seconds: float,
        descriptors: Descriptors,
        detailed: bool = False,
        root: str = "/proc",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._tops = {
            one: hierarchy.mount_point for hierarchy in hierarchies for one in hierarchy.controllers
        }
        telling = next((one for one in TELLING if one in self._tops), None)
        if telling is None:
            raise SourceUnavailable("no cgroup hierarchy with CPU time or memory can be read")
        self._tree = CgroupTree(self._tops[telling])
        self._top = self._tops[telling]
        self._directory = directory
        self._linger = linger_seconds
        self._descriptors = descriptors
        self._clock = clock
        self._detailed = detailed
        self._networks = Networks(descriptors, root, each_interface=detailed)
        self.totals = Totals()
        self.errors: dict[str, int] = {}
        """Readings that failed, by kind."""
        self.refused = 0
        """Containers beyond what is shown at most."""
        self.rows: tuple[Row, ...] = ()
        """What is shown: replaced as a whole, never changed."""
        self._containers: dict[str, Container] = {}
        self._unknown: set[str] = set()
        self._young: dict[str, float] = {}
        self._ended: dict[str, Row] = {}
        self._path_of_pidfd: dict[int, str] = {}
        self._poll = select.epoll()
        self._watch_tree()
        self._ticks = 0
        self._walk_at = 0.0

    def tick(self) -> None:
        """Read every container and publish what is known."""
        now = self._clock()
        if now >= self._walk_at or self._tree.fileno() is None:
            self._note(*self._tree.walk())
            self._walk_at = now + _WALK_SECONDS
        self._ticks += 1
        for number, path in enumerate(list(self._containers)):
            if number % _EVENTS_EVERY == 0:
                self._take_events(0)  # What ends now cannot be read any more after the tick.
            container = self._containers.get(path)
            if container is not None:
                if (number + self._ticks) % _LOOK_EVERY == 0:
                    container.look_up_bounds()
                    self._settle(path, container)
                self._read(path, container)
        self._drop_ended(now)
        self._publish()

    def wait(self, seconds: float) -> None:
        """Take what happens until so much time has passed: who comes, who ends."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            changed = self._take_events(min(left, _YOUNG_WAIT_SECONDS) if self._young else left)
            self._look_at_young()
            if changed:
                self._publish()

    def close(self) -> None:
        """Give all descriptors back."""
        for container in self._containers.values():
            container.close()
        self._containers = {}
        self._networks.close()
        self._tree.close()
        self._poll.close()

    def _watch_tree(self) -> None:
        fd = self._tree.fileno()
        if fd is not None:
            self._poll.register(fd, select.EPOLLIN)

    def _take_events(self, seconds: float) -> bool:
        tree, changed = self._tree.fileno(), False
        for fd, _ in self._poll.poll(seconds):
            changed = True
            if fd == tree:
                self._note(*self._tree.changes())
            else:
                self._first_process_ended(fd)
        return changed

    def _note(self, came: Iterable[str], gone: Iterable[str]) -> None:
        for path in gone:
            self._end(path)
        for path in came:
            ref = locate(path)
            if ref is not None and ref.path == path and path not in self._containers:
                self._begin(ref)

    def _begin(self, ref: ContainerRef) -> None:
        if len(self._containers) >= MAX_CONTAINERS:
            self.refused += 1
            return
        path = ref.path
        self._forget(path)
        parent = self._containers.get(ref.parent_path or "")
        container = Container(
            ref, self._tops, parent=parent.row.id if parent else None, started=self._began(path),
            descriptors=self._descriptors, errors=self.errors, detailed=self._detailed,
        )  # fmt: skip
        self._containers[path] = container
        self._young[path] = self._clock() + _YOUNG_SECONDS
        self._unknown.add(path)
        self._settle(path, container)
        self._read(path, container)

    def _began(self, path: str) -> float:
        try:
            return os.stat(self._top + path).st_ctime
        except OSError:
            return self._clock()

    def _look_at_young(self) -> None:
        """Look again at those that engines are still making; the shortest are over before the next tick."""
        now = self._clock()
        for path, until in list(self._young.items()):
            container = self._containers.get(path)
            if container is None or now > until:
                del self._young[path]
            else:
                self._settle(path, container)
                self._read(path, container)

    def _settle(self, path: str, container: Container) -> None:
        """Find what was not there yet: directories of other controllers, the first process, its network."""
        container.open_what_is_there()
        if container.pidfd is None:
            pidfd = container.hold_first_process()
            if pidfd is not None:
                self._path_of_pidfd[pidfd] = path
                self._poll.register(pidfd, select.EPOLLIN)
                container.look_up_bounds()
        if container.first_pid is not None:
            self._networks.enter(path, container.first_pid)
            self._identify(path, container)

    def _identify(self, path: str, container: Container) -> None:
        if path not in self._unknown:
            return
        found = self._directory.identify(container.ref, container.processes())
        if found is not None:
            self._unknown.discard(path)
            container.row = replace(container.row, identity=found)

    def _first_process_ended(self, pidfd: int) -> None:
        """The account of a container is whole now and can be read for some milliseconds, unless others go on."""
        path = self._path_of_pidfd.pop(pidfd, "")
        self._poll.unregister(pidfd)
        container = self._containers.get(path)
        if container is not None:
            container.let_go_of_process()
            self._read(path, container, whole=True)
            self._young[path] = self._clock() + _YOUNG_SECONDS

    def _read(self, path: str, container: Container, *, whole: bool = False) -> None:
        try:
            container.read(self._networks.read(path), whole=whole)
        except CgroupGone:
            self._end(path)
            return
        self._credit(path, container.row)

    def _credit(self, path: str, row: Row, *, final: bool = False) -> None:
        """Add its use to the totals of its job, once it is known whose it is or will not be."""
        if row.parent is not None:
            return  # It is in the account of the container around it.
        if final or path not in self._unknown or self._clock() - row.started > _UNNAMED_SECONDS:
            self.totals.credit(path, row.identity.job, row.account)

    def _end(self, path: str) -> None:
        container = self._containers.pop(path, None)
        if container is None:
            return
        if container.pidfd is not None:
            self._path_of_pidfd.pop(container.pidfd, None)
            self._poll.unregister(container.pidfd)
        container.end(self._clock())
        self._networks.leave(path)
        self._young.pop(path, None)
        self._ended[path] = container.row

    def _drop_ended(self, now: float) -> None:
        for path, row in list(self._ended.items()):
            self._credit(path, row, final=True)
            if row.ended is not None and now - row.ended > self._linger:
                self._forget(path)

    def _forget(self, path: str) -> None:
        row = self._ended.pop(path, None)
        if row is not None:
            self._credit(path, row, final=True)
            self.totals.forget(path)
            self._unknown.discard(path)

    def _publish(self) -> None:
        self.rows = (*(one.row for one in self._containers.values()), *self._ended.values())
