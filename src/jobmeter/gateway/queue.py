"""Counts the jobs that wait at a forge, by labels and by why, and how long they waited.

How long is seen from one look to the next: it may be told too long by as much as lies between two looks.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric

from jobmeter.gateway.figures.histogram import Histogram
from jobmeter.gateway.figures.totals import OTHER, Rows
from jobmeter.gateway.waiting import PAGE_ROWS, Kind, WaitingJob, read_waiting, target
from jobmeter.model.errors import JobmeterError
from jobmeter.ops.log import FullLog

Reason = Literal["blocked", "no_runner", "held", "busy", "free", "unknown"]
REASONS: Mapping[Reason, str] = {
    "blocked": "it waits for other jobs, or for an approval",
    "no_runner": "no runner here has all its labels",
    "held": "those that have are drained, or the gateway fetches nothing now",
    "busy": "all slots of those that have are taken",
    "free": "one has a free slot: it is about to be fetched",
    "unknown": "what labels its runners have is not known",
}
WAIT_SECONDS = (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
MAX_ROWS = 100
"""So many sets of labels are told apart at each forge."""
MAX_JOBS = 1000
"""So many waiting jobs are looked at, of each scope."""
_LONGEST_WAIT_SECONDS = 600.0


class Supply(NamedTuple):
    """One runner that could take a job; ``labels`` None are not known."""

    labels: frozenset[str] | None
    free: bool
    held: bool


class Asks(Protocol):
    """Who asks the forge's REST API."""

    async def get(self, target: str) -> bytes:
        """The body of an answer with status 200. Raises JobmeterError with one sentence, without a secret."""
        ...


class Seen(NamedTuple):
    """A job that waits for a runner: since when, None if that is not known."""

    labels: tuple[str, ...]
    since: float | None


class Queue:
    """What waits at one forge; ``supply`` says which runners there are."""

    def __init__(
        self,
        name: str,
        kind: Kind,
        scopes: Sequence[str],
        asks: Asks,
        supply: Callable[[], Iterable[Supply]],
        log: FullLog,
        *,
        interval_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._kind = kind
        self._scopes = tuple(scopes)
        self._asks = asks
        self._supply = supply
        self._log = log
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._seen: dict[str, Seen] | None = None
        self._blocked: dict[str, tuple[str, ...]] = {}
        self._trouble: str | None = None
        self._failures = 0
        self.waits = Rows(lambda: Histogram(WAIT_SECONDS), MAX_ROWS)

    @property
    def up(self) -> bool | None:
        """Whether the last look succeeded; None before the first."""
        return None if self._seen is None and self._trouble is None else self._trouble is None

    async def watch(self) -> None:
        """Look for ever; a forge that does not answer is asked more and more seldom."""
        while True:
            await self.look()
            await asyncio.sleep(self.wait_seconds)

    @property
    def wait_seconds(self) -> float:
        """How long until the next look."""
        longest = max(_LONGEST_WAIT_SECONDS, self._interval_seconds)
        return min(self._interval_seconds * 2.0 ** min(self._failures, 10), longest)

    async def look(self) -> None:
        """Ask once what waits."""
        try:
            jobs = {job.id: job for scope in self._scopes async for job in self._jobs(scope)}
        except JobmeterError as error:
            self._failures += 1
            if str(error) != self._trouble:
                self._log.warn("waiting jobs cannot be counted", forge=self.name, error=str(error))
            self._trouble = str(error)
            return
        if self._trouble is not None:
            self._log.info("waiting jobs are counted again", forge=self.name)
        self._trouble, self._failures = None, 0
        self._take(jobs)

    async def _jobs(self, scope: str) -> AsyncIterator[WaitingJob]:
        rows, page = PAGE_ROWS[self._kind], 1
        while True:
            count, jobs = read_waiting(
                self._kind, await self._asks.get(target(self._kind, scope, page)), self._clock()
            )
            for job in jobs[:MAX_JOBS]:
                yield job
            if not rows or count < rows or page * rows >= MAX_JOBS:
                return
            page += 1

    def _take(self, jobs: Mapping[str, WaitingJob]) -> None:
        """Remember who waits, and of those who do no more how long they did."""
        now = self._clock()
        before = self._seen
        for job_id, seen in (before or {}).items():
            if job_id not in jobs and seen.since is not None:
                self.waits.of(",".join(seen.labels)).observe(max(0.0, now - seen.since))
        self._seen = {
            job.id: (before or {}).get(job.id) or Seen(job.labels, self._since(job, before is None, now))
            for job in jobs.values()
            if not job.blocked
        }
        self._blocked = {job.id: job.labels for job in jobs.values() if job.blocked}
        for labels in {",".join(seen.labels) for seen in self._seen.values()}:
            self.waits.of(labels)  # A row is there before the first wait has ended.

    def _since(self, job: WaitingJob, first_look: bool, now: float) -> float | None:
        """A job that was blocked waits for a runner since it is not; else since the forge made it, if it tells."""
        if job.id in self._blocked:
            return now
        if job.since is not None:
            return job.since
        return None if first_look else now

    def counts(self) -> Counter[tuple[str, Reason]]:
        """How many wait, by labels and by why."""
        supply = list(self._supply())
        found: Counter[tuple[str, Reason]] = Counter()
        for seen in (self._seen or {}).values():
            found[",".join(seen.labels), _reason(frozenset(seen.labels), supply)] += 1
        for labels in self._blocked.values():
            found[",".join(labels), "blocked"] += 1
        return found

    def oldest_seconds(self) -> float | None:
        """How long the one that waits longest for a runner has waited; 0 if none does, None if that is not known."""
        if self._seen is None:
            return None
        now = self._clock()
        return max(
            (max(0.0, now - seen.since) for seen in self._seen.values() if seen.since is not None),
            default=0.0,
        )


def _reason(labels: frozenset[str], supply: Sequence[Supply]) -> Reason:
    if any(one.labels is None for one in supply):
        return "unknown"
    able = [one for one in supply if one.labels is not None and labels <= one.labels]
    if not able:
        return "no_runner"
    willing = [one for one in able if not one.held]
    if not willing:
        return "held"
    return "free" if any(one.free for one in willing) else "busy"


def queue_families(queues: Sequence[Queue]) -> Iterator[Metric]:
    """The series of all forges that are looked at."""
    up = GaugeMetricFamily(
        "jobmeter_queue_up", "Whether the forge tells what waits there.", labels=("forge",)
    )
    waiting = GaugeMetricFamily(
        "jobmeter_queue_waiting_jobs", "Jobs that wait at the forge, by labels and by why.",
        labels=("forge", "labels", "reason"),
    )  # fmt: skip
    oldest = GaugeMetricFamily(
        "jobmeter_queue_oldest_seconds", "How long the job that waits longest for a runner has waited.",
        labels=("forge",),
    )  # fmt: skip
    waited = HistogramMetricFamily(
        "jobmeter_queue_wait_seconds", "How long jobs waited for a runner.", labels=("forge", "labels")
    )
    for queue in queues:
        if queue.up is not None:
            up.add_metric((queue.name,), float(queue.up))
        if queue.up:
            for (labels, reason), count in _bounded(queue.counts()).items():
                waiting.add_metric((queue.name, labels, reason), count)
            if (seconds := queue.oldest_seconds()) is not None:
                oldest.add_metric((queue.name,), seconds)
        for (labels,), histogram in queue.waits.items():
            waited.add_metric((queue.name, labels), list(_buckets(histogram)), histogram.sum)
    yield from (up, waiting, oldest, waited)


def _buckets(histogram: Histogram) -> Iterator[tuple[str, float]]:
    for bound, count in histogram.cumulative():
        yield ("+Inf" if bound == math.inf else str(bound)), count


def _bounded(counts: Counter[tuple[str, Reason]]) -> Counter[tuple[str, Reason]]:
    """With at most MAX_ROWS sets of labels, the fullest ones, and one for all others."""
    sums: Counter[str] = Counter()
    for (labels, _), count in counts.items():
        sums[labels] += count
    kept = {labels for labels, _ in sums.most_common(MAX_ROWS)}
    found: Counter[tuple[str, Reason]] = Counter()
    for (labels, reason), count in counts.items():
        found[labels if labels in kept else OTHER, reason] += count
    return found
