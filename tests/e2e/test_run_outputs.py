"""Where the results of `jobmeter run` go, and what happens when they cannot."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobmeter.model import wire
from jobmeter.model.summary import decode
from jobmeter.spool.journal import JournalReader
from tests.e2e.support.components import JOBMETER, require_root, unavailable
from tests.e2e.support.runs import Jobmeter

MIB = 1024 * 1024
TICKS = ["--interval=50ms", "sh", "-c"]
SOME_TICKS = "for i in 1 2 3 4 5 6 7 8; do sleep 0.1; done"
REFERENCE = re.compile(r"""(?:\b(?:src|href|action|data)\s*=|\burl\()\s*["']?\s*(?:https?:)?//|@import""")
"""What a page would load from somewhere."""


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 KiB."""
    require_root("a file system of the test's own")
    path = tmp_path / "tiny"
    path.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tiny", path], capture_output=True, text=True, check=False
    )
    if done.returncode:
        unavailable(f"no file system can be mounted: {done.stderr}")
    yield path
    subprocess.run(["umount", path], check=True)


def test_json_to_a_file(jobmeter: Jobmeter, tmp_path: Path) -> None:
    """`--json FILE` has the whole summary; nothing temporary is left beside it."""
    done = jobmeter.run("--quiet", "echo", "hello")

    assert done.result.exit.code == 0
    assert done.stdout == "hello\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["journal.jsonl", "summary.json"]


def test_json_to_a_descriptor(jobmeter: Jobmeter, tmp_path: Path) -> None:
    """`--json=fd:N` writes to a descriptor that the caller opened; the command's stdout stays its own."""
    reading, writing = os.pipe()
    done = jobmeter.run(f"--json=fd:{writing}", "echo", "hello", pass_fds=[writing])
    os.close(writing)
    with open(reading, "rb") as file:
        summary = decode(file.read())

    assert done.stdout == "hello\n"
    assert summary.exit.reason == "success"


def test_markdown_to_a_descriptor(jobmeter: Jobmeter) -> None:
    """`--markdown=fd:N` writes there too, and makes no file of that name."""
    reading, writing = os.pipe()
    jobmeter.run("--quiet", f"--markdown=fd:{writing}", "true", pass_fds=[writing], cwd=jobmeter.directory)
    os.close(writing)
    with open(reading) as file:
        page = file.read()

    assert "succeeded in" in page
    assert not (jobmeter.directory / f"fd:{writing}").exists()


def test_quiet_says_nothing(jobmeter: Jobmeter) -> None:
    """With `--quiet` stderr is the command's alone; the files are written."""
    done = jobmeter.run("--quiet", "sh", "-c", "echo to stderr >&2")

    assert done.stderr == "to stderr\n"
    assert done.summary is not None


def test_report_is_the_last_on_stderr(jobmeter: Jobmeter) -> None:
    """The command's own output comes first, the verdict after it."""
    done = jobmeter.run("sh", "-c", "echo to stderr >&2; exit 7")

    assert done.stderr.startswith("to stderr\njobmeter: failed (exit 7) after ")
    assert done.stdout == ""


def test_markdown_is_appended(jobmeter: Jobmeter, tmp_path: Path) -> None:
    """`--markdown FILE` keeps what is there: a step summary has several authors."""
    page = tmp_path / "page.md"
    page.write_text("# Mine\n")

    jobmeter.run(f"--markdown={page}", "true")

    assert page.read_text().startswith("# Mine\n")
    assert "succeeded in" in page.read_text()
    assert not REFERENCE.search(page.read_text())


def test_step_summary_is_used_when_it_is_there(jobmeter: Jobmeter, tmp_path: Path) -> None:
    """$GITHUB_STEP_SUMMARY gets the report without a flag; with `--markdown` that file gets it instead."""
    step, other = tmp_path / "step.md", tmp_path / "other.md"
    step.touch()

    jobmeter.run("true", env={"GITHUB_STEP_SUMMARY": str(step)})
    first = step.read_text()
    jobmeter.run(f"--markdown={other}", "true", env={"GITHUB_STEP_SUMMARY": str(step)})

    assert "succeeded in" in first
    assert step.read_text() == first
    assert "succeeded in" in other.read_text()


def test_step_summary_is_made_where_the_runner_has_not(jobmeter: Jobmeter, tmp_path: Path) -> None:
    """What imitates a forge may name a file that nobody has made."""
    step = tmp_path / "step.md"

    done = jobmeter.run("--quiet", "true", env={"GITHUB_STEP_SUMMARY": str(step)})

    assert (done.exit_code, done.stderr) == (0, "")
    assert "succeeded in" in step.read_text()


def test_step_summary_of_elsewhere_is_let_alone(jobmeter: Jobmeter, tmp_path: Path) -> None:
    """A variable of the machine around a container, without its directory, is no fault."""
    step = tmp_path / "none" / "step.md"

    done = jobmeter.run("--quiet", "true", env={"GITHUB_STEP_SUMMARY": str(step)})

    assert (done.exit_code, done.stderr) == (0, "")
    assert not step.exists()


def test_step_summary_does_not_grow_past_what_forges_take(jobmeter: Jobmeter, tmp_path: Path) -> None:
    """A forge drops a step summary above 1 MiB whole: the report is left out with one sentence."""
    step = tmp_path / "step.md"
    step.write_text("x" * (MIB - 100))

    done = jobmeter.run("--quiet", "sh", "-c", "exit 5", env={"GITHUB_STEP_SUMMARY": str(step)})

    assert done.exit_code == 5
    assert done.stderr.count("\n") == 1
    assert "would grow past 1 MiB" in done.stderr
    assert step.stat().st_size == MIB - 100


def test_html_is_one_portable_page(jobmeter: Jobmeter, tmp_path: Path) -> None:
    """`--html FILE` opens offline: it loads nothing from anywhere."""
    pytest.importorskip("vl_convert")
    page = tmp_path / "page.html"

    jobmeter.run(f"--html={page}", *TICKS, SOME_TICKS)

    text = page.read_text()
    assert text.lower().startswith("<!doctype html>")
    assert REFERENCE.findall(text) == []
    assert "succeeded in" in text


@pytest.mark.parametrize(
    "variables, place",
    [
        ({"XDG_STATE_HOME": "{tmp}/state"}, "state/jobmeter"),
        ({"XDG_STATE_HOME": None, "TMPDIR": "{tmp}/t"}, f"t/jobmeter-{os.getuid()}"),
        ({"XDG_STATE_HOME": "relative", "TMPDIR": "{tmp}/t"}, f"t/jobmeter-{os.getuid()}"),
    ],
    ids=["state", "tmp", "relative"],
)
def test_default_journal(
    jobmeter: Jobmeter, tmp_path: Path, variables: dict[str, str | None], place: str
) -> None:
    """Without `--journal` it lies below $XDG_STATE_HOME, else $TMPDIR, for the user's eyes only."""
    (tmp_path / "t").mkdir()
    variables = {name: value and value.format(tmp=tmp_path) for name, value in variables.items()}

    subprocess.run(
        [*JOBMETER, "run", "--quiet", "true"], env=jobmeter.environment(variables), cwd=tmp_path, check=True
    )

    (journal,) = (tmp_path / place).iterdir()
    kinds = [type(record).__name__ for record in JournalReader(journal)]
    assert (kinds[0], kinds[-1]) == ("Start", "End")
    assert journal.stat().st_mode & 0o777 == 0o600
    assert journal.parent.stat().st_mode & 0o777 == 0o700


def test_journal_that_cannot_be_written(jobmeter: Jobmeter, tmp_path: Path) -> None:
    """It is said once, in the report, and the run goes on; a `--json` beside it is whole."""
    (tmp_path / "file").touch()

    done = jobmeter.run(f"--journal={tmp_path}/file/journal", *TICKS, f"{SOME_TICKS}; exit 3")

    assert done.exit_code == 3
    assert len(done.result.warnings) == 1
    assert done.stderr.count("cannot be written") == 1
    assert done.result.sample_count > 2


def test_disk_that_fills_up(jobmeter: Jobmeter, tiny_disk: Path) -> None:
    """The journal stops at a whole record and says so once; metering and report go on, and so does the command."""
    journal = tiny_disk / "journal"

    done = jobmeter.run(f"--journal={journal}", *TICKS, f"for i in 1 2 3; do {SOME_TICKS}; done; exit 3")

    reader = JournalReader(journal)
    written = [record for record in reader if isinstance(record, wire.Tick)]
    assert done.exit_code == 3
    assert reader.damaged == 0
    assert 0 < len(written) < done.result.sample_count
    assert done.result.warnings == [
        f"The journal {journal} cannot be written (No space left on device); metering goes on without it."
    ]
    assert done.stderr.count("No space left") == 1


def test_disk_that_is_full_takes_no_exit_code(jobmeter: Jobmeter, tiny_disk: Path) -> None:
    """Results that find no room are one sentence each."""
    filler = tiny_disk / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(b"x" * 65536)

    done = jobmeter.run(
        f"--json={tiny_disk}/s", f"--markdown={tiny_disk}/m", f"--journal={tiny_disk}/j", "sh", "-c", "exit 3"
    )

    assert done.exit_code == 3
    assert "Traceback" not in done.stderr
    assert done.stderr.count("could not be written") == 2
    assert sorted(path.name for path in tiny_disk.iterdir() if path.stat().st_size) == ["filler"]


def test_journal_of_a_killed_wrapper_is_a_lost_run(jobmeter: Jobmeter) -> None:
    """After SIGKILL the journal is readable up to the last tick, and `jobmeter report` makes a run of it."""
    with jobmeter.start("--interval=50ms", "sh", "-c", f"{SOME_TICKS}; echo ready; exec cat") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()
        process.wait()

    argv = [*JOBMETER, "report", "--format=json", str(jobmeter.journal)]
    told = subprocess.run(argv, env=jobmeter.environment(), capture_output=True, text=True, check=True)
    summary = json.loads(told.stdout)
    assert summary["exit"]["reason"] == "lost"
    assert summary["sample_count"] > 2
