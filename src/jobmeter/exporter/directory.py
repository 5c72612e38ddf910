"""What is known of a container beside its cgroup: what its engine and its processes tell of it, and whose job it is."""

import time
from collections.abc import Callable, Iterable
from typing import Protocol

from jobmeter.containers.catalog.facts import ContainerFacts
from jobmeter.containers.catalog.sockets import EngineSocket
from jobmeter.containers.catalog.watcher import SocketState
from jobmeter.containers.cgroup_path import ContainerRef
from jobmeter.containers.engines import buildkit, docker
from jobmeter.containers.engines.ids import is_build_id, is_long_hex
from jobmeter.exporter import evidence
from jobmeter.exporter.announced import Announcements, Found
from jobmeter.exporter.attribution import NOBODY, Owner, Owners
from jobmeter.exporter.container import Attribution, Container, Identity
from jobmeter.identity.containers import ContainerIdentity, identify_container, job_within
from jobmeter.model.account import Account
from jobmeter.model.job import Job

MAX_LOOKS = 16
"""So many processes of a container are looked into at once."""
_SETTLED_SECONDS = 1.0
"""So long a runtime may take until a process of a container has become the one it was made for."""
_NEXT_LOOK = 0.25
"""After so much of its age a container is looked into again, within these bounds."""
_SOONEST_SECONDS = 0.1
_LATEST_SECONDS = 60.0
_LATEST_CLAIMED_SECONDS = 5.0
_STEP_SECONDS = 0.5
"""By so much the clock is set rather than slowed down."""
_NEVER = float("inf")
_SEEN = -1.0


class Catalog(Protocol):
    """What engines say of their containers."""

    @property
    def version(self) -> int:
        """The same number means the same answers."""
        ...

    @property
    def sockets(self) -> tuple[EngineSocket, ...]:
        """Where engines are asked."""
        ...

    def lookup(self, container_id: str) -> ContainerFacts | None:
        """What is known of one."""
        ...

    def told_by(self, container_id: str) -> EngineSocket | None:
        """The socket of the engine that knows it."""
        ...

    def states(self) -> Iterable[SocketState]:
        """Which engine is at each socket."""
        ...


class _Known:
    """What was learned of one container; of environments only the job is kept."""

    def __init__(self, now: float) -> None:
        self.since = now
        self.version: tuple[int, int] | None = None
        self.facts: ContainerFacts | None = None
        self.told: ContainerIdentity | None = None
        self.found: Found | None = None
        self.inside: Job | None = None
        self.own: ContainerIdentity | None = None
        self.attribution: Attribution = "own"
        self.placed = False
        self.ended = False
        self.looked: dict[int, float] = {}
        self.look_at = now
        self.quiet: Account | None = None
        self.first: tuple[int, float] | None = None
        self.ancestors_known = False
        self.sockets_known = False
        self.owner: Owner = NOBODY
        self.owners_version: int | None = None
        self.identity = Identity()

    @property
    def claimed(self) -> bool:
        """Whether a runner's name or labels tell of it."""
        return self.told is not None

    def is_quiet(self, version: tuple[int, int], now: float) -> bool:
        """Whether there is nothing to ask of one that lives: not of its engine, and not yet of its processes."""
        return version == self.version and now < self.look_at


class Identities:
    """Asks a ``catalog``, what was ``announced``, and the processes below ``root``, which is /proc. For one thread.

    Nothing is looked up again while neither the catalog nor the processes changed: without a change of its account
    nothing was started in a container. One whose repository is not known is looked into more and more seldom, but
    if a runner claims it every five seconds at least: the environment of a job comes with each of its steps.
    """

    def __init__(
        self,
        catalog: Catalog,
        announced: Announcements | None = None,
        *,
        root: str = "/proc",
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog = catalog
        self._announced = announced or Announcements(clock)
        self._root = root
        self._clock = clock
        self._monotonic = monotonic
        self._ahead = clock() - monotonic()
        self._owners = Owners(began=clock())
        self._known: dict[str, _Known] = {}

    def learn(self, containers: Iterable[Container]) -> None:
        """Take what can be learned of them now."""
        version, now = (self._catalog.version, self._announced.version), self._monotonic()
        self._follow_clock()
        for container in containers:
            known = self._known.get(container.ref.path)
            if known is None or container.row.ended is not None or not known.is_quiet(version, now):
                self._learn(container, version, now)
        self._owners.expire(self._clock())

    def identify(self, container: Container) -> Identity:
        """What is known by now; the same object while that does not change."""
        known = self._known.get(container.ref.path)
        if known is None:
            return container.row.identity
        if known.owners_version == self._owners.version:
            return known.identity
        owner = self._owners.owner(container.ref.path, self._clock())
        known.owners_version = self._owners.version if self._owners.is_settled(container.ref.path) else None
        if owner != known.owner:
            known.owner = owner
            known.identity = _describe(known)
        return known.identity

    def forget(self, container: Container) -> None:
        """It is shown no more."""
        if self._known.pop(container.ref.path, None) is not None:
            self._owners.forget(container.ref.path)

    def _follow_clock(self) -> None:
        ahead = self._clock() - self._monotonic()
        if abs(ahead - self._ahead) >= _STEP_SECONDS:
            self._owners.set_clock(ahead - self._ahead)
            self._ahead = ahead

    def _learn(self, container: Container, version: tuple[int, int], now: float) -> None:
        known = self._known.get(container.ref.path)
        if known is None:
            known = self._known[container.ref.path] = _Known(now)
            self._owners.enter(container.ref.path, container.ref.parent_path, container.started)
        news = False
        if version != known.version:
            news = self._ask_engines(container.ref, known)
            news = self._look_for_task(container, known) or news
            known.version = version
        if container.row.ended is None:
            if now >= known.look_at and container.row.account is not known.quiet:
                news = self._look_inside(container, known, now) or news
        elif not known.ended:
            known.ended = True
            self._owners.end(container.ref.path, container.row.ended)
        if news:
            self._conclude(container.ref.path, known)

    def _ask_engines(self, ref: ContainerRef, known: _Known) -> bool:
        """Whether they tell anything new of it.

        Only of one in no other container: what is made within is known to an engine within, and its id in a path may
        have been chosen by whoever can make cgroups there.
        """
        if ref.parent_path is not None:
            return False
        facts = self._catalog.lookup(ref.id) if ref.id is not None else None
        if facts is not None and not _same_engine(ref, facts):
            facts = None
        if facts is None and ref.engine == buildkit.NAME and known.version is None:
            # Nobody lists the steps of a build, but of all engines only Docker has its builder within.
            dockers = frozenset(state.path for state in self._catalog.states() if state.engine == docker.NAME)
            self._owners.made_by(ref.path, dockers)
        if facts is known.facts or facts is None:
            return False  # One that ended is forgotten by its engine before it is forgotten here.
        known.facts = facts
        known.told = identify_container(facts.name, facts.all_labels())
        known.looked.clear()
        known.look_at, known.quiet = known.since, None
        socket = self._catalog.told_by(facts.id)
        if socket is not None and not _made_by_kubelet(facts):
            self._owners.made_by(ref.path, _paths((socket,)))
        return True

    def _look_for_task(self, container: Container, known: _Known) -> bool:
        """Whether another task than before was announced for it. One that ended stays whose it was."""
        ended = container.row.ended
        found = self._announced.find(container.ref, known.told, container.started, ended)
        if found == known.found or (found is None and ended is not None):
            return False
        known.found = found
        return True

    def _look_inside(self, container: Container, known: _Known, now: float) -> bool:
        """Whether its processes tell anything new."""
        pids = container.processes()
        news = bool(pids) and self._look_into(pids, container, known, now)
        known.look_at = self._next_look(known, now)
        all_seen = all(known.looked.get(pid) == _SEEN for pid in pids)
        known.quiet = container.row.account if all_seen and not news else None
        return news

    def _look_into(self, pids: list[int], container: Container, known: _Known, now: float) -> bool:
        news = not _is_told(known.inside) and self._read_environments(pids, known, now)
        first = container.first_pid or pids[0]
        if known.first is None or known.first[0] != first:
            known.first = first, now
        if not _ancestors_settled(known):
            above = evidence.containers_above(self._root, first)
            if above is not None:
                known.ancestors_known = True
                self._owners.descends(container.ref.path, above)
        self._look_for_sockets(container.ref.path, known, now)
        return news

    def _look_for_sockets(self, path: str, known: _Known, now: float) -> None:
        """Which engines a job's container can reach. At first a runtime sees the host's mounts in it."""
        if known.own is None or known.sockets_known or known.first is None:
            return
        pid, since = known.first
        if now - since >= _SETTLED_SECONDS and not evidence.is_runtimes(self._root, pid):
            known.sockets_known = True
            sockets = _paths(self._catalog.sockets)
            self._owners.reaches(path, evidence.reachable(self._root, pid, sockets))

    def _next_look(self, known: _Known, now: float) -> float:
        if _is_told(known.inside) and known.sockets_known and _ancestors_settled(known):
            return _NEVER
        latest = _LATEST_CLAIMED_SECONDS if known.claimed else _LATEST_SECONDS
        return now + min(max(_SOONEST_SECONDS, _NEXT_LOOK * (now - known.since)), latest)

    def _read_environments(self, pids: list[int], known: _Known, now: float) -> bool:
        """Read those of some processes that were not read yet; whether one tells of a job."""
        there = frozenset(pids)
        known.looked = {pid: seen for pid, seen in known.looked.items() if pid in there}
        fresh = [pid for pid in pids if known.looked.get(pid) != _SEEN][:MAX_LOOKS]
        told: list[Job] = []
        for pid, is_root in self._roots_first(fresh, there):
            seen = known.looked.setdefault(pid, now)
            if now - seen >= _SETTLED_SECONDS and not evidence.is_runtimes(self._root, pid):
                known.looked[pid] = _SEEN
            # The steps of a runner that runs them beside itself are its children, and of one job after the other.
            job = job_within(evidence.read_environ(self._root, pid)) if is_root or known.claimed else None
            if job is not None:
                told.append(job)
        best = next((job for job in told if _is_told(job)), told[0] if told else None)
        if best is None or best == known.inside:
            return False
        known.inside = best
        return True

    def _roots_first(self, pids: list[int], there: frozenset[int]) -> list[tuple[int, bool]]:
        """Processes, and whether they were started from outside of the container: by its runtime."""
        parents = [(pid, evidence.parent_of(self._root, pid)) for pid in pids]
        found = [(pid, parent not in there) for pid, parent in parents if parent is not None]
        return sorted(found, key=lambda one: not one[1])

    def _conclude(self, path: str, known: _Known) -> None:
        """Say anew what the container says of itself."""
        facts = known.facts
        name, labels = (facts.name, facts.all_labels()) if facts is not None else (None, {})
        if known.found is not None:
            own, attribution = known.found.identify(name, labels, known.inside)
        else:
            own, attribution = identify_container(name, labels, known.inside), "own"
        placed = known.found is not None and known.found.placed
        if (own, attribution, placed) != (known.own, known.attribution, known.placed):
            known.own, known.attribution, known.placed = own, attribution, placed
            self._owners.tell(path, own, attribution, placed=placed)
        known.identity = _describe(known)


def _describe(known: _Known) -> Identity:
    facts, own, owner = known.facts, known.own, known.owner
    pod = facts.pod if facts is not None else None
    return Identity(
        name=facts.name if facts is not None else None,
        image=facts.image if facts is not None else None,
        labels=facts.all_labels() if facts is not None else {},
        namespace=pod.namespace if pod is not None else None,
        pod_name=pod.name if pod is not None else None,
        role=own.role if own is not None else None,
        job=owner.job,
        task_id=owner.task_id,
        execution=owner.execution,
        attribution=owner.attribution,
    )


def _same_engine(ref: ContainerRef, facts: ContainerFacts) -> bool:
    """An id is unique; a name of the user's choice may be given again by another engine."""
    return ref.engine == facts.engine or is_long_hex(facts.id) or is_build_id(facts.id)


def _made_by_kubelet(facts: ContainerFacts) -> bool:
    return facts.pod is not None and facts.engine != "podman"


def _ancestors_settled(known: _Known) -> bool:
    """Whether they are known, or tell no more than an engine did."""
    return known.ancestors_known or (known.own is not None and known.own.resolved and known.own.vouched)


def _is_told(job: Job | None) -> bool:
    return job is not None and job.repository is not None


def _paths(sockets: Iterable[EngineSocket]) -> frozenset[str]:
    return frozenset(socket.path for socket in sockets)
