"""`jobmeter report --receiver` and `--push-endpoint`: what a file holds is sent as the meter would have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobmeter.cli import main
from jobmeter.model import summary as summaries
from tests.support.receivers import FlakyReceiver, closed_port, serving
from tests.support.runs import OTHER_UID, UID, fold, records, write_journal


@pytest.fixture
def receiver() -> Iterator[FlakyReceiver]:
    with serving(FlakyReceiver()) as running:
        yield running


@pytest.fixture
def journal(tmp_path: Path) -> str:
    """Two runs, the first of which was lost."""
    return str(write_journal(tmp_path / "journal.jsonl", *records(ended=False), *records(OTHER_UID)))


@pytest.fixture
def summary(tmp_path: Path) -> str:
    place = tmp_path / "summary.json"
    place.write_bytes(summaries.encode(fold(*records()).summary()))
    return str(place)


def test_all_runs_of_a_journal_are_sent(receiver: FlakyReceiver, journal: str, capsys) -> None:
    """One line for each on stderr, nothing on stdout."""
    assert main(["report", journal, f"--receiver={receiver.url}"]) == 0
    assert (receiver.sequences(UID), receiver.sequences(OTHER_UID)) == (list(range(5)), list(range(6)))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        f"jobmeter: {UID}: 5 records sent, {receiver.url} has all of it\n"
        f"jobmeter: {OTHER_UID}: 6 records sent, {receiver.url} has all of it\n"
    )


def test_one_run_of_a_journal(receiver: FlakyReceiver, journal: str) -> None:
    """--run names it, for the stream and for the summary."""
    words = [f"--receiver={receiver.url}", f"--push-endpoint={receiver.url}/api/v1/metrics", f"--run={UID}"]
    assert main(["report", journal, *words]) == 0
    assert list(receiver.runs) == [UID]
    assert [one["run_summary"]["run_uid"] for one in receiver.pushed] == [UID]


def test_summary_is_pushed(receiver: FlakyReceiver, summary: str) -> None:
    """A file of --json is enough for that."""
    assert main(["report", summary, f"--push-endpoint={receiver.url}/x"]) == 0
    assert [one["run_summary"]["run_uid"] for one in receiver.pushed] == [UID]


def test_report_is_shown_as_well_where_a_form_is_named(receiver: FlakyReceiver, summary: str, capsys) -> None:
    """--format asks for it."""
    assert main(["report", summary, f"--push-endpoint={receiver.url}/x", "--format=json"]) == 0
    assert UID in capsys.readouterr().out


def test_variable_of_a_fleet_does_not_turn_a_report_into_a_push(
    receiver: FlakyReceiver, journal: str, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs are told by a variable where to send; who asks for a report gets a report."""
    monkeypatch.setenv("JOBMETER_RECEIVER", receiver.url)
    monkeypatch.setenv("JOBMETER_PUSH_ENDPOINT", receiver.url)
    assert main(["report", journal]) == 0
    assert "jobmeter: succeeded" in capsys.readouterr().out
    assert receiver.asked == []


def test_what_cannot_be_sent_is_one_sentence(
    receiver: FlakyReceiver, journal: str, summary: str, capsys
) -> None:
    """It names the file, the run or the service; the exit code says whose mistake it is."""
    cases = [
        ([summary, f"--receiver={receiver.url}"], 2, "sends the records of a journal"),
        ([journal, f"--receiver={receiver.url}", "--run=nonesuch"], 1, f"no run nonesuch; it holds {UID}"),
        ([journal + "x", f"--receiver={receiver.url}"], 1, "No such file"),
        ([journal, f"--receiver=http://127.0.0.1:{closed_port()}", "--grace=1ms"], 1, "Connection refused"),
    ]
    for words, code, said in cases:
        assert main(["report", *words]) == code
        error = capsys.readouterr().err
        assert said in error
        assert len(error.splitlines()) == 1
    receiver.always = 403
    assert main(["report", journal, f"--receiver={receiver.url}"]) == 1
    why, what_to_do = capsys.readouterr().err.splitlines()
    assert f"{UID} was not sent whole: {receiver.url} answered 403: told to." in why
    assert what_to_do == "Give its push token with --push-token-file FILE or $JOBMETER_PUSH_TOKEN."
