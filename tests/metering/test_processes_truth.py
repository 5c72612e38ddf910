"""Real scans over simulated processes that go on living while they are scanned."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from jobmeter.metering.membership import Descent
from jobmeter.metering.processes import ProcessWatch
from tests.model.test_ledger_truth import EXACT, TICK_SECONDS, wrapper_reading
from tests.support.kernel import INIT, Kernel
from tests.support.schedules import Step, play, schedules
from tests.support.simulated_table import SimulatedTable


class LivingRun:
    """`run` above a command whose processes live on between two reads of one scan.

    The wrapper itself reaps in the same thread that scans, so it reaps nothing during a scan.
    """

    def __init__(
        self, steps: Iterator[Step], *, use_exit_records: bool = False, record_lack: int = 0
    ) -> None:
        self.kernel = Kernel(record_lack=record_lack)
        self.wrapper = self.kernel.fork(INIT, "job")
        self.kernel.tasks[self.wrapper].subreaper = True
        self._steps = steps
        self._pace = 0
        membership = Descent(self.wrapper)
        self.watch = ProcessWatch(
            SimulatedTable(self.kernel, self._meanwhile, membership.admit),
            membership,
            root="/nowhere",
            started_after=0.005,
            reaper=lambda: wrapper_reading(self.kernel, self.wrapper),
            reaper_group="job",
            use_exit_records=use_exit_records,
        )
        self.watch.scan(0, None)
        self.kernel.fork(self.wrapper)

    def play(self, step: Step, *, scanning: bool = False) -> None:
        still = frozenset({self.wrapper})
        play(self.kernel, step, still=still, busy=still if scanning else frozenset())

    def scan(self, elapsed: float, pace: int) -> None:
        """``pace`` steps happen before each read."""
        self._pace = pace
        self.watch.scan(elapsed, None, self.kernel.take_records)
        self._pace = 0

    def _meanwhile(self) -> None:
        for _ in range(self._pace):
            step = next(self._steps, None)
            if step is not None and step.what != "scan":
                self.play(step, scanning=True)


@settings(derandomize=True, max_examples=150)
@given(schedules("subreaper"), st.integers(0, 2))
def test_races_between_reads_count_nothing_twice(steps: list[Step], pace: int) -> None:
    """Whatever happens during a scan, the total never falls and is never above the truth."""
    stream = iter(steps)
    run = LivingRun(stream)
    before = 0.0
    for number, step in enumerate(stream):
        if step.what != "scan":
            run.play(step)
            continue
        run.scan(number, pace)
        total = run.watch.cpu_seconds("job")[0]
        assert before - EXACT <= total <= run.kernel.used["job"] / 1e6 + EXACT
        before = total


@settings(derandomize=True, max_examples=150)
@given(schedules("subreaper"), st.integers(0, 2))
def test_nothing_is_lost_by_races(steps: list[Step], pace: int) -> None:
    """Once nothing happens any more, a scan or two find all that was missed."""
    stream = iter(steps)
    run = LivingRun(stream)
    for number, step in enumerate(stream):
        if step.what == "scan":
            run.scan(number, pace)
        else:
            run.play(step)
    for number in (1000, 1001):
        run.scan(number, pace=0)
    total, user, system = run.watch.cpu_seconds("job")
    truth = run.kernel.used["job"] / 1e6
    assert truth - 4 * TICK_SECONDS * len(run.kernel.tasks) <= total <= truth + EXACT
    assert abs(user + system - total) < EXACT


@settings(derandomize=True, max_examples=150)
@given(schedules("subreaper", "thread", "ignore"), st.integers(0, 2))
def test_exit_records_are_exact_also_where_children_are_auto_reaped(steps: list[Step], pace: int) -> None:
    """By exit records nothing is counted twice or lost, whoever reaps and whatever a scan misses."""
    run = played_with_records(steps, pace)
    truth = run.kernel.used["job"] / 1e6
    assert truth - 2 * TICK_SECONDS * len(run.kernel.running()) - EXACT <= recorded(run) <= truth + EXACT
    assert run.watch.unattributed_seconds == 0


@settings(derandomize=True, max_examples=150)
@given(schedules("subreaper", "thread", "ignore"), st.integers(0, 2), st.integers(0, 30_000))
def test_records_that_lack_the_end_are_never_above_the_truth(
    steps: list[Step], pace: int, record_lack: int
) -> None:
    """What parents inherited makes up for some of it, counts nothing twice, and the total never falls."""
    run = played_with_records(steps, pace, record_lack)
    lacking = record_lack / 1e6 * run.kernel.record_count
    cut = 3 * TICK_SECONDS * (len(run.kernel.tasks) + run.kernel.record_count)
    assert recorded(run) >= 0.9 * run.kernel.used["job"] / 1e6 - lacking - cut


def played_with_records(steps: list[Step], pace: int, record_lack: int = 0) -> LivingRun:
    """A run that was played to its end; its total by exit records never fell and was never above the truth."""
    stream = iter(steps)
    run = LivingRun(stream, use_exit_records=True, record_lack=record_lack)
    before = 0.0
    for number, step in enumerate(stream):
        if step.what != "scan":
            run.play(step)
            continue
        run.scan(number, pace)
        total = recorded(run)
        assert before - EXACT <= total <= run.kernel.used["job"] / 1e6 + EXACT
        before = total
    for number in range(1000, 1003):
        run.scan(number, pace=0)
    return run


def recorded(run: LivingRun) -> float:
    found = run.watch.recorded_cpu_seconds("job")
    assert found is not None
    return found[0]
