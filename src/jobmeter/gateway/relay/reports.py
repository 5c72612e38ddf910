"""What runners report of their tasks: passed, counted, and taken for signs that they live."""

from collections import OrderedDict
from typing import NamedTuple

from jobmeter.gateway.figures.events import (
    LogReported,
    StageChanged,
    StateReported,
    StepChanged,
    TaskClosing,
    WorkBegan,
)
from jobmeter.gateway.forges.port import (
    Answer,
    Failed,
    LogReport,
    LogTaken,
    Result,
    StateReport,
    StateTaken,
    Step,
    Unauthenticated,
)
from jobmeter.gateway.forges.trace import Trace
from jobmeter.gateway.relay.home import Home
from jobmeter.gateway.relay.port import Worker
from jobmeter.gateway.relay.tasks import Known

_MAX_TRACES = 1000
_CLOCKS_DIFFER_SECONDS = 1.0
"""So far a runner's clock may be behind ours unseen: GitLab's markers are in whole seconds."""
_GONE = frozenset({"not_found"})


class Reported(NamedTuple):
    """One report: what it says, the body that it came with, what the forge answered, and after how long."""

    report: LogReport | StateReport
    body: bytes
    answer: Answer
    seconds: float


class Reports:
    """Says of each report what it means for its task; ``home`` remembers, ``worker`` is the runner that sent it."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._traces: OrderedDict[str, Trace] = OrderedDict()

    def heard(self, worker: Worker, reported: Reported) -> Known | None:
        """The forge has answered a report, or has not: count it; what is known of the task, if it is not over."""
        accepted = isinstance(reported.answer, LogTaken | StateTaken)
        if accepted:
            worker.accept()
        task_id = reported.report.task_id
        before = self._home.memory.find(task_id)
        if not accepted and (before is None or before.proof != worker.proof):
            # Anybody can name a task; the forge alone says whose it is.
            return None
        known = None if isinstance(reported.answer, Unauthenticated) else worker.sign(task_id)
        if isinstance(reported.report, LogReport):
            self._log(worker, known, reported, reported.report)
        else:
            self._state(worker, known, reported, reported.report)
        return self._home.memory.tasks.get(task_id)

    def missed(self, worker: Worker | None, report: LogReport | StateReport, seconds: float) -> None:
        """The forge gave no answer: the runner lives, and will try again."""
        failed = Failed(sentence="no answer", code="unavailable")
        if worker is not None:
            self.heard(worker, Reported(report, b"", failed, seconds))

    def _log(self, worker: Worker, known: Known | None, reported: Reported, report: LogReport) -> None:
        taken = reported.answer
        if not isinstance(taken, LogTaken):
            worker.tell(LogReported(False, reported.seconds, None, report.task_id))
            self._refused(worker, report.task_id, taken)
            return
        if known is not None and taken.acknowledged is not None:
            known.acknowledged = max(known.acknowledged, taken.acknowledged)
        left = (
            None if taken.acknowledged is None else max(0, report.start + report.count - taken.acknowledged)
        )
        worker.tell(LogReported(taken.taken, reported.seconds, left, report.task_id))
        if self._home.options.kind == "gitlab" and taken.taken:
            self._stages(worker, known, report, reported.body)
        if report.last and known is not None:
            self._closing(worker, known)
        if taken.canceling:
            worker.asked_to_end(report.task_id)
        self._closed(worker, known, taken.over)

    def _state(self, worker: Worker, known: Known | None, reported: Reported, report: StateReport) -> None:
        taken = reported.answer
        if not isinstance(taken, StateTaken):
            worker.tell(StateReported(False, reported.seconds))
            self._refused(worker, report.task_id, taken)
            return
        worker.tell(StateReported(True, reported.seconds))
        for step in report.steps:
            # Also after the forge has ended the task: its runner tells last how its steps did.
            self._step(worker, report.task_id, known, step)
        if known is None:
            return
        if taken.canceling:
            worker.asked_to_end(report.task_id)
        if report.result is not None and taken.complete:
            # After a cancellation some runners report a failure; the forge keeps what it has said.
            known.result = taken.over if taken.over == "cancelled" else report.result
            known.failure_reason = report.failure_reason
            worker.end(report.task_id, "final")
        elif taken.over != report.result:
            self._closed(worker, known, taken.over)

    def _closed(self, worker: Worker, known: Known | None, over: Result | None) -> None:
        """The forge has ended the task meanwhile, and its runner hears so with this answer."""
        if over is not None and known is not None:
            known.result = over
            worker.end(known.id, "terminal")

    def _refused(self, worker: Worker, task_id: str, answer: Answer) -> None:
        if isinstance(answer, Failed) and answer.code in _GONE:
            worker.end(task_id, "over")

    def _step(self, worker: Worker, task_id: str, known: Known | None, step: Step) -> None:
        if step.started_at is None:
            return
        if known is not None:
            self._work_began(worker, known, step.started_at)
        worker.tell(StepChanged(task_id, step.index, str(step.index), step.seconds))

    def _work_began(self, worker: Worker, known: Known, at: float) -> None:
        """Its first step began ``at`` so many seconds since the epoch, as the runner says."""
        if not known.work_began:
            known.work_began = True
            self._home.memory.touch()
            worker.tell(WorkBegan(known.id, _startup(known, at, worker.seconds(known.id))))

    def _closing(self, worker: Worker, known: Known) -> None:
        """No more will come of its log."""
        if not known.closing:
            known.closing = True
            self._home.memory.touch()
        worker.tell(TaskClosing(known.id))

    def _stages(self, worker: Worker, known: Known | None, report: LogReport, body: bytes) -> None:
        if known is None:
            return
        trace = self._traces.get(report.task_id)
        if trace is None:
            trace = self._traces[report.task_id] = Trace(worker.executor)
            if len(self._traces) > _MAX_TRACES:
                self._traces.popitem(last=False)
        for stage in trace.feed(report.start, body):
            worker.tell(StageChanged(report.task_id, stage.stage, stage.state, stage.executor_stage))
        if trace.work_at is not None:
            self._work_began(worker, known, trace.work_at)


def _startup(known: Known, at: float, reported: float | None) -> float | None:
    """Seconds from the hand-out to the first step, which began ``at`` by the runner's clock.

    If that is not between the hand-out and the report, the clocks differ: then those until the report are told, which
    are never too few. None where the hand-out was not seen.
    """
    if reported is None:
        return None
    seconds = at - known.at
    if not -_CLOCKS_DIFFER_SECONDS <= seconds <= reported:
        return reported
    return max(0.0, seconds)
