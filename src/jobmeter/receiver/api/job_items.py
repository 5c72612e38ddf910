"""What a list says of each of its jobs, kept in memory until what the job's runs tell changes."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar, get_args

from sqlalchemy import Connection

from jobmeter.model.history.digest import judged_of, level_now, waste_of
from jobmeter.receiver.api.history_types import JobItem, Recent
from jobmeter.receiver.store.history import RunQuestion, runs_of
from jobmeter.receiver.store.known_jobs import JobUse, KnownJob, used_lately
from jobmeter.receiver.store.last_runs import last_runs

RECENT_RUNS = 30
LEVEL_RUNS = 200
"""In so many runs levels are looked for where nobody says how many."""
MOST_KEPT = 1000
"""Of so many jobs it is kept."""
_LISTED = ("memory", "cpu_seconds", "duration")

Told = TypeVar("Told")


class JobItems:
    """Tells of jobs what a list says of them, and by what it orders them; for all threads that read."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._items: _Kept[JobItem] = _Kept(most)
        self._used: dict[JobUse, _Kept[float]] = {order: _Kept(most) for order in get_args(JobUse)}

    def item(self, connection: Connection, job: KnownJob) -> JobItem:
        """Its row."""
        return self._items.of(job, partial(_job_item, connection, job))

    def used(self, connection: Connection, job: KnownJob, order: JobUse) -> float:
        """What its last runs used, or left unused."""
        return self._used[order].of(job, partial(used_lately, connection, job.id, order, RECENT_RUNS))


class _Kept(Generic[Told]):
    """Something about each of the ``most`` jobs that were asked for last."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._told: OrderedDict[int, tuple[tuple[int | None, ...], Told]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, job: KnownJob, make: Callable[[], Told]) -> Told:
        """What ``make`` told of this state of the job. Two threads may make the same."""
        with self._lock:
            known = self._told.get(job.id)
            if known is not None and known[0] == _state(job):
                self._told.move_to_end(job.id)
                return known[1]
        made = make()
        with self._lock:
            self._told[job.id] = _state(job), made
            self._told.move_to_end(job.id)
            if len(self._told) > self._most:
                self._told.popitem(last=False)
        return made


def _state(job: KnownJob) -> tuple[int | None, ...]:
    """The version, and what a receiver of a release without versions changes."""
    return job.version, job.runs, job.last_begun_at


def _job_item(connection: Connection, job: KnownJob) -> JobItem:
    runs = [one.run for one in runs_of(connection, job.id, RunQuestion(), RECENT_RUNS)]
    judged = judged_of(last_runs(connection, job.id, LEVEL_RUNS))
    levels = (level_now(judged.runs, measured) for measured in _LISTED)
    recent = judged.runs[:RECENT_RUNS][::-1]
    return JobItem(
        workflow=job.workflow,
        job=job.job,
        runs=job.runs,
        last_run=runs[0] if runs else None,
        ref=judged.ref,
        leg=judged.leg,
        levels=tuple(level for level in levels if level),
        cpu=waste_of(runs, lambda run: run.reserved_cores),
        memory=waste_of(runs, lambda run: run.reserved_memory_bytes),
        recent=Recent(**{name: [run.measure(name) for run in recent] for name in _LISTED}),
    )
