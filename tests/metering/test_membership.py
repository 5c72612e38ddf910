"""Which processes belong to a run."""

from __future__ import annotations

from jobmeter.linux.procfs import parse_stat
from jobmeter.metering.membership import JOB, Descent
from jobmeter.model.readings import ProcessReading
from tests.support.kernel import stat_line

WRAPPER = 50


def process(pid: int, parent: int) -> ProcessReading:
    return parse_stat(stat_line(pid, parent=parent))


def test_descendants_belong_to_the_run() -> None:
    """However deep, parents first; the ancestor itself and strangers do not."""
    descent = Descent(WRAPPER)
    admitted = [
        descent.admit(process(*each)) for each in ((WRAPPER, 1), (60, WRAPPER), (61, 60), (62, 61), (70, 1))
    ]
    assert admitted == [False, True, True, True, False]
    assert descent.group(process(62, 61)) == JOB
    assert list(descent.ancestry(JOB)) == [JOB]


def test_a_process_that_runs_already_may_be_included() -> None:
    """With --pid the process itself is the job."""
    descent = Descent(60, include_ancestor=True)
    assert [descent.admit(process(*each)) for each in ((60, 1), (61, 60))] == [True, True]


def test_an_orphan_stays() -> None:
    """A member whose parent ended belongs to the run, and so do its children."""
    descent = Descent(WRAPPER)
    descent.admit(process(60, WRAPPER))
    descent.admit(process(61, 60))
    descent.forget(60)
    assert descent.admit(process(62, 61))


def test_a_pid_that_is_given_away_again_is_a_stranger() -> None:
    """A forgotten member's pid says nothing."""
    descent = Descent(WRAPPER)
    descent.admit(process(60, WRAPPER))
    descent.forget(60)
    assert not descent.admit(process(61, 60))
    assert not descent.admit(process(60, 1))
