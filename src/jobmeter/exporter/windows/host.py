"""Follows one Windows host: asks its engine by a timetable, and tells what its containers use."""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Never, Protocol

import msgspec
from msgspec.structs import replace

from jobmeter.containers.catalog.facts import ContainerFacts
from jobmeter.containers.cgroup_path import ContainerRef
from jobmeter.exporter.announced import Announcements
from jobmeter.exporter.container import Attribution, Identity, Row
from jobmeter.exporter.elsewhere import path_of
from jobmeter.exporter.windows.address import Engine
from jobmeter.exporter.windows.answers import ENGINE, About, Isolation, Made, Usage
from jobmeter.identity.containers import ContainerIdentity, identify_container
from jobmeter.metering.timetable import Timetable
from jobmeter.model.account import Account
from jobmeter.model.errors import SourceUnavailable, UsageError
from jobmeter.model.rates import delta
from jobmeter.ops.log import FullLog, Sparing

AT_ONCE = 8
"""So many containers are asked about at once: each costs the engine a call of Windows."""
ROUND_SECONDS = 10.0
"""What has not been read of all containers by then waits for the next round, unless these are further apart."""
_LEAST_INTERVAL_SECONDS = 1.0
_AGAIN_SECONDS = 10.0
_INSPECT_SECONDS = 60.0
_STALE_SECONDS = 60.0
_STALE_ROUNDS = 3
_RUNTIMES: dict[Isolation | None, str] = {
    "hyperv": "windows-hyperv",
    "process": "windows-process",
    None: "windows",
}


class Asked(Protocol):
    """An engine; each question raises SourceUnavailable with the reason."""

    async def meet(self) -> About:
        """Learn what it is."""
        ...

    async def containers(self) -> list[ContainerFacts]:
        """Those that run."""
        ...

    async def made(self, container_id: str) -> Made | None:
        """How one was made; None once it is gone."""
        ...

    async def usage(self, container_id: str) -> Usage | None:
        """What one has used by now; None for one that does not run."""
        ...


class Shown(Protocol):
    """Takes what is to be shown of the host, and shows it."""

    refused: int

    @property
    def rows(self) -> Sequence[Row]:
        """What is shown of it."""
        ...

    def tell(self, told: Iterable[Row], still: Collection[str] = ()) -> None:
        """All that is there; of those ``still`` there, by id, nothing new is known."""
        ...


class _Known:
    """One container. ``row`` is None until it was read; times are of a clock that nobody sets.

    It is ``called`` by what the engine says of it and by the announcements of that version.
    """

    def __init__(self, facts: ContainerFacts) -> None:
        self.facts = facts
        self.identity = Identity()
        self.called: tuple[ContainerFacts, int] | None = None
        self.made: Made | None = None
        self.made_at = 0.0
        self.started: float | None = None
        self.row: Row | None = None
        self.read_at = self.tried_at = float("-inf")
        self.is_there = True


class WindowsHost:
    """The machine of an ``engine``; ``open_client`` makes a connection with it. Tasks that are ``announced`` name
    its containers too.

    To be followed by one task; what has no underscore may be read by any thread. ``answered_at`` is a time of
    ``monotonic``.
    """

    def __init__(
        self,
        engine: Engine,
        open_client: Callable[[], AbstractAsyncContextManager[Asked]],
        shown: Shown,
        log: FullLog,
        *,
        interval_seconds: float,
        announced: Announcements | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = engine.name
        self.address = engine.address
        self.up = False
        self.answered_at: float | None = None
        self.errors = 0
        """Readings of a container that failed."""
        self.round_seconds: float | None = None
        """How long it took last to read all containers."""
        self._runtime = engine.runtime
        self._open = open_client
        self.shown = shown
        self._log = log
        self._sparing = Sparing(log)
        self._interval = max(interval_seconds, _LEAST_INTERVAL_SECONDS)
        self._clock = clock
        self._monotonic = monotonic
        self._state: str | None = None
        self._cpus: int | None = None
        self._announced = announced or Announcements(clock)
        self._known: dict[str, _Known] = {}

    async def follow(self) -> Never:
        """Ask until cancelled. What goes wrong is said once, and tried again."""
        while True:
            try:
                async with self._open() as client:
                    self._cpus = (await client.meet()).cpus
                    await self._ask_on(client)
            except (SourceUnavailable, UsageError) as error:
                self._fail(str(error))
            except Exception as error:  # Whatever it is, it costs the containers of this host only.
                self._fail(f"unexpected: {type(error).__name__}: {error}")
            await asyncio.sleep(random.uniform(0.5, 1.0) * max(self._interval, _AGAIN_SECONDS))

    async def _ask_on(self, client: Asked) -> Never:
        begun = self._monotonic()
        timetable = Timetable(self._interval)
        while True:
            timetable.take(self._monotonic() - begun)
            await self.round(client)
            await asyncio.sleep(max(0.0, timetable.next_due - (self._monotonic() - begun)))

    def _fail(self, reason: str) -> None:
        self.up = False
        if self._state != reason:
            self._state = reason
            self._log.warn(
                f"containers of the Windows host {self.name} are missing: {reason}", at=self.address
            )

    def _succeed(self) -> None:
        self.up = True
        self.answered_at = self._monotonic()
        if self._state != "":
            self._state = ""
            self._log.info(f"containers of the Windows host {self.name} are shown", at=self.address)

    async def round(self, client: Asked) -> None:
        """Read all that runs, those first whose last turn is longest ago, and tell it."""
        begun = self._monotonic()
        self._take(await client.containers())
        self._succeed()
        waiting = iter(sorted(self._known.values(), key=lambda known: known.tried_at))
        try:
            async with asyncio.timeout(max(self._interval, ROUND_SECONDS)), asyncio.TaskGroup() as readers:
                for _ in range(min(AT_ONCE, len(self._known))):
                    readers.create_task(self._read_some(client, waiting))
        except TimeoutError:
            self._complain("there are more than can be read in the time")
        self._tell(begun)
        self.round_seconds = self._monotonic() - begun

    def _take(self, listed: Iterable[ContainerFacts]) -> None:
        """Those that are there now, each with what was known of it."""
        before, self._known = self._known, {}
        version = self._announced.version
        for facts in listed:
            known = before.get(facts.id) or _Known(facts)
            known.facts, known.is_there = facts, True
            if known.called != (facts, version):  # It can be named anew while it runs.
                known.called = facts, version
                self._call(known)
            self._known[facts.id] = known

    def _call(self, known: _Known) -> None:
        """By names and labels, and what was announced: on another machine nothing else can be looked into."""
        facts, labels = known.facts, known.facts.all_labels()
        own = identify_container(facts.name, labels)
        attribution: Attribution = "own"
        ref = ContainerRef(ENGINE, facts.id, path_of(self.name, facts.id))
        began = known.started or facts.created or self._clock()
        found = self._announced.find(ref, own, began, None)
        if found is not None:
            own, attribution = found.identify(facts.name, labels, None)
        execution = own.execution if own is not None else None
        if own is not None and (found is None or execution != found.task.execution):
            execution = _execution(self.name, facts.id, own)
        identity = _identity(facts, own, attribution, execution)
        if identity != known.identity:
            known.identity = identity

    def _tell(self, begun: float) -> None:
        told: list[Row] = []
        still: list[str] = []
        stale = begun - max(_STALE_SECONDS, _STALE_ROUNDS * self._interval)
        for known in self._known.values():
            if known.row is None or not known.is_there:
                continue
            if known.read_at >= begun:
                told.append(known.row)
            elif known.read_at >= stale:
                still.append(known.facts.id)
            else:  # It is there, but what it uses is not known any more.
                told.append(replace(known.row, account=Account()))
        self.shown.tell(told, still)

    # --- one container

    async def _read_some(self, client: Asked, waiting: Iterable[_Known]) -> None:
        for known in waiting:
            known.tried_at = self._monotonic()
            try:
                await self._read(client, known)
            except SourceUnavailable as error:
                self._complain(str(error), id=known.facts.id)

    def _complain(self, reason: str, **fields: object) -> None:
        self.errors += 1
        self._sparing.warn(
            f"containers of the Windows host {self.name} could not be read", error=reason, **fields
        )

    async def _read(self, client: Asked, known: _Known) -> None:
        if known.made is None or self._monotonic() - known.made_at > _INSPECT_SECONDS:
            await self._inspect(client, known)
        usage = await client.usage(known.facts.id) if known.is_there else None
        if usage is None:
            known.is_there = False
            return
        if known.row is not None and _has_fallen(known.row.account, usage.account):
            await self._inspect(client, known)  # It was started again.
        if known.made is not None:
            known.row = self._row(known, known.made, usage)
            known.read_at = self._monotonic()

    async def _inspect(self, client: Asked, known: _Known) -> None:
        """Limits can be changed while it runs."""
        made = await client.made(known.facts.id)
        if made is None:
            known.is_there = False
        else:
            if known.made is None or known.made.started != made.started:
                # Once: a clock there that goes ahead would have it begin anew each time.
                began = made.started if made.started is not None else known.facts.created
                known.started = min(began, self._clock()) if began is not None else None
            known.made, known.made_at = made, self._monotonic()

    def _row(self, known: _Known, made: Made, usage: Usage) -> Row:
        facts = known.facts
        return Row(
            id=facts.id,
            path=path_of(self.name, facts.id),
            parent=None,
            engine=ENGINE,
            pod=facts.pod.uid if facts.pod is not None else None,
            identity=known.identity,
            account=usage.account,
            bounds=made.bounds(usage.cpus or self._cpus),
            started=known.started,
            runtime=self._runtime or _RUNTIMES[made.isolation],
            machine=self.name,
        )


def _has_fallen(before: Account, now: Account) -> bool:
    used = before.cpu_seconds, now.cpu_seconds
    return None not in used and delta(*used) is None


def _identity(
    facts: ContainerFacts, own: ContainerIdentity | None, attribution: Attribution, execution: str | None
) -> Identity:
    pod = facts.pod
    return Identity(
        name=facts.name,
        image=facts.image,
        labels=facts.all_labels(),
        namespace=pod.namespace if pod is not None else None,
        pod_name=pod.name if pod is not None else None,
        role=own.role if own is not None else None,
        job=own.job if own is not None else None,
        task_id=own.task_id if own is not None else None,
        execution=execution,
        attribution=attribution if own is not None else None,
    )


def _execution(machine: str, container_id: str, own: ContainerIdentity) -> str:
    """The containers of one task are one execution; those that only name the same job are one each."""
    if own.execution is not None:
        return f"{machine}/{own.execution}"
    return f"{machine}/{msgspec.json.encode(own.job).decode() if own.job.run_id else container_id}"
