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
from jobmeter.gateway.relay.fetching import Lane
from jobmeter.gateway.relay.home import Home
from jobmeter.gateway.relay.tasks import Known

_MAX_TRACES = 1000
_WORK = ("step_", "build_script")
_GONE = frozenset({"not_found"})


class Reported(NamedTuple):
    """One report: what it says, the body that it came with, what the forge answered, and after how long."""

    report: LogReport | StateReport
    body: bytes
    answer: Answer
    seconds: float


class Reports:
    """Says of each report what it means for its task; ``home`` remembers, ``lane`` is the runner that sent it."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._traces: OrderedDict[str, Trace] = OrderedDict()

    def heard(self, lane: Lane, reported: Reported) -> Known | None:
        """The forge has answered a report, or has not: count it; what is known of the task, if it is not over."""
        accepted = isinstance(reported.answer, LogTaken | StateTaken)
        if accepted:
            lane.accept()
        task_id = reported.report.task_id
        before = self._home.memory.find(task_id)
        if not accepted and (before is None or before.proof != lane.proof):
            # Anybody can name a task; the forge alone says whose it is.
            return None
        known = None if isinstance(reported.answer, Unauthenticated) else lane.sign(task_id)
        if isinstance(reported.report, LogReport):
            self._log(lane, known, reported, reported.report)
        else:
            self._state(lane, known, reported, reported.report)
        return self._home.memory.tasks.get(task_id)

    def missed(self, lane: Lane | None, report: LogReport | StateReport, seconds: float) -> None:
        """The forge gave no answer: the runner lives, and will try again."""
        failed = Failed(sentence="no answer", code="unavailable")
        if lane is not None:
            self.heard(lane, Reported(report, b"", failed, seconds))

    def _log(self, lane: Lane, known: Known | None, reported: Reported, report: LogReport) -> None:
        taken = reported.answer
        if not isinstance(taken, LogTaken):
            lane.tell(LogReported(False, reported.seconds, None, report.task_id))
            self._refused(lane, report.task_id, taken)
            return
        if known is not None and taken.acknowledged is not None:
            known.acknowledged = max(known.acknowledged, taken.acknowledged)
        left = (
            None if taken.acknowledged is None else max(0, report.start + report.count - taken.acknowledged)
        )
        lane.tell(LogReported(taken.taken, reported.seconds, left, report.task_id))
        if self._home.options.kind == "gitlab" and taken.taken:
            self._stages(lane, known, report, reported.body)
        if report.last and known is not None:
            lane.tell(TaskClosing(report.task_id))
        self._closed(lane, known, taken.over)

    def _state(self, lane: Lane, known: Known | None, reported: Reported, report: StateReport) -> None:
        taken = reported.answer
        if not isinstance(taken, StateTaken):
            lane.tell(StateReported(False, reported.seconds))
            self._refused(lane, report.task_id, taken)
            return
        lane.tell(StateReported(True, reported.seconds))
        if known is None:
            return
        for step in report.steps:
            self._step(lane, known, step)
        if report.result is not None and taken.complete:
            # After a cancellation some runners report a failure; the forge keeps what it has said.
            known.result = taken.over if taken.over == "cancelled" else report.result
            known.failure_reason = report.failure_reason
            lane.workload.end(report.task_id, "final")
        elif taken.over != report.result:
            self._closed(lane, known, taken.over)

    def _closed(self, lane: Lane, known: Known | None, over: Result | None) -> None:
        """The forge has ended the task meanwhile, and its runner hears so with this answer."""
        if over is not None and known is not None:
            known.result = over
            lane.workload.end(known.id, "terminal")

    def _refused(self, lane: Lane, task_id: str, answer: Answer) -> None:
        if isinstance(answer, Failed) and answer.code in _GONE:
            lane.workload.end(task_id, "over")

    def _step(self, lane: Lane, known: Known, step: Step) -> None:
        if step.started_at is None:
            return
        self._work_began(lane, known)
        lane.tell(StepChanged(known.id, step.index, str(step.index), step.seconds))

    def _work_began(self, lane: Lane, known: Known) -> None:
        if not known.work_began:
            known.work_began = True
            lane.tell(WorkBegan(known.id, lane.workload.seconds(known.id)))

    def _stages(self, lane: Lane, known: Known | None, report: LogReport, body: bytes) -> None:
        if known is None:
            return
        trace = self._traces.get(report.task_id)
        if trace is None:
            trace = self._traces[report.task_id] = Trace(lane.executor)
            if len(self._traces) > _MAX_TRACES:
                self._traces.popitem(last=False)
        for stage in trace.feed(report.start, body):
            lane.tell(StageChanged(report.task_id, stage.stage, stage.state, stage.executor_stage))
            if stage.stage.startswith(_WORK):
                self._work_began(lane, known)
