"""All containers of a host, from the moment each is made until a while after its end."""

import os
import time
from collections.abc import Callable, Collection, Iterable
from itertools import count, islice
from typing import Protocol

from jobmeter.containers.cgroup_path import ContainerRef, locate
from jobmeter.exporter.beginnings import age_seconds, began
from jobmeter.exporter.container import NATIVE, Container, Identity, Row
from jobmeter.exporter.crediting import Crediting
from jobmeter.exporter.events import Events
from jobmeter.exporter.looks import Looks
from jobmeter.exporter.network import Networks
from jobmeter.exporter.totals import Totals
from jobmeter.linux.cgroup_limits import Levels
from jobmeter.linux.cgroup_mounts import TELLING, Hierarchy
from jobmeter.linux.cgroup_reader import CgroupGone
from jobmeter.linux.cgroup_tree import CgroupTree
from jobmeter.linux.descriptors import Descriptors
from jobmeter.linux.machine_activity import EVERYTHING, MachineActivity
from jobmeter.model.errors import SourceUnavailable

MAX_CONTAINERS = 5000
_WALK_SECONDS = 60.0
_LOOK_EVERY = 12
_EVENTS_EVERY = 32


class Directory(Protocol):
    """Says what is known of containers beside their cgroups."""

    def learn(self, containers: Iterable[Container]) -> None:
        """Take what can be learned of them now; again and again, also once they have ended."""
        ...

    def identify(self, container: Container) -> Identity:
        """What is known by now; the same object while that does not change."""
        ...

    def forget(self, container: Container) -> None:
        """It is shown no more."""
        ...


class Fleet:
    """Watches the cgroup tree of ``hierarchies``; not for several threads, but ``rows`` may be read by any.

    ``detailed``: each interface, each device and what is set on each cgroup itself are read too. ``clock`` is of the
    times that are shown; how long something has been is told by ``monotonic``, which nobody sets.
    """

    def __init__(
        self,
        hierarchies: Iterable[Hierarchy],
        directory: Directory,
        *,
        linger_seconds: float,
        descriptors: Descriptors,
        detailed: bool = False,
        runtime: str = NATIVE,
        root: str = "/proc",
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
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
        self._monotonic = monotonic
        self._detailed = detailed
        self._runtime = runtime
        self._root = root
        self._machine = MachineActivity(root)
        self._networks = Networks(descriptors, root, each_interface=detailed)
        self.totals = Totals()
        self.errors: dict[str, int] = {}
        """Readings that failed, by kind."""
        self.refused = 0
        """Containers beyond what is shown at most."""
        self.rows: tuple[Row, ...] = ()
        """What is shown: replaced as a whole, never changed."""
        self._crediting = Crediting(self.totals, kills_are_nested="memory" not in self._tops)
        self._containers: dict[str, Container] = {}
        self._ended: dict[str, Container] = {}
        self._refused: dict[str, ContainerRef] = {}
        self._looks = Looks()
        self._events = Events(self._tree.fileno)
        self._numbers = count(1)
        self._begun = False
        self._ticks = 0
        self._walk_at = 0.0

    @property
    def shown(self) -> int:
        """How many containers are shown."""
        return len(self.rows)

    @property
    def unwatched(self) -> int:
        """Cgroups whose coming and going is not told at once, but found at the next reading."""
        return self._tree.unwatched

    def tick(self) -> None:
        """Read every container and publish what is known."""
        now = self._monotonic()
        if now >= self._walk_at or self._tree.fileno() is None or self._tree.unwatched:
            self._note(*self._tree.walk())
            self._walk_at = now + _WALK_SECONDS
        if not self._begun:
            self._crediting.begin(self._containers.values())
            self._begun = True
        self._take_refused()
        self._ticks += 1
        grown, levels = self._machine.grown(), Levels()
        for number, path in enumerate(list(self._containers)):
            if number % _EVENTS_EVERY == 0:
                self._take_events(0)  # What ends now cannot be read any more after the tick.
            container = self._containers.get(path)
            if container is not None:
                if (number + self._ticks) % _LOOK_EVERY == 0:
                    container.look_up_bounds(levels)
                    self._settle(path, container)
                self._read(path, container, grown=grown)
        everyone = (*self._containers.values(), *self._ended.values())
        self._identify(everyone)
        self._crediting.credit(everyone, now)
        self._drop_ended(now)
        self._publish()

    def wait(self, seconds: float) -> None:
        """Take what happens until so much time has passed, or someone wakes it: who comes, who ends."""
        deadline = time.monotonic() + seconds
        while not self._events.take_wake() and (left := deadline - time.monotonic()) > 0:
            changed = self._take_events(self._looks.seconds_left(time.monotonic(), left))
            if self._look_again() or changed:
                self._publish()

    def wake(self) -> None:
        """End the waiting that is under way, or the next one; from any thread."""
        self._events.wake()

    def close(self) -> None:
        """Give all descriptors back."""
        for container in self._containers.values():
            container.close()
        self._containers = {}
        self._networks.close()
        self._tree.close()
        self._events.close()

    # --- who comes and goes

    def _take_events(self, seconds: float) -> bool:
        heard = self._events.wait(seconds)
        for path in heard.ended:
            self._first_process_ended(path)
        if heard.changed:  # Not before: a container that is gone has let its process go.
            self._note(*self._tree.changes())
        return heard.changed or bool(heard.ended)

    def _note(self, came: Iterable[str], gone: Iterable[str]) -> None:
        for path in gone:
            self._refused.pop(path, None)
            self._end(path)
        for path in came:
            ref = locate(path)
            if ref is not None and ref.path == path and path not in self._containers:
                self._begin(ref)

    def _begin(self, ref: ContainerRef) -> None:
        path = ref.path
        if len(self._containers) >= MAX_CONTAINERS:
            self._refuse(ref)
            return
        if not os.path.isdir(self._top + path):
            return  # Nobody would tell of its end again.
        made = began([self._top + path], self._root, self._clock())
        if path in self._ended:
            self._forget(path)
        container = Container(
            ref, self._tops, around=self._containers.get(ref.parent_path or ""), started=made,
            seen=self._monotonic(), descriptors=self._descriptors, errors=self.errors, detailed=self._detailed,
            runtime=self._runtime, number=next(self._numbers),
        )  # fmt: skip
        self._containers[path] = container
        self._settle(path, container)
        self._looks.begin(path, time.monotonic(), age=self._clock() - container.started)
        self._read(path, container)

    def _refuse(self, ref: ContainerRef) -> None:
        if ref.path not in self._refused:
            self.refused += 1
            if len(self._refused) < MAX_CONTAINERS:
                self._refused[ref.path] = ref

    def _take_refused(self) -> None:
        """Those who have waited longest, now that there is room."""
        room = max(0, MAX_CONTAINERS - len(self._containers))
        for path in list(islice(self._refused, room)):
            self._begin(self._refused.pop(path))
            taken = self._containers.get(path)
            for one in self._containers.values():
                if taken is not None and one.ref.parent_path == path:
                    one.lie_in(taken)

    def _first_process_ended(self, path: str) -> None:
        """The account of a container is whole now and can be read for some milliseconds, unless others go on."""
        container = self._containers.get(path)
        if container is not None:
            container.let_go_of_process()
            self._looks.begin(path, time.monotonic())
            self._read(path, container, whole=True)
            container.look_up_bounds()

    def _end(self, path: str) -> None:
        container = self._containers.pop(path, None)
        if container is None:
            return
        if container.pidfd is not None:
            self._events.let_go(container.pidfd)
        container.end(self._monotonic(), ended=self._clock())
        self._networks.leave(path)
        self._looks.drop(path)
        self._ended[path] = container
        if len(self._ended) > MAX_CONTAINERS:
            self._forget(next(iter(self._ended)))

    def _drop_ended(self, now: float) -> None:
        for path, container in list(self._ended.items()):
            if container.gone is not None and now - container.gone > self._linger:
                self._finish(path)

    def _forget(self, path: str) -> None:
        """Credit it, and what lies within, outside of a reading of all, and show it no more."""
        everyone = (*self._containers.values(), *self._ended.values())
        family = [one for one in everyone if f"{one.ref.path}/".startswith(f"{path}/")]
        self._identify(family)
        self._crediting.credit(family, self._monotonic())
        self._finish(path)

    def _finish(self, path: str) -> None:
        container = self._ended.pop(path)
        self._crediting.finish(container, within=self._is_shown(container.around))
        self._directory.forget(container)

    def _is_shown(self, container: Container | None) -> bool:
        if container is None:
            return False
        path = container.ref.path
        return container is self._containers.get(path) or container is self._ended.get(path)

    # --- what is known of one

    def _look_again(self) -> bool:
        """Look at those that engines are still making; the shortest are over before the next tick."""
        now = time.monotonic()
        paths = self._looks.due(now)
        for path in paths:
            container = self._containers[path]
            self._settle(path, container)
            self._read(path, container, with_pressure=False)
        there = [self._containers[path] for path in paths if path in self._containers]
        self._identify(there)
        for one in there:
            held, named = one.pidfd is not None, one.row.identity.resolved
            if self._looks.looked(one.ref.path, now, held=held, named=named):
                one.look_up_bounds()  # Runtimes set limits when the first process is in it.
        return bool(paths)

    def _settle(self, path: str, container: Container) -> None:
        """Find what was not there yet: directories of other controllers, the first process, its network."""
        container.open_what_is_there()
        if container.pidfd is None:
            pidfd = container.hold_first_process()
            if pidfd is not None and container.first_pid is not None:
                self._events.hold(pidfd, path)
                container.look_up_bounds()
                if (age := age_seconds(self._root, container.first_pid)) is not None:
                    container.began_by(self._clock() - age)
        if container.first_pid is not None:
            self._networks.enter(path, container.first_pid)

    def _identify(self, containers: Collection[Container]) -> None:
        self._directory.learn(containers)
        for one in containers:
            one.call(self._directory.identify(one))

    def _read(
        self,
        path: str,
        container: Container,
        *,
        whole: bool = False,
        with_pressure: bool = True,
        grown: Collection[str] = EVERYTHING,
    ) -> None:
        try:
            container.read(self._networks.read(path), whole=whole, with_pressure=with_pressure, grown=grown)
        except CgroupGone:
            self._end(path)

    def _publish(self) -> None:
        self.rows = (
            *(one.row for one in self._containers.values()),
            *(one.row for one in self._ended.values()),
        )
