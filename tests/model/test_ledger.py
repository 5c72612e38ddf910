"""The rules of the ledger, one life each; random lives are in test_ledger_truth.py."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jobmeter.linux.process_table import Change
from jobmeter.model.ledger import Ledger
from jobmeter.model.readings import ProcessReading
from tests.model.test_ledger_truth import Run, Scanner, itself
from tests.support.kernel import INIT, Kernel

SECOND = 1_000_000


def short_lived_child(run: Run, command: int) -> None:
    """A child that no scan saws is in its parent's reaped time."""
    child = run.kernel.fork(command)
    run.kernel.burn(child, SECOND)
    run.kernel.exit(child)
    run.kernel.reap(child)


def seen_child(run: Run, command: int) -> None:
    """A child that was seen moves its time to its parent."""
    child = run.kernel.fork(command)
    run.kernel.burn(child, SECOND)
    run.scanner.scan()
    run.kernel.burn(child, SECOND)
    run.kernel.exit(child)
    run.kernel.reap(child)


def seen_zombie(run: Run, command: int) -> None:
    """A zombie still carries its time."""
    child = run.kernel.fork(command)
    run.kernel.burn(child, SECOND)
    run.kernel.exit(child)
    run.scanner.scan()
    run.kernel.reap(child)


def daemon(run: Run, command: int) -> None:
    """A daemon whose parents exit comes to the wrapper, which reaps it."""
    middle = run.kernel.fork(command)
    daemon = run.kernel.fork(middle)
    run.kernel.exit(middle)
    run.kernel.reap(middle)
    run.kernel.burn(daemon, SECOND)
    run.scanner.scan()
    run.kernel.exit(daemon)
    run.kernel.reap(daemon)


def orphan_of_a_zombie(run: Run, command: int) -> None:
    """A child whose parent is an unreaped zombie is reaped by the wrapper, not by that parent."""
    parent = run.kernel.fork(command)
    child = run.kernel.fork(parent)
    run.kernel.burn(child, SECOND)
    run.scanner.scan()
    run.kernel.exit(parent)
    run.kernel.exit(child)
    run.kernel.reap(child)


def orphan_of_the_vanished(run: Run, command: int) -> None:
    """A child whose parent was reaped before it is reaped by the wrapper."""
    parent = run.kernel.fork(command)
    child = run.kernel.fork(parent)
    run.kernel.burn(child, SECOND)
    run.scanner.scan()
    run.kernel.exit(parent)
    run.kernel.reap(parent)
    run.kernel.exit(child)
    run.kernel.reap(child)


def whole_family(run: Run, command: int) -> None:
    """Parent and child that both vanish between two scans pass on both their times."""
    parent = run.kernel.fork(command)
    child = run.kernel.fork(parent)
    run.kernel.burn(child, SECOND)
    run.kernel.burn(parent, SECOND)
    run.scanner.scan()
    for pid in (child, parent):
        run.kernel.exit(pid)
        run.kernel.reap(pid)


def many_small_children(run: Run, command: int) -> None:
    """A thousand children of less than a tick each are not lost."""
    for _ in range(1000):
        child = run.kernel.fork(command)
        run.kernel.burn(child, 1500, 1500)
        run.kernel.exit(child)
        run.kernel.reap(child)


LIVES = [
    short_lived_child,
    seen_child,
    seen_zombie,
    daemon,
    orphan_of_a_zombie,
    orphan_of_the_vanished,
    whole_family,
    many_small_children,
]


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.__name__)
def test_a_life_counts_once(life: Callable[[Run, int], None]) -> None:
    """Whatever the order of exits and scans, the total is what was used."""
    run = Run()
    command = run.kernel.running()[-1]
    run.scanner.scan()
    life(run, command)
    run.scanner.scan()
    assert run.ledger.total("job") == pytest.approx(run.kernel.used["job"] / 1e6, abs=0.011)
    run.finish()
    assert run.ledger.total("job") == pytest.approx(run.kernel.used["job"] / 1e6, abs=1e-6)


def test_auto_reaped_children_keep_their_last_reading() -> None:
    """Children of a process that ignores SIGCHLD leave no account, so what was seen of them stays."""
    run = Run()
    command = run.kernel.running()[-1]
    run.kernel.tasks[command].ignores_sigchld = True
    for _ in range(10):
        child = run.kernel.fork(command)
        run.kernel.burn(child, 30_000)
        run.scanner.scan()
        run.kernel.exit(child)
    run.scanner.scan()
    assert run.ledger.total("job") == pytest.approx(0.3)


def test_a_child_reaped_after_its_parent_was_read_is_awaited() -> None:
    """A child that goes in the middle of a scan arrives at its parent with the next one, and counts once."""
    run = Run()
    command = run.kernel.running()[-1]
    run.scanner.scan()
    child = run.kernel.fork(command)
    run.kernel.burn(child, SECOND)
    run.scanner.scan()
    run.ledger.apply([], [], [run.kernel.reading(child)])
    assert run.ledger.total("job") == pytest.approx(1)
    run.kernel.exit(child)
    run.kernel.reap(child)
    run.scanner.scan()
    assert run.ledger.total("job") == pytest.approx(1)


def test_time_before_the_run_is_left_out() -> None:
    """A process that was there before counts from its first reading, also once its parent inherits all of it."""
    kernel = Kernel()
    parent = kernel.fork(INIT, "job")
    child = kernel.fork(parent)
    kernel.burn(parent, 5 * SECOND)
    kernel.burn(child, 7 * SECOND)
    ledger = Ledger(itself, started_after=kernel.now_tick / 100 + 1)
    scanner = Scanner(kernel, ledger)
    scanner.scan()
    assert ledger.total("job") == 0
    kernel.burn(child, SECOND)
    scanner.scan()
    kernel.exit(child)
    kernel.reap(child)
    scanner.scan()
    assert ledger.total("job") == pytest.approx(1)


def test_a_foreign_parent_takes_nothing_over() -> None:
    """What a parent in another group inherits stays with the child's group."""
    kernel = Kernel()
    engine = kernel.fork(INIT, "engine")
    step = kernel.fork(engine, "step")
    ledger = Ledger(itself, started_after=0)
    scanner = Scanner(kernel, ledger)
    kernel.burn(step, 3 * SECOND)
    scanner.scan()
    kernel.exit(step)
    kernel.reap(step)
    scanner.scan()
    assert [ledger.total("engine"), ledger.total("step")] == pytest.approx([0, 3])


def test_a_step_reaped_from_outside_keeps_its_last_reading() -> None:
    """A step started by an engine beyond the namespace leaves with what was read of it, and owes nothing."""
    kernel = Kernel()
    kernel.tasks[INIT].group = "job"
    ledger = Ledger(itself, started_after=0)
    scanner = Scanner(kernel, ledger)
    step = kernel.fork(0, "step")
    kernel.burn(step, SECOND)
    scanner.scan(orphan_reaper=INIT)
    kernel.burn(step, SECOND)
    kernel.exit(step)
    kernel.reap(step)
    scanner.scan(orphan_reaper=INIT)
    assert (ledger.total("step"), ledger.unattributed_seconds) == (1, 0)


def test_what_pid_1_reaped_unseen_is_unattributed() -> None:
    """Orphans that no scan saw belong to no container; what was seen of others is not counted again."""
    kernel = Kernel()
    kernel.tasks[INIT].group = "a"
    ledger = Ledger(itself, started_after=0)
    scanner = Scanner(kernel, ledger)
    scanner.scan(orphan_reaper=INIT)
    for seen in (False, True):
        parent = kernel.fork(0, "b")
        orphan = kernel.fork(parent)
        kernel.exit(parent)
        kernel.reap(parent)
        kernel.burn(orphan, SECOND)
        if seen:
            scanner.scan(orphan_reaper=INIT)
        kernel.burn(orphan, SECOND)
        kernel.exit(orphan)
        kernel.reap(orphan)
        scanner.scan(orphan_reaper=INIT)
    assert (ledger.total("a"), ledger.total("b")) == (0, 1)
    assert ledger.unattributed_seconds == pytest.approx(2 + 1)


def test_a_group_includes_those_nested_in_it() -> None:
    """Time of an inner group is in the outer one once."""
    kernel = Kernel()
    inner = kernel.fork(INIT, "inner")
    ledger = Ledger({"inner": ("inner", "outer"), "outer": ("outer",)}.__getitem__, started_after=0)
    scanner = Scanner(kernel, ledger)
    kernel.burn(inner, SECOND)
    scanner.scan()
    assert (ledger.total("inner"), ledger.total("outer")) == (1, 1)


def test_a_moved_process_counts_in_its_new_group_from_then_on() -> None:
    """What it used before stays where it was used."""
    kernel = Kernel()
    process = kernel.fork(INIT, "old")
    ledger = Ledger(itself, started_after=0)
    scanner = Scanner(kernel, ledger)
    kernel.burn(process, SECOND)
    scanner.scan()
    ledger.move(process, "new")
    kernel.burn(process, 2 * SECOND)
    scanner.scan()
    assert (ledger.total("old"), ledger.total("new"), ledger.group_of(process)) == (1, 2, "new")


@pytest.mark.parametrize("parent_pid", [5, 6, 404])
def test_nonsense_about_parents_is_survived(parent_pid: int) -> None:
    """Circles among parents, or one that nobody knows, end the search for who inherited."""
    ledger = Ledger(itself, started_after=0)
    five = reading(5, parent_pid, 2.0)
    six = reading(6, 5, 1.0)
    ledger.apply([("job", five), ("job", six)], [], [])
    ledger.apply([], [Change(five, five)], [six, reading(9, 9, 1.0)])
    ledger.apply([], [], [five])
    assert ledger.total("job") == 3


def reading(pid: int, parent_pid: int, seconds: float) -> ProcessReading:
    return ProcessReading(pid, "x", "Z", parent_pid, 0, seconds, 0.0, 0.0, 0.0, 1, 1.0, 0)
