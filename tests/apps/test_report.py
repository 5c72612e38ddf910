"""`jobmeter report` in every form."""

import json
import shutil

import pytest

from jobmeter.cli import main
from jobmeter.config.settings import FORMATS
from jobmeter.model import summary as summaries
from jobmeter.spool.journal import Journal
from tests.support.runs import OTHER_UID, UID, fold, records, write_journal

SIGNS = {
    "terminal": "jobmeter: succeeded",
    "markdown": "### ",
    "html": "<!DOCTYPE html>",
    "json": '"schema": "jobmeter.summary/1"',
    "csv": "run_uid,",
    "jsonl": '"elapsed_seconds":1.0',
    "openmetrics": "# EOF",
}


@pytest.fixture
def journal(tmp_path):
    """The path of a journal."""
    return str(write_journal(tmp_path / "journal.jsonl", *records()))


@pytest.fixture
def summary(tmp_path):
    """The path of a summary."""
    path = tmp_path / "summary.json"
    path.write_bytes(summaries.encode(fold(*records()).summary()))
    return str(path)


@pytest.mark.parametrize("form", FORMATS)
def test_journal_in_every_form(journal, capsys, form):
    """Each form of the option's list is there."""
    assert main(["report", journal, "--format", form]) == 0
    assert SIGNS[form] in capsys.readouterr().out


@pytest.mark.parametrize("form", sorted(set(FORMATS) - {"jsonl"}))
def test_summary_in_every_form_but_samples(summary, capsys, form):
    """A summary alone is enough for all but JSON lines."""
    assert main(["report", summary, "--format", form]) == 0
    assert SIGNS[form] in capsys.readouterr().out


def test_samples_of_a_summary_are_refused(summary, capsys):
    """The sentence says what has samples."""
    assert main(["report", summary, "--format=jsonl"]) == 2
    assert "which only a journal has" in capsys.readouterr().err


def test_json_lines_carry_run_and_time(journal, capsys):
    """Each line can be read on its own."""
    main(["report", journal, "--format=jsonl"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["run_uid"], line["time"]) for line in lines] == [
        (UID, f"2026-11-21T12:00:0{second}.000Z") for second in range(3)
    ]


@pytest.mark.parametrize(
    "form, going_on, over",
    [
        ("terminal", "jobmeter: still running after 2 s", "jobmeter: lost after 2 s"),
        ("markdown", "**still running after 2 s**", "**lost after 2 s"),
        ("json", '"reason": "lost"', '"reason": "lost"'),
    ],
)
def test_a_run_whose_journal_is_locked_still_runs(tmp_path, capsys, form, going_on, over):
    """The writer's lock tells a run that goes on from one that was lost; the contract of the JSON has one word."""
    path = str(write_journal(tmp_path / "journal.jsonl", *records(ended=False)))
    writer = Journal(path, print)
    main(["report", path, f"--format={form}"])
    assert going_on in capsys.readouterr().out
    writer.close()
    main(["report", path, f"--format={form}"])
    assert over in capsys.readouterr().out


def test_an_older_run_of_a_journal_that_is_written_does_not_run(tmp_path, capsys):
    """The lock is the newest run's."""
    path = str(
        write_journal(tmp_path / "journal.jsonl", *records(ended=False), *records(OTHER_UID, ended=False))
    )
    writer = Journal(path, print)
    main(["report", path, f"--run={UID}"])
    assert "lost after 2 s" in capsys.readouterr().out
    writer.close()


@pytest.mark.parametrize("form", ["terminal", "markdown"])
def test_two_runs_are_compared(journal, summary, capsys, form):
    """A journal and a summary of the same run show no difference."""
    assert main(["report", journal, summary, "--format", form]) == 0
    assert "same" in capsys.readouterr().out


def test_comparison_in_another_form_is_refused(journal, capsys):
    """The sentence says in which forms two are compared."""
    assert main(["report", journal, journal, "--format=csv"]) == 2
    assert "terminal or markdown" in capsys.readouterr().err


def test_output_goes_to_the_named_file(journal, tmp_path, capsys):
    """--output keeps stdout free."""
    assert main(["report", journal, "--format=json", f"--output={tmp_path / 'out.json'}"]) == 0
    assert capsys.readouterr().out == ""
    assert json.loads((tmp_path / "out.json").read_text())["run_uid"] == UID


def test_takes_one_file_or_two(capsys):
    """More is a usage error."""
    assert main(["report", "a", "b", "c"]) == 2
    assert "takes one journal or summary" in capsys.readouterr().err


def test_without_a_file_the_newest_run_is_shown(journal, tmp_path, monkeypatch, capsys):
    """Of those that named no journal of their own; where there is none one sentence says where it was looked for."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert main(["report", "--format=json"]) == 1
    assert f"no journal in {tmp_path}/state/jobmeter" in capsys.readouterr().err
    (tmp_path / "state/jobmeter").mkdir(parents=True)
    shutil.copy(journal, tmp_path / f"state/jobmeter/{UID}.jsonl")
    (tmp_path / "state/jobmeter/00000000-older.jsonl").write_text("")
    assert main(["report", "--format=json"]) == 0
    assert json.loads(capsys.readouterr().out)["run_uid"] == UID
