"""Whose job each container is. Nothing is guessed: what none of these tells is nobody's.

0. "announced": a trusted daemon has said that this container, or all in its cgroup, is a task's.
1. "nesting": it lies within the container of a known job. Whatever it says of itself, it is in that account.
2. "own": an engine of the host tells so by its name or labels; what these leave open its environment, or another
   container of the same execution. "announced": the name has the number of a task, and a trusted daemon the rest.
3. "ancestry": its first process descends from a process in the container of a known job.
4. "own": its environment alone tells so, which whoever starts it can make up.
5. "only_job": the engine that made it can be reached by the one job that was there from before it was made until
   now. When a second job comes, or the first one ends, it is nobody's from then on.
"""

import math
from collections.abc import Iterable
from itertools import chain
from typing import NamedTuple

import msgspec

from jobmeter.exporter.container import Attribution
from jobmeter.identity.containers import ContainerIdentity
from jobmeter.model.job import Job

DECIDE_SECONDS = 5.0
"""After so long every container that was there when another was made has told whose it is."""
KEPT_SECONDS = 300.0
"""So long a job is remembered that was there together with a container."""
NEAR_SECONDS = 10.0
"""So far apart the containers of one execution may be: later the same number is another one's."""
_MAX_KEPT = 10_000
_MAX_ABOVE = 4
_MAX_DEPTH = 6


class Owner(NamedTuple):
    """The job of a container, the forge's id of this execution of it, and how that is known.

    ``execution`` is the same for all that belongs to one execution, and for nothing else while this process runs.
    """

    job: Job | None = None
    task_id: str | None = None
    attribution: Attribution | None = None
    execution: str | None = None

    @property
    def resolved(self) -> bool:
        """Whether the repository is known."""
        return self.job is not None and self.job.repository is not None


NOBODY = Owner()


class _Execution:
    """One execution of a job, as its containers tell of it."""

    def __init__(self, first: "_Member", key: str | bytes) -> None:
        self.key = key
        self.name = str(key) if first.placed else first.name
        self.members: set[_Member] = set()
        self.started = first.started
        self.ended: float | None = None
        self.job: Job | None = None
        self.task_id: str | None = None
        self.disputed = False

    def hear(self, own: ContainerIdentity) -> None:
        """Take over what one of its containers tells, if it is more; two that tell different jobs share nothing."""
        self.task_id = self.task_id or own.task_id
        if self.job is not None and _contradict(self.job, own.job):
            self.disputed = True
        elif self.job is None or _worth(own.job) > _worth(self.job):
            self.job = own.job

    def was_there(self, since: float, until: float) -> bool:
        """At any moment of that time."""
        return self.started <= until and (self.ended is None or self.ended >= since)


class _Member:
    """A container."""

    __slots__ = (
        "above", "attribution", "ended", "engines", "execution", "fixed", "lost", "name", "own", "owner", "parent",
        "placed", "reaches", "started", "undecided", "version",
    )  # fmt: skip

    def __init__(self, path: str, parent: str | None, started: float) -> None:
        self.name = f"{path}@{started}"
        self.parent = parent
        self.started = started
        self.ended: float | None = None
        self.own: ContainerIdentity | None = None
        self.attribution: Attribution = "own"
        self.placed = False
        self.execution: _Execution | None = None
        self.above: tuple[str, ...] = ()
        self.engines: frozenset[str] = frozenset()
        self.reaches: frozenset[str] = frozenset()
        self.owner = NOBODY
        self.version = -1
        self.undecided = False
        self.lost = False
        self.fixed: Owner | None = None

    def could_make(self, other: "_Member") -> bool:
        """Whether it could reach an engine that made the other one, when that was made."""
        there = self.started < other.started and (self.ended is None or self.ended >= other.started)
        return there and not self.reaches.isdisjoint(other.engines)


class Owners:
    """All containers of the host by their cgroup paths, and what is known of each. Does no I/O.

    Times are seconds since 1970. Of containers from before ``began`` nobody knows which jobs were there with them.
    """

    def __init__(self, began: float) -> None:
        self._began = began
        self._containers: dict[str, _Member] = {}
        self._executions: dict[str | bytes, list[_Execution]] = {}
        self._past: dict[_Execution, float] = {}
        self.version = 0
        """The same number means the same owners, of those that are settled."""

    def enter(self, path: str, parent: str | None, started: float) -> None:
        """A container is there; ``parent`` is the path of the one around it."""
        self._containers[path] = _Member(path, parent, started)
        self.version += 1

    def tell(
        self,
        path: str,
        own: ContainerIdentity | None,
        attribution: Attribution = "own",
        *,
        placed: bool = False,
    ) -> None:
        """What the container says of itself, or was announced of it; it may be more later.

        ``placed`` if that holds wherever the container lies.
        """
        one = self._containers[path]
        one.own, one.attribution, one.placed = own, attribution, placed
        key = _key(own) if own is not None and (placed or not self._is_within_job(one)) else None
        if key != (one.execution.key if one.execution is not None else None):
            self._leave(one)
            if key is not None:
                self._join(one, key)
        if one.execution is not None and own is not None:
            one.execution.hear(own)
        self.version += 1

    def descends(self, path: str, above: Iterable[str]) -> None:
        """Its first process descends from processes in these containers, the nearest first."""
        found = tuple(one for one in above if one != path and not one.startswith(f"{path}/"))
        self._containers[path].above = found[:_MAX_ABOVE]
        self.version += 1

    def made_by(self, path: str, engines: frozenset[str]) -> None:
        """One of the engines at these sockets made it."""
        self._containers[path].engines = engines
        self.version += 1

    def reaches(self, path: str, engines: frozenset[str]) -> None:
        """From within it the engines at these sockets can be reached."""
        self._containers[path].reaches = engines
        self.version += 1

    def end(self, path: str, when: float) -> None:
        """It has ended; it is still known until it is forgotten."""
        one = self._containers[path]
        one.ended = when
        if one.execution is not None:
            _settle_end(one.execution)
        self.version += 1

    def forget(self, path: str) -> None:
        """Nothing is asked of it any more."""
        one = self._containers.pop(path)
        execution = one.execution
        if execution is not None:
            execution.members.discard(one)
            if not execution.members:
                execution.ended = one.started if execution.ended is None else execution.ended
                self._past[execution] = execution.ended
        self.version += 1

    def set_clock(self, step: float) -> None:
        """The clock was set by so much: what was noted down is told by the new one, so that an order stays one."""
        self._began += step
        executions = {*self._past, *chain.from_iterable(self._executions.values())}
        every: list[_Member | _Execution] = [*self._containers.values(), *executions]
        for one in every:
            one.started += step
            one.ended = None if one.ended is None else one.ended + step
        self._past = {execution: ended + step for execution, ended in self._past.items()}
        self.version += 1

    def expire(self, now: float) -> None:
        """Forget the jobs that ended long ago."""
        while self._past:
            execution = next(iter(self._past))
            if now - self._past[execution] < KEPT_SECONDS and len(self._past) <= _MAX_KEPT:
                return
            del self._past[execution]
            self._drop(execution)

    def owner(self, path: str, now: float) -> Owner:
        """Whose job it is, as far as that is known now."""
        one = self._containers.get(path)
        return NOBODY if one is None else self._owner(one, now, _MAX_DEPTH)

    def is_settled(self, path: str) -> bool:
        """Whether the owner that was told last stands until the version changes."""
        one = self._containers.get(path)
        return one is None or one.version == self.version

    # --- executions

    def _is_within_job(self, one: _Member) -> bool:
        parent = self._containers.get(one.parent or "")
        while parent is not None:
            if parent.own is not None and parent.own.resolved:
                return True
            parent = self._containers.get(parent.parent or "")
        return False

    def _join(self, one: _Member, key: str | bytes) -> None:
        of_key = self._executions.setdefault(key, [])
        until = math.inf if one.ended is None else one.ended
        near = (job for job in of_key if job.was_there(one.started - NEAR_SECONDS, until + NEAR_SECONDS))
        execution = next(near, None)
        if execution is None:
            execution = _Execution(one, key)
            of_key.append(execution)
        self._past.pop(execution, None)
        execution.members.add(one)
        execution.started = min(execution.started, one.started)
        one.execution = execution
        _settle_end(execution)

    def _leave(self, one: _Member) -> None:
        """It belongs to another execution than was thought: without it there may have been none."""
        if one.execution is not None:
            one.execution.members.discard(one)
            if not one.execution.members:
                self._drop(one.execution)
        one.execution = None

    def _drop(self, execution: _Execution) -> None:
        of_key = self._executions[execution.key]
        of_key.remove(execution)
        if not of_key:
            del self._executions[execution.key]

    # --- owners

    def _owner(self, one: _Member, now: float, depth: int) -> Owner:
        if one.version != self.version:
            if not depth:
                return NOBODY
            before, one.undecided = one.owner, False
            one.owner = self._find(one, now, depth - 1)
            if one.owner.attribution == "only_job" and before.job is None:
                self.version += 1  # What lies within it is to be asked again.
            one.version = -1 if one.undecided else self.version
        return one.owner

    def _find(self, one: _Member, now: float, depth: int) -> Owner:
        own = _own(one)
        if one.placed and own.resolved:
            return own
        outer = self._as(one.parent, "nesting", now, depth)
        if outer.resolved or (own.resolved and one.own is not None and one.own.vouched):
            return outer if outer.resolved else own
        found = (self._as(path, "ancestry", now, depth) for path in one.above)
        above = next((owner for owner in found if owner.job is not None), NOBODY)
        if above.resolved:
            return above
        # As far as nobody knows the repository, the first one that tells anything.
        told = (
            own if own.resolved else next((who for who in (own, outer, above) if who.job is not None), None)
        )
        return told if told is not None else self._only_job(one, now)

    def _as(self, path: str | None, attribution: Attribution, now: float, depth: int) -> Owner:
        """As the owner of another container."""
        one = self._containers.get(path or "")
        owner = NOBODY if one is None else self._owner(one, now, depth)
        return owner if owner.job is None else owner._replace(attribution=attribution)

    def _only_job(self, one: _Member, now: float) -> Owner:
        if one.fixed is not None:
            return one.fixed
        if one.lost or not one.engines or one.started < self._began:
            return NOBODY
        if now - one.started < DECIDE_SECONDS:
            one.undecided = True
            return NOBODY
        until = one.ended if one.ended is not None else now
        found = self._one_that_made(one, until)
        if found.job is None:
            one.lost = True
        elif one.ended is not None:
            one.fixed = found
        return found

    def _one_that_made(self, one: _Member, until: float) -> Owner:
        all_known = chain.from_iterable(self._executions.values())
        there = [job for job in all_known if job.was_there(one.started, until)]
        if len(there) != 1 or there[0].disputed:
            return NOBODY
        (job,) = there
        stayed = job.ended is None or job.ended >= until
        makers = (member for member in job.members if member.could_make(one))
        maker = next(makers, None) if stayed else None
        return NOBODY if maker is None else Owner(job.job, job.task_id, "only_job", _execution(maker))


def _own(one: _Member) -> Owner:
    if one.own is None:
        return NOBODY
    job, execution = one.own.job, one.execution
    if execution is not None and not execution.disputed and not one.own.labelled:
        job = execution.job or job
    return Owner(job, one.own.task_id, one.attribution, _execution(one))


def _execution(one: _Member) -> str:
    """All containers with one number are one execution; those that only name the same job are one each."""
    if one.execution is None or one.own is None or not (one.own.execution or one.own.job.run_id):
        return one.name
    return one.execution.name


def _key(own: ContainerIdentity) -> str | bytes | None:
    """What tells one execution from another; None where too little is told."""
    if own.execution is not None:
        return own.execution
    return msgspec.json.encode(own.job) if own.resolved else None


def _settle_end(execution: _Execution) -> None:
    ends = [one.ended for one in execution.members]
    execution.ended = None if None in ends else max((end for end in ends if end is not None), default=None)


def _contradict(one: Job, other: Job) -> bool:
    pairs = ((getattr(one, name), getattr(other, name)) for name in ("server_url", "repository", "run_id"))
    return any(mine and its and mine.casefold() != its.casefold() for mine, its in pairs)


def _worth(job: Job) -> tuple[bool, int]:
    known = sum(getattr(job, name) not in (None, ()) for name in Job.__struct_fields__)
    return job.repository is not None, known
