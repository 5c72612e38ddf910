"""What one engine has told: a bounded map that one thread writes and any thread reads."""

import time
from collections.abc import Callable, Iterable

import msgspec

from jobmeter.containers.catalog.facts import ContainerFacts, PodFacts

MAX_CONTAINERS = 20_000
LINGER_SECONDS = 300.0


class Book:
    """Containers by id, with those that ended less than LINGER_SECONDS ago: a short one is looked up after its end.

    ``containers`` is read without a lock: its values are immutable, and it stays the same dict. ``version``
    grows with each container that is new or changed. ``dropped`` counts those there was no room for.
    """

    def __init__(
        self,
        max_containers: int = MAX_CONTAINERS,
        linger_seconds: float = LINGER_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.containers: dict[str, ContainerFacts] = {}
        self.version = 0
        self.dropped = 0
        self._max = max_containers
        self._linger = linger_seconds
        self._clock = clock
        # When the ended ones are forgotten, in the order of their ends.
        self._ended: dict[str, float] = {}
        self._pods: dict[str, PodFacts] = {}

    def put(self, facts: ContainerFacts) -> None:
        """A container that is there, new or changed."""
        self._expire()
        known = self.containers.get(facts.id)
        if known is None and len(self.containers) >= self._max and not self._make_room():
            self.dropped += 1
            return
        self._ended.pop(facts.id, None)
        facts = self._with_pod(facts, known)
        if facts != known:
            self.containers[facts.id] = facts
            self.version += 1

    def rename(self, container_id: str, name: str | None) -> None:
        """Another name for a container; nothing for one that is not known."""
        known = self.containers.get(container_id)
        if known is not None:
            self.put(msgspec.structs.replace(known, name=name))

    def end(self, container_id: str) -> None:
        """A container that is there no more."""
        self._expire()
        if container_id in self.containers:
            self._ended.setdefault(container_id, self._clock() + self._linger)

    def replace(self, present: Iterable[ContainerFacts]) -> None:
        """All containers that are there; the others have ended."""
        gone = set(self.containers)
        # A pod's labels are told by its sandbox.
        for facts in sorted(present, key=lambda facts: not facts.is_sandbox):
            gone.discard(facts.id)
            self.put(facts)
        for container_id in gone:
            self.end(container_id)

    @property
    def present(self) -> int:
        """How many containers are there, those that ended left out."""
        return len(self.containers) - len(self._ended)

    def _with_pod(self, facts: ContainerFacts, known: ContainerFacts | None) -> ContainerFacts:
        pod = facts.pod
        if pod is None:
            # A list does not tell what an event told.
            return msgspec.structs.replace(facts, pod=known.pod) if known and known.pod else facts
        if facts.is_sandbox:
            self._pods[pod.uid] = pod
            return facts
        return msgspec.structs.replace(facts, pod=self._pods.get(pod.uid, pod))

    def _make_room(self) -> bool:
        """Forget the one that ended first."""
        oldest = next(iter(self._ended), None)
        if oldest is not None:
            self._forget(oldest)
        return oldest is not None

    def _expire(self) -> None:
        now = self._clock()
        while (oldest := next(iter(self._ended), None)) is not None and self._ended[oldest] <= now:
            self._forget(oldest)

    def _forget(self, container_id: str) -> None:
        del self._ended[container_id]
        facts = self.containers.pop(container_id)
        if facts.is_sandbox and facts.pod is not None:
            self._pods.pop(facts.pod.uid, None)
