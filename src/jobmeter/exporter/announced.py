"""Tasks that were announced over the hook socket, and which containers are theirs.

Only who may open the socket can announce, so that is believed over all that a job can feign. A container that an
announcement places, by its id, its cgroup or a process in it, is that task's whatever it says of itself. One whose
runner wrote a task's number into its name or labels is told by that number, which another server may have given too:
where the container's environment tells another job than was announced, neither is believed.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from jobmeter.containers.cgroup_path import ContainerRef
from jobmeter.exporter.attribution import NEAR_SECONDS
from jobmeter.exporter.container import Attribution
from jobmeter.identity.containers import ContainerIdentity, identify_container
from jobmeter.model.job import Job
from jobmeter.ops.hooks.events import TaskEvent, completed, filled, moment

MAX_TASKS = 10_000
KEPT_SECONDS = 300.0
"""So long after its end a task names containers."""
LONGEST_SECONDS = 7 * 86_400.0
"""No job is as long: who announced it has not told of its end."""
_SHORT_ID = 12
_FAMILIES = {"gitea": "forgejo"}
"""Forgejo's runners once used Gitea's names."""
_DISTINCT = ("repository", "run_id")


class Task(Struct, frozen=True, kw_only=True):
    """One task: what was announced, from when to when in seconds since 1970, where its process is."""

    event: TaskEvent
    since: float
    ended: float | None = None
    around: str | None = None

    @property
    def execution(self) -> str:
        """What tells it from all other executions."""
        return "announced {}/{}".format(*self.event.key)

    @property
    def marks(self) -> Iterator[str]:
        """By which it is found."""
        yield f"task {self.event.task_id}"
        if self.event.container_id is not None:
            yield f"id {self.event.container_id[:_SHORT_ID]}"
        for path in (self.event.cgroup, self.around):
            if path is not None:
                yield f"cgroup {path.rstrip('/')}"

    def could_have(self, started: float, ended: float | None) -> bool:
        """Whether a container was there while the task ran, or nearly so."""
        before = self.ended is None or started <= self.ended + NEAR_SECONDS
        return before and (ended is None or ended >= self.since - NEAR_SECONDS)


class Found(Struct, frozen=True):
    """The task of a container; ``placed`` if the announcement names the container, not only the task's number."""

    task: Task
    placed: bool

    def identify(
        self, name: str | None, labels: dict[str, str], inside: Job | None
    ) -> tuple[ContainerIdentity | None, Attribution]:
        """The job of the container with this name and labels, and this job by its environment; how it is known."""
        told = identify_container(name, labels)
        if self.placed:
            return self._placed(identify_container(name, labels, inside)), "announced"
        job = self.task.event.job
        if inside is not None and _contradict(inside, job):
            return told, "own"
        own = identify_container(name, labels, filled(job, inside))
        if own is None or not own.resolved:
            return own, "own"
        own = replace(own, execution=self.task.execution, vouched=True)
        return own, "own" if told is not None and told.resolved else "announced"

    def _placed(self, own: ContainerIdentity | None) -> ContainerIdentity:
        event = self.task.event
        own = own or ContainerIdentity(job=Job())
        job = event.job if _contradict(event.job, own.job) else filled(event.job, own.job)
        return replace(
            own, job=job, task_id=event.task_id, execution=self.task.execution, vouched=True, labelled=False
        )


class Announcements:
    """All tasks that were announced and are not long over; for any thread."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._tasks: dict[tuple[str, str], Task] = {}
        self._by_mark: dict[str, dict[tuple[str, str], Task]] = {}
        self.version = 0
        """The same number means the same answers."""

    def start(self, event: TaskEvent, around: str | None = None) -> TaskEvent:
        """A task runs; ``around`` is the cgroup of the container that its process is in. What is known with its time.

        The same one again adds to what was told of it.
        """
        with self._lock:
            now = self._clock()
            since = min(now, event.time.timestamp()) if event.time is not None else now
            known = self._tasks.get(event.key)
            if known is not None and known.ended is None:
                since = min(since, known.since)
                around = around or known.around
                event = completed(event, known.event)
            event = replace(event, time=moment(since))
            self._put(Task(event=event, since=since, around=around))
            self._forget_some(now)
            return event

    def known(self, event: TaskEvent) -> TaskEvent:
        """The event, with what was told of its task before."""
        with self._lock:
            task = self._tasks.get(event.key)
            return completed(event, task.event) if task is not None else event

    def end(self, event: TaskEvent) -> None:
        """It is over; nothing if it is not known."""
        with self._lock:
            known = self._tasks.get(event.key)
            if known is not None and known.ended is None:
                self._put(replace(known, ended=self._clock()))

    def expire(self) -> None:
        """Forget what is long over."""
        with self._lock:
            self._forget_some(self._clock())

    def running(self) -> list[TaskEvent]:
        """Those that are not over, the longest known first."""
        with self._lock:
            return [task.event for task in self._tasks.values() if task.ended is None]

    def find(
        self, ref: ContainerRef, told: ContainerIdentity | None, started: float, ended: float | None
    ) -> Found | None:
        """Whose a container is; ``told`` is what its name and its labels say."""
        if not self._tasks:
            return None
        with self._lock:
            for tasks in self._places(ref):
                placed = [task for task in tasks if task.could_have(started, ended)]
                if placed:
                    return Found(max(placed, key=lambda task: (task.ended is None, task.since)), True)
            numbered = self._numbered(told, started, ended) if told is not None else []
            return Found(numbered[0], False) if len(numbered) == 1 else None

    def _places(self, ref: ContainerRef) -> Iterator[Iterable[Task]]:
        """The nearest first. An id in a path within another container may have been chosen by a job."""
        if ref.parent_path is None and ref.id is not None:
            found = self._by_mark.get(f"id {ref.id[:_SHORT_ID]}", {}).values()
            yield [task for task in found if ref.id.startswith(task.event.container_id or "\0")]
        path = ref.path
        while path:
            yield self._by_mark.get(f"cgroup {path}", {}).values()
            path = path.rpartition("/")[0]

    def _numbered(self, told: ContainerIdentity, started: float, ended: float | None) -> list[Task]:
        """One that was there before the task is another's."""
        return [
            task
            for task in self._by_mark.get(f"task {told.task_id}", {}).values()
            if started >= task.since - NEAR_SECONDS
            and task.could_have(started, ended)
            and _family(task.event.job.forge) == _family(told.job.forge)
            and not _contradict(told.job, task.event.job)
        ]

    def _put(self, task: Task) -> None:
        known = self._tasks.get(task.event.key)
        if known == task:
            return
        if known is not None:
            self._drop(known)
        self._tasks[task.event.key] = task
        for mark in task.marks:
            self._by_mark.setdefault(mark, {})[task.event.key] = task
        self.version += 1

    def _drop(self, task: Task) -> None:
        del self._tasks[task.event.key]
        for mark in frozenset(task.marks):
            del self._by_mark[mark][task.event.key]
            if not self._by_mark[mark]:
                del self._by_mark[mark]
        self.version += 1

    def _forget_some(self, now: float) -> None:
        """What is long over; where there are still too many, those known for the longest time."""
        for task in [task for task in self._tasks.values() if _is_forgotten(task, now)]:
            self._drop(task)
        while len(self._tasks) > MAX_TASKS:
            self._drop(next(iter(self._tasks.values())))


def _is_forgotten(task: Task, now: float) -> bool:
    if task.ended is not None:
        return now - task.ended >= KEPT_SECONDS
    return now - task.since >= LONGEST_SECONDS


def _family(forge: str | None) -> str | None:
    return _FAMILIES.get(forge or "", forge)


def _contradict(one: Job, other: Job) -> bool:
    pairs = ((getattr(one, name), getattr(other, name)) for name in _DISTINCT)
    return any(mine and its and mine.casefold() != its.casefold() for mine, its in pairs)
