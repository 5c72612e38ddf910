"""What is added up over all runners for as long as the daemon lives, in bounded numbers of rows.

Runners come and go, some with each job, and Prometheus takes the first value of a series as where it begins. So a row
is there when the first job of its name begins, and outlives who ran it.
"""

from collections.abc import Callable, Iterable
from typing import Generic, NamedTuple, TypeVar, get_args

from jobmeter.gateway.figures.events import Result
from jobmeter.gateway.figures.histogram import Histogram
from jobmeter.gateway.figures.words import shown
from jobmeter.model.job import Job

MAX_ROWS = 1000
STATUSES: tuple[Result, ...] = get_args(Result)
JOB_SECONDS = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0)
STARTUP_SECONDS = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)
OTHER = "other"
"""In each field of the row that takes what has no row of its own any more."""
_UNKNOWN = Job()

_Row = TypeVar("_Row")


class Rows(Generic[_Row]):
    """Rows by what their labels say, at most ``max_rows`` and one for all others."""

    def __init__(self, make: Callable[[], _Row], max_rows: int = MAX_ROWS) -> None:
        self._make = make
        self._max_rows = max_rows
        self._rows: dict[tuple[str, ...], _Row] = {}

    def of(self, *names: str | None) -> _Row:
        """The row of these names; it is made if there is none yet."""
        key = tuple(map(shown, names))
        if key not in self._rows and len(self._rows) >= self._max_rows:
            key = (OTHER,) * len(key)
        if key not in self._rows:
            self._rows[key] = self._make()
        return self._rows[key]

    def items(self) -> Iterable[tuple[tuple[str, ...], _Row]]:
        """All of them."""
        return self._rows.items()


class JobSums:
    """Jobs of one repository: how many ended in which way, and their durations."""

    def __init__(self) -> None:
        self.by_status = dict.fromkeys(STATUSES, 0)
        self.seconds = Histogram(JOB_SECONDS)


class StepOf(NamedTuple):
    """Which step of which job."""

    repository: str | None
    workflow: str | None
    job: str | None
    step: str


class Totals:
    """Sums over the runners of all forges."""

    def __init__(self, max_rows: int = MAX_ROWS) -> None:
        self.jobs = Rows(JobSums, max_rows)
        """By kind of forge and repository."""
        self.startups = Rows(lambda: Histogram(STARTUP_SECONDS), max_rows)
        """By repository: from hand-out to the first step."""
        self.steps = Rows(lambda: Histogram(()), max_rows)
        """By repository, workflow, job and step: how often it ended, and how long it took altogether."""

    def job_began(self, job: Job | None) -> None:
        """A job of that name is about to be in the sums."""
        self._jobs_of(job)
        self._startups_of(job)

    def job_ended(self, job: Job | None, result: Result, seconds: float | None) -> None:
        """Count it."""
        sums = self._jobs_of(job)
        sums.by_status[result] += 1
        sums.seconds.observe(seconds)

    def work_began(self, job: Job | None, seconds: float | None) -> None:
        """Its first step began so long after its runner got it."""
        self._startups_of(job).observe(seconds)

    def step(self, job: Job | None, name: str, seconds: float | None) -> None:
        """A step has ended, or begins: then ``seconds`` is None."""
        job = job or _UNKNOWN
        self.steps.of(*StepOf(job.repository, job.workflow, job.job, name)).observe(seconds)

    def _jobs_of(self, job: Job | None) -> JobSums:
        job = job or _UNKNOWN
        return self.jobs.of(job.forge, job.repository)

    def _startups_of(self, job: Job | None) -> Histogram:
        return self.startups.of((job or _UNKNOWN).repository)
