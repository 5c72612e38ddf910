"""Where results go: whole files or none, private journals, one sentence for what fails."""

import os
import pty
import termios

import pytest

from jobmeter.apps import outputs
from jobmeter.model.errors import JobmeterError, UsageError


@pytest.mark.parametrize(
    "environ, path",
    [
        ({"XDG_STATE_HOME": "/state", "TMPDIR": "/t"}, "/state/jobmeter/uid.jsonl"),
        ({"XDG_STATE_HOME": "relative", "TMPDIR": "/t"}, f"/t/jobmeter-{os.getuid()}/uid.jsonl"),
        ({}, f"/tmp/jobmeter-{os.getuid()}/uid.jsonl"),
    ],
)
def test_default_journal_lies_in_the_state_directory_or_below_tmpdir(environ, path):
    """A relative $XDG_STATE_HOME is no path, as its specification says."""
    assert outputs.default_journal(environ, "uid") == path


def test_file_is_replaced_whole(tmp_path):
    """Nobody sees a half-written file, and nothing is left beside it."""
    target = tmp_path / "summary.json"
    target.write_text("old")
    outputs.write_file(str(target), "new")
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["summary.json"]


def test_file_keeps_the_permissions_of_the_umask(tmp_path):
    """A later step, run by somebody else, can read what a first one wrote."""
    target = tmp_path / "summary.json"
    before = os.umask(0o022)
    try:
        outputs.write_file(str(target), "text")
    finally:
        os.umask(before)
    assert target.stat().st_mode & 0o777 == 0o644


def test_writes_to_a_descriptor(tmp_path):
    """fd:N takes the text whole."""
    reading, writing = os.pipe()
    outputs.write_file(f"fd:{writing}", "text")
    os.close(writing)
    with open(reading) as file:
        assert file.read() == "text"


@pytest.mark.parametrize(
    "target, sentence",
    [
        ("fd:x", "is not a descriptor"),
        ("fd:999", "is not open"),
        ("/nonesuch/file", "does not exist"),
        ("/", "is a directory"),
    ],
)
def test_output_that_cannot_be_made_is_refused_before_the_work(target, sentence):
    """The sentence names the flag and the target."""
    with pytest.raises(UsageError, match=sentence):
        outputs.check_file("--json", target)


def test_failing_output_is_one_sentence(capsys):
    """A report that cannot be written fails nothing else."""

    def write():
        raise JobmeterError("no room")

    outputs.attempt("file.json", write)
    assert capsys.readouterr().err == "jobmeter: file.json could not be written: no room\n"


def test_step_summary_is_appended_to_but_not_past_a_mebibyte(tmp_path):
    """A forge drops a summary that is too large, so the report is not added."""
    target = tmp_path / "summary.md"
    target.write_text("# before\n")
    outputs.append_markdown(str(target), "report\n")
    assert target.read_text() == "# before\nreport\n"
    with pytest.raises(JobmeterError, match="1 MiB"):
        outputs.append_markdown(str(target), "x" * 1024 * 1024)
    assert target.read_text() == "# before\nreport\n"


def test_journal_directory_that_is_a_link_is_not_used(tmp_path):
    """In a shared $TMPDIR somebody may have laid a link to where we may write and they may not."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / f"jobmeter-{os.getuid()}").symlink_to(elsewhere)
    said: list[str] = []
    journal = outputs.open_journal(outputs.default_journal({"TMPDIR": str(tmp_path)}, "uid"), said.append)
    assert not journal.writable
    assert os.listdir(elsewhere) == []
    assert "is not our own" in said[0]


def test_directory_of_the_root_that_is_made_is_said(tmp_path, monkeypatch):
    """`/shared` that is missing is a volume that was not mounted: what is written there is gone with the container."""
    monkeypatch.setattr(outputs, "_top_directory", lambda path: str(tmp_path / "shared"))
    path = str(tmp_path / "shared/jobs/job.jsonl")
    said: list[str] = []
    outputs.open_journal(path, said.append).close()
    assert [one.split(",")[0] for one in said] == [f"{tmp_path}/shared was not there"]
    outputs.open_journal(path, said.append).close()
    assert len(said) == 1


def test_top_directory_is_below_the_root():
    """Of any depth."""
    assert [outputs._top_directory(path) for path in ("/", "/a", "/a/b/c")] == ["/", "/a", "/a"]


def test_default_directory_keeps_the_newest_journals(tmp_path):
    """A runner that meters for years does not fill its disk; a journal that was named is left alone."""
    environ = {"XDG_STATE_HOME": str(tmp_path)}
    path = outputs.default_journal(environ, "new")
    os.makedirs(os.path.dirname(path))
    for number in range(outputs.JOURNALS_KEPT + 5):
        old = os.path.join(os.path.dirname(path), f"{number}.jsonl")
        open(old, "w").close()
        os.utime(old, (number, number))
    outputs.bound_default_journals("/elsewhere/journal.jsonl", environ, "new")
    assert len(os.listdir(os.path.dirname(path))) == outputs.JOURNALS_KEPT + 5
    outputs.bound_default_journals(path, environ, "new")
    left = sorted(int(name.split(".")[0]) for name in os.listdir(os.path.dirname(path)))
    assert left == list(range(5, outputs.JOURNALS_KEPT + 5))


def test_width_without_a_terminal_is_that_of_columns(tmp_path):
    """What a CI system sets for all its jobs; nonsense in it is none."""
    with open(tmp_path / "log", "w") as log:
        assert outputs.terminal_columns(log, {"COLUMNS": "120"}) == 120
        assert [outputs.terminal_columns(log, {"COLUMNS": text}) for text in ("", "wide", "0")] == [80] * 3
        assert outputs.terminal_columns(log, {}) == 80


def test_width_of_a_terminal_is_its_own():
    """A shell keeps $COLUMNS for itself as a rule, and one that was exported may be old."""
    ours, theirs = pty.openpty()
    with open(ours, "w"), open(theirs, "w") as terminal:
        termios.tcsetwinsize(terminal, (24, 101))
        assert outputs.terminal_columns(terminal, {"COLUMNS": "120"}) == 101
        termios.tcsetwinsize(terminal, (0, 0))
        assert outputs.terminal_columns(terminal, {"COLUMNS": "120"}) == 120
