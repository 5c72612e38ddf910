"""The figures of one runner, changed by events exactly when Gitea's runner changes its own.

Pure: no clock, no lock; who tells events and who reads figures do so in one thread.
"""

from collections import OrderedDict
from typing import assert_never

from msgspec import Struct

from jobmeter.gateway.figures.events import (
    Declared,
    Draining,
    Event,
    Fetched,
    LogReported,
    StageChanged,
    StateReported,
    StepChanged,
    TaskBegan,
    TaskClosing,
    TaskEnded,
    Waiting,
    WorkBegan,
)
from jobmeter.gateway.figures.histogram import Histogram
from jobmeter.gateway.figures.totals import STARTUP_SECONDS, Totals
from jobmeter.gateway.figures.words import EXECUTOR_STAGES, STATES, failure_reason, known, known_stage
from jobmeter.model.job import Job

FETCH_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
REPORT_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
JOB_SECONDS = tuple(2.0**power for power in range(14))
STEP_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)

MAX_RUNNING = 1000
"""Of so many tasks at once a runner is believed; the oldest is forgotten."""
MAX_STEPS = 1000
"""So many steps of a task are counted."""
_MAX_ENDED = 1000
"""So many ended tasks are remembered, so that a report that comes twice is no second job."""


class Running(Struct):
    """A task that the runner has; ``at`` is when it got it, in seconds since 1970."""

    at: float | None
    job: Job | None
    stage: str = ""
    state: str = ""
    executor_stage: str = ""
    closing: bool = False
    """Its work is over, its last reports are not."""
    started: bool = False
    rows_left: int = 0
    steps_ended: set[int] = set()


class Counts(dict[str, int]):
    """How often what happened; what never did is not in it."""

    def add(self, what: str) -> None:
        """Once more."""
        self[what] = self.get(what, 0) + 1


class RunnerFigures:
    """One runner's; what is counted by a word has no entry before the first time."""

    def __init__(self, key: str, started: float, totals: Totals, forge: str = "") -> None:
        """``started`` is when it was first seen, by the clock of who asks for the uptime."""
        self.key = key
        self.forge = forge
        self.started = started
        self.declared: Declared | None = None
        self.capacity: int | None = None
        self.draining = False
        self.fetches = Counts()
        self.unauthenticated = 0
        """Answers that said the forge does not know the runner: no fetches to Gitea's runner."""
        self.fetch_seconds = Histogram(FETCH_SECONDS)
        self.backoff_seconds = 0.0
        self.jobs = Counts()
        self.job_seconds = Histogram(JOB_SECONDS)
        self.startup_seconds = Histogram(STARTUP_SECONDS)
        self.step_seconds = Histogram(STEP_SECONDS)
        self.failures = Counts()
        self.log_reports = Counts()
        self.log_seconds = Histogram(REPORT_SECONDS)
        self.buffered_rows = 0
        self.state_reports = Counts()
        self.state_seconds = Histogram(REPORT_SECONDS)
        self.client_errors = Counts()
        self.running: OrderedDict[str, Running] = OrderedDict()
        self._ended: OrderedDict[str, Running | None] = OrderedDict()
        self._totals = totals

    @property
    def jobs_running(self) -> int:
        """Tasks whose work is not over."""
        return sum(not one.closing for one in self.running.values())

    @property
    def utilization(self) -> float | None:
        """Running jobs by capacity; 0 for a capacity that is none, None where nothing is known of it."""
        if self.capacity is None:
            return None
        return self.jobs_running / self.capacity if self.capacity > 0 else 0.0

    def apply(self, event: Event) -> None:
        """Change what the event changes."""
        match event:
            case Fetched():
                self._fetched(event)
            case LogReported():
                self._log_reported(event)
            case StateReported():
                self._reported("UpdateTask", self.state_reports, self.state_seconds, event)
            case Waiting():
                self.backoff_seconds = event.base_seconds
            case Declared():
                self.declared = event
                self.capacity = event.capacity
            case Draining():
                self.draining = event.on
            case TaskBegan():
                self._task_began(event)
            case TaskEnded():
                self._task_ended(event)
            case WorkBegan() | StepChanged() | StageChanged() | TaskClosing():
                self._task_changed(event)
            case _:
                assert_never(event)

    def _fetched(self, event: Fetched) -> None:
        self.fetch_seconds.observe(event.seconds)
        if event.outcome == "unauthenticated":
            self.unauthenticated += 1
            return
        self.fetches.add(event.outcome)
        if event.outcome == "error":
            self.client_errors.add("FetchTask")

    def _log_reported(self, event: LogReported) -> None:
        self._reported("UpdateLog", self.log_reports, self.log_seconds, event)
        if not event.ok or event.rows_left is None:
            return
        task = self.running.get(event.task_id or "")
        if task is None:
            self.buffered_rows = event.rows_left
        elif event.rows_left != task.rows_left:
            # All tasks share the gauge: one that has the same as before leaves it to who wrote last.
            self.buffered_rows = task.rows_left = event.rows_left

    def _reported(
        self, method: str, counts: Counts, seconds: Histogram, event: LogReported | StateReported
    ) -> None:
        counts.add("success" if event.ok else "error")
        seconds.observe(event.seconds)
        if not event.ok:
            self.client_errors.add(method)

    def _task_began(self, event: TaskBegan) -> None:
        """A task that comes a second time is no other one, also after its end, though more may be known of it."""
        task = self.running.get(event.task_id)
        if task is not None:
            task.job = task.job or event.job
            return
        task = self._ended.get(event.task_id) or Running(event.at, event.job)
        task.closing = event.closing
        self.running[event.task_id] = task
        self._totals.job_began(task.job)
        if len(self.running) > MAX_RUNNING:
            self.running.popitem(last=False)

    def _task_changed(self, event: WorkBegan | StepChanged | StageChanged | TaskClosing) -> None:
        """Of a task that it does not have there is nothing to change; of one that has ended steps may still be told."""
        task = self.running.get(event.task_id)
        if task is None and isinstance(event, StepChanged):
            task = self._ended.get(event.task_id)
        if task is None:
            return
        match event:
            case TaskClosing():
                task.closing = True
            case StepChanged():
                self._step_changed(task, event)
            case StageChanged():
                task.stage = known_stage(event.stage, task.stage)
                task.state = known(event.state, STATES, task.state)
                task.executor_stage = known(event.executor_stage, EXECUTOR_STAGES, task.executor_stage)
            case WorkBegan() if not task.started:
                task.started = True
                self.startup_seconds.observe(event.seconds)
                self._totals.work_began(task.job, event.seconds)

    def _step_changed(self, task: Running, event: StepChanged) -> None:
        if event.index in task.steps_ended or len(task.steps_ended) >= MAX_STEPS:
            return
        if event.seconds is not None:
            task.steps_ended.add(event.index)
            self.step_seconds.observe(event.seconds)
        self._totals.step(task.job, event.name, event.seconds)

    def _task_ended(self, event: TaskEnded) -> None:
        """Count it once, also when its begin was not seen."""
        task = self.running.pop(event.task_id, None)
        if event.task_id in self._ended:
            return
        self._ended[event.task_id] = task
        if len(self._ended) > _MAX_ENDED:
            self._ended.popitem(last=False)
        self.jobs.add(event.result)
        self.job_seconds.observe(event.seconds)
        if event.result == "failure" or event.failure_reason is not None:
            self.failures.add(failure_reason(event.failure_reason))
        self._totals.job_ended(task.job if task is not None else None, event.result, event.seconds)
