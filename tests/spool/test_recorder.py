"""Records are numbered in one place and given to the fold and to every sink."""

from __future__ import annotations

from jobmeter.model import wire
from jobmeter.model.exits import Exit, Survivor
from jobmeter.model.job import Host, Job
from jobmeter.model.sample import ContainerInfo, Sample
from jobmeter.model.summarize import RunFold
from jobmeter.spool.recorder import Recorder
from tests.support.runs import fold


def recorder() -> tuple[Recorder, list[wire.AnyRecord]]:
    found: list[wire.AnyRecord] = []
    made = Recorder("run", RunFold())
    made.add_sink(found.append)
    made.start(
        start_time="2026-11-21T12:00:00.000Z", monotonic_seconds=5.0, boot_id="b", interval_seconds=1.0, version="1",
        meter="run", job=Job(job="build"), host=Host(cpus=2),
    )  # fmt: skip
    return made, found


def test_records_are_numbered_without_a_gap() -> None:
    """From 0, each kind of record, all of the same run and version."""
    made, found = recorder()
    made.declare(0.0, ContainerInfo(key="a", name="a"))
    made.sample(
        Sample(elapsed_seconds=0.0, due_seconds=0.0, unattributed_cpu_seconds=None, cpu_complete=True)
    )
    made.mark(0.5, "tests")
    made.warn("something")
    made.end(2.0, Exit(reason="success"), (Survivor(5, "sccache"),))
    assert [record.sequence for record in found] == list(range(6))
    assert {(record.v, record.run_uid) for record in found} == {(wire.VERSION, "run")}
    assert [type(record) for record in found] == [
        wire.Start, wire.Declare, wire.Tick, wire.Mark, wire.Warn, wire.End,
    ]  # fmt: skip
    assert (made.fold.next_sequence, made.fold.ended) == (6, True)
    assert made.fold.summary().survivors == [Survivor(5, "sccache")]


def test_it_goes_on_above_every_number_that_was_used() -> None:
    """A restarted collector takes the run's age, whatever its journal lost; that is no gap."""
    made, found = recorder()
    made.warn("this one is not in the journal")
    lost = fold(found[0])
    for elapsed in (5.0, 5.001):
        again = Recorder("run", lost)
        again.add_sink(found.append)
        again.resume(elapsed, "2")
        again.mark(elapsed, "tests")
        lost = fold(found[0])  # This journal loses all of it again.
    assert [record.sequence for record in found] == [0, 1, 5_000_000, 5_000_001, 5_001_000, 5_001_001]
    assert not any(sentence.startswith("Records ") for sentence in fold(*found).summary().warnings)


def test_a_clock_that_stands_still_uses_no_number_twice() -> None:
    """What the journal has counts, too."""
    made, found = recorder()
    again = Recorder("run", made.fold)
    again.add_sink(found.append)
    again.resume(0.0, "2")
    assert [record.sequence for record in found] == [0, 1]


def test_every_sink_is_given_what_comes_after_it() -> None:
    """A sink that is added late has the records from then on."""
    made, found = recorder()
    late: list[wire.Record] = []
    made.add_sink(late.append)
    made.mark(1.0, "tests")
    assert (len(found), len(late)) == (2, 1)


def test_what_a_sink_warns_of_comes_after_the_record() -> None:
    """A journal that fails says so while it is given a record: every later sink has both in their order."""
    made, _ = recorder()
    found: list[wire.AnyRecord] = []
    made.add_sink(lambda record: made.warn("the disk is full"))
    made.add_sink(found.append)
    made.mark(1.0, "tests")
    assert [(record.sequence, type(record)) for record in found] == [(1, wire.Mark), (2, wire.Warn)]


def test_the_same_warning_is_one_record_and_all_are_bounded() -> None:
    """What recurs at each tick is said once; a thousand different sentences do not fill the journal."""
    made, found = recorder()
    for number in range(1000):
        made.warn("again")
        made.warn(f"warning {number}")
    assert len(found) == 1 + 100


def test_a_warning_may_name_what_is_no_text() -> None:
    """The bytes of a path that is not UTF-8 can be stored and reported."""
    made, found = recorder()
    made.warn("The journal /tmp/\udcff/x cannot be written.")
    made.fold.warn("\ud800")
    assert b"/tmp/?/x" in wire.encode(found[-1])
    assert made.fold.summary().warnings == ["The journal /tmp/?/x cannot be written.", "?"]
