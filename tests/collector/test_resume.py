"""A restarted collector goes on with an unfinished run of the same job and boot, else begins anew."""

import pytest

from jobmeter.collector.resume import unfinished_run
from jobmeter.model.job import Job
from jobmeter.spool.journal import JournalReader
from tests.support.runs import BOOT, OTHER_UID, UID, records, write_journal

JOB = Job(repository="org/name")


@pytest.fixture
def journal(tmp_path):
    """A function from records to what is unfinished in a journal of them."""

    def unfinished(*found, job=JOB, boot_id=BOOT, now=110.0):
        path = write_journal(tmp_path / "journal.jsonl", *found)
        return unfinished_run(JournalReader(path), job, boot_id, 5, now)

    return unfinished


def test_goes_on_with_a_run_without_an_end(journal):
    """Key, clock, names and the next sequence number are those of the run before."""
    before = journal(*records(ended=False))
    assert before is not None
    assert (before.run_uid, before.monotonic_seconds, before.names) == (UID, 100.0, {"a": "build"})
    assert before.fold.next_sequence == 5
    assert before.fold.cpu_seconds() == pytest.approx(1.0)


def test_looks_at_the_last_run_only(journal):
    """An older unfinished run is left as it is."""
    before = journal(*records(ended=False), *records(OTHER_UID, ended=False, ticks=1))
    assert before is not None
    assert before.run_uid == OTHER_UID


@pytest.mark.parametrize(
    "found, options",
    [
        ((), {}),
        (tuple(records()), {}),
        (tuple(records(ended=False)), {"job": Job(repository="org/other")}),
        (tuple(records(ended=False)), {"boot_id": "another"}),
        (tuple(records(ended=False)), {"boot_id": None}),
        (tuple(records(ended=False)), {"now": 2000.0}),
        (tuple(records(ended=False, meter="run")), {}),
        (tuple(records(ended=False))[1:], {}),
    ],
    ids=[
        "nothing",
        "ended",
        "another job",
        "another boot",
        "unknown boot",
        "long ago",
        "of a wrapper",
        "no start record",
    ],
)
def test_begins_anew_otherwise(journal, found, options):
    """Only what is surely the same run is gone on with."""
    assert journal(*found, **options) is None
