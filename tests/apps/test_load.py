"""What `jobmeter report` is given: a journal, a summary, or something else."""

import pytest

from jobmeter.apps.load import load
from jobmeter.model import summary as summaries
from jobmeter.model.errors import JournalError
from tests.support.runs import OTHER_UID, UID, fold, records, write_journal


@pytest.fixture
def file(tmp_path):
    """A path for the file under test."""
    return tmp_path / "file"


def test_journal_gives_summary_timeline_and_samples(file):
    """A journal has everything; samples are kept only when asked for."""
    write_journal(file, *records())
    run = load(str(file), None, 10, keep_samples=True)
    assert (run.summary.run_uid, run.summary.cpu_seconds, len(run.samples)) == (UID, 1.0, 3)
    assert run.timeline is not None
    assert load(str(file), None, 10).samples == ()


def test_summary_has_no_timeline(file):
    """A summary alone is read as it is."""
    file.write_bytes(summaries.encode(fold(*records()).summary()))
    run = load(str(file), None, 10)
    assert run.summary == fold(*records()).summary()
    assert run.timeline is None


@pytest.mark.parametrize("wanted, found", [(None, OTHER_UID), (UID, UID), (OTHER_UID, OTHER_UID)])
def test_of_several_runs_the_named_or_the_last_is_taken(file, wanted, found):
    """--run chooses."""
    write_journal(file, *records(), *records(OTHER_UID))
    assert load(str(file), wanted, 10).summary.run_uid == found


def test_run_without_an_end_is_lost(file):
    """What a killed meter left is a valid run."""
    write_journal(file, *records(ended=False))
    assert load(str(file), None, 10).summary.exit.reason == "lost"


def test_damaged_lines_are_left_out_and_said(file):
    """A torn line, also the first, does not hide the rest."""
    write_journal(file, *records())
    file.write_bytes(b'{"v":1,"ki\n' + file.read_bytes() + b'{"v":1')
    summary = load(str(file), None, 10).summary
    assert summary.sample_count == 3
    assert summary.warnings == ["2 lines of the journal are damaged and left out."]


@pytest.mark.parametrize(
    "content, sentence",
    [
        (b"", "neither a journal nor a summary"),
        (b"hello\n", "neither a journal nor a summary"),
        (b'{"schema": "jobmeter.summary/2"}', "has the schema jobmeter.summary/2"),
        (b'{"v":2,"kind":"start","run_uid":"x","sequence":0}\n', "version 2"),
        (b"[" * 100_000, "neither a journal nor a summary"),
    ],
)
def test_anything_else_is_one_sentence(file, content, sentence):
    """The message names the file and what is accepted."""
    file.write_bytes(content)
    with pytest.raises(JournalError, match=sentence) as raised:
        load(str(file), None, 10)
    assert str(file) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_missing_file_and_unknown_run_are_one_sentence(file):
    """What is not there is said with what is."""
    with pytest.raises(JournalError, match="No such file"):
        load(str(file), None, 10)
    write_journal(file, *records())
    with pytest.raises(JournalError, match=f"it holds {UID}"):
        load(str(file), "nonesuch", 10)
