"""The ledger against the true CPU time of simulated processes, for random lives and moments of reading."""

from __future__ import annotations

from hypothesis import given

from jobmeter.linux.process_table import Change
from jobmeter.model.ledger import ALL_TIME, SYSTEM_TIME, Ledger, Share
from jobmeter.model.readings import ProcessReading
from tests.support.kernel import INIT, Kernel
from tests.support.schedules import Step, play, schedules

TICK_SECONDS = 0.01
EXACT = 1e-6
"""What sums of floating point numbers may differ by."""


class Scanner:
    """Reads a kernel's processes at one moment and gives the ledger the difference."""

    def __init__(self, kernel: Kernel, ledger: Ledger, reaper: int | None = None) -> None:
        self._kernel = kernel
        self._ledger = ledger
        self._reaper = reaper
        self._last: dict[int, ProcessReading] = {}

    def scan(self, orphan_reaper: int | None = None) -> None:
        last, now = self._last, {}
        for pid in self._kernel.listed():
            if self._kernel.tasks[pid].group:
                now[pid] = self._read(pid)
        self._ledger.apply(
            [(self._kernel.tasks[pid].group or "", now[pid]) for pid in now if pid not in last],
            [Change(last[pid], now[pid]) for pid in now if now[pid] != last.get(pid, now[pid])],
            [last[pid] for pid in last if pid not in now],
            orphan_reaper,
        )
        self._last = now

    def _read(self, pid: int) -> ProcessReading:
        return wrapper_reading(self._kernel, pid) if pid == self._reaper else self._kernel.reading(pid)


def wrapper_reading(kernel: Kernel, pid: int) -> ProcessReading:
    """As `run` reads itself: nothing of its own, its children to the microsecond, there before the run."""
    task = kernel.tasks[pid]
    return kernel.reading(pid)._replace(
        user_seconds=0.0,
        system_seconds=0.0,
        reaped_user_seconds=task.reaped_user / 1e6,
        reaped_system_seconds=task.reaped_system / 1e6,
        start_seconds=0.0,
    )


def itself(group: str) -> tuple[str, ...]:
    return (group,)


class Run:
    """`run` as the child subreaper above one command, both in the group "job"."""

    def __init__(self, share: Share = ALL_TIME) -> None:
        self.kernel = Kernel()
        self.wrapper = self.kernel.fork(INIT, "job")
        self.kernel.tasks[self.wrapper].subreaper = True
        self.ledger = Ledger(itself, started_after=0.005, share=share)
        self.scanner = Scanner(self.kernel, self.ledger, reaper=self.wrapper)
        self.scanner.scan()
        self.kernel.fork(self.wrapper)

    def play(self, step: Step) -> None:
        play(self.kernel, step, still=frozenset({self.wrapper}))

    def finish(self) -> None:
        """Everything exits and is reaped."""
        while running := [pid for pid in self.kernel.running() if pid != self.wrapper]:
            self.kernel.exit(running[0])
        while zombies := self.kernel.zombies():
            self.kernel.reap(zombies[0])
        self.scanner.scan()


@given(schedules("subreaper"))
def test_the_ledger_of_a_run_is_the_truth_but_for_ticks(steps: list[Step]) -> None:
    """With the wrapper as subreaper the total is the truth cut to ticks at every scan, and never falls."""
    run = Run()
    before = 0.0
    for step in steps:
        if step.what != "scan":
            run.play(step)
            continue
        run.scanner.scan()
        total, truth = run.ledger.total("job"), run.kernel.used["job"] / 1e6
        assert truth - 4 * TICK_SECONDS * len(run.kernel.tasks) <= total <= truth + EXACT
        assert total >= before - EXACT
        before = total
    assert run.ledger.unattributed_seconds == 0


@given(schedules("subreaper"))
def test_the_ledger_of_a_finished_run_is_exact(steps: list[Step]) -> None:
    """Once the wrapper has reaped all, no tick is missing."""
    run = Run()
    for step in steps:
        if step.what == "scan":
            run.scanner.scan()
        else:
            run.play(step)
    run.finish()
    assert abs(run.ledger.total("job") - run.kernel.used["job"] / 1e6) < EXACT


@given(schedules("subreaper"))
def test_system_time_is_kept_by_the_same_rules(steps: list[Step]) -> None:
    """The share of system time is never more than all time, and both are never more than the truth."""
    both = Run()
    system = Ledger(itself, started_after=0.005, share=SYSTEM_TIME)
    beside = Scanner(both.kernel, system, reaper=both.wrapper)
    for step in steps:
        if step.what == "scan":
            both.scanner.scan()
            beside.scan()
            assert system.total("job") <= both.ledger.total("job") + EXACT
        else:
            both.play(step)


@given(schedules("subreaper", "ignore"))
def test_auto_reaped_children_are_never_counted_twice(steps: list[Step]) -> None:
    """Where SIGCHLD is ignored the total is a lower bound that keeps what was once seen."""
    run = Run()
    before = 0.0
    for step in steps:
        if step.what != "scan":
            run.play(step)
            continue
        run.scanner.scan()
        total = run.ledger.total("job")
        assert before - EXACT <= total <= run.kernel.used["job"] / 1e6 + EXACT
        before = total


@given(schedules("enter", "outside", "ignore"))
def test_containers_of_one_pid_namespace_share_no_time(steps: list[Step]) -> None:
    """What two containers and nobody used is never more than the truth, and no total falls."""
    kernel = Kernel()
    kernel.tasks[INIT].group = "a"
    ledger = Ledger(itself, started_after=0.005)
    scanner = Scanner(kernel, ledger)
    kernel.fork(INIT, "b")
    before = {"a": 0.0, "b": 0.0}
    for step in steps:
        if step.what != "scan":
            play(kernel, step, groups="ab")
            continue
        scanner.scan(orphan_reaper=INIT)
        totals = {group: ledger.total(group) for group in "ab"}
        known = sum(totals.values()) + ledger.unattributed_seconds
        assert known <= (kernel.used["a"] + kernel.used["b"]) / 1e6 + EXACT
        assert all(totals[group] >= before[group] - EXACT for group in "ab")
        before = totals


@given(schedules("enter"))
def test_what_no_reaper_took_is_attributed_or_unattributed(steps: list[Step]) -> None:
    """Where nothing is lost, the groups and what pid 1 reaped unseen make up the whole truth."""
    kernel = Kernel()
    kernel.tasks[INIT].group = "a"
    ledger = Ledger(itself, started_after=0.005)
    scanner = Scanner(kernel, ledger)
    scanner.scan(orphan_reaper=INIT)
    kernel.fork(INIT, "b")
    for step in steps:
        if step.what != "scan":
            play(kernel, step, groups="ab")
            continue
        scanner.scan(orphan_reaper=INIT)
    known = ledger.total("a") + ledger.total("b") + ledger.unattributed_seconds
    truth = (kernel.used["a"] + kernel.used["b"]) / 1e6
    assert truth - 4 * TICK_SECONDS * len(kernel.tasks) <= known <= truth + EXACT
