"""`jobmeter check` from argv to exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree as Xml

import msgspec
import pytest

from jobmeter.cli import main
from jobmeter.model import summary as summaries
from jobmeter.model.history.digest import PastRun
from jobmeter.spool.journal import Journal
from tests.model.budgets.runs import box, run_of
from tests.support.receivers import FlakyReceiver, closed_port, serving
from tests.support.runs import records, write_journal

ABSOLUTE = "[check.default]\nmemory = '1 GiB'\ncpu_seconds = 60\n"
RELATIVE = "[check]\nbase = 'main'\n[check.default]\ncpu_seconds = '+10 %'\n"
VARIABLES = (
    "GITHUB_ACTIONS",
    "GITHUB_STEP_SUMMARY",
    "JOBMETER_RECEIVER",
    "JOBMETER_READ_TOKEN",
    "JOBMETER_BASE",
)


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a summary of 90 CPU seconds and 300 MiB; nothing is told by the environment."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.json").write_bytes(summaries.encode(run_of()))
    return tmp_path


def write_budgets(text: str) -> None:
    Path(".jobmeter.toml").write_text(text)


class Base:
    """A receiver whose runs of the base branch used so many CPU seconds."""

    def __init__(self, *cpu_seconds: float) -> None:
        self._runs = [
            PastRun(run_uid=f"uid-{number}", began_at="", exit_reason="success", cpu_seconds=used)
            for number, used in enumerate(cpu_seconds)
        ]

    def tell(self, path: str) -> bytes:
        """The history of the job, as long as it is asked for."""
        limit = int(dict(parse_qsl(urlsplit(path).query))["limit"])
        return msgspec.json.encode({"runs": self._runs[:limit], "next_cursor": None})


@pytest.fixture
def receiver() -> Iterator[FlakyReceiver]:
    with serving(FlakyReceiver()) as running:
        yield running


@pytest.mark.parametrize(
    "budgets, flags, code, headline",
    [
        (ABSOLUTE, [], 3, "over budget: CPU time"),
        (ABSOLUTE, ["--report-only"], 0, "over budget: CPU time; reported only"),
        (ABSOLUTE.replace("60", "600"), [], 0, "within 2 budgets"),
        ("[check]\nfail = false\n" + ABSOLUTE, [], 0, "over budget: CPU time; reported only"),
        (RELATIVE, [], 0, "1 budget not known"),
        (RELATIVE.replace("\n", "\nfail_on_unknown = true\n", 1), [], 3, "1 budget not known"),
        (RELATIVE.replace("\n", "\nfail_on_unknown = true\n", 1), ["--report-only"], 0, "1 budget not known"),
        ("[[check.job]]\njob = 'other'\nmemory = '1'", [], 0, "no budget is about this job"),
    ],
)
def test_the_exit_code(budgets, flags, code, headline, capsys):
    """3 for what is exceeded, and for what is not known where the file says so."""
    write_budgets(budgets)
    assert main(["check", "run.json", *flags]) == code
    assert capsys.readouterr().out.splitlines()[0] == f"jobmeter check: {headline}"


@pytest.mark.parametrize(
    "history, code, headline",
    [
        ([90, 91, 92, 93, 94], 0, "within 1 budget"),
        ([50, 51, 52, 53, 54], 3, "over budget: CPU time"),
        ([50, 51, 52, 90, 91], 0, "1 budget over by noise alone"),
        ([50, 51, 52, 53], 0, "1 budget not known"),
    ],
)
def test_a_relative_budget_asks_the_receiver(receiver, history, code, headline, capsys):
    """For the base's runs; where the base itself uses as much now and then it is noise."""
    write_budgets(RELATIVE)
    receiver.tell = Base(*history).tell
    assert main(["check", "run.json", f"--receiver={receiver.url}"]) == code
    assert capsys.readouterr().out.splitlines()[0] == f"jobmeter check: {headline}"


@pytest.mark.parametrize("since", [5, 6, 15, 16, 17, 18, 19, 20, 25])
@pytest.mark.parametrize("runs", [5, 8, 20])
def test_what_the_base_used_before_its_change_excuses_nothing(receiver, runs, since):
    """So many runs ago it came down from what this run uses; more is read than counts to see that."""
    write_budgets(RELATIVE.replace("\n", f"\nruns = {runs}\n", 1))
    receiver.tell = Base(*[45.0 + n % 3 for n in range(since)], *[90.0 + n % 3 for n in range(60)]).tell
    assert main(["check", "run.json", f"--receiver={receiver.url}"]) == 3


@pytest.mark.parametrize(
    "budgets, flags, ref",
    [
        (RELATIVE, [], "refs%2Fheads%2Fmain"),
        (RELATIVE, ["--base=stable"], "refs%2Fheads%2Fstable"),
        (RELATIVE.replace("'main'", "'refs/tags/v1'"), [], "refs%2Ftags%2Fv1"),
        (RELATIVE.replace("base = 'main'", ""), [], "refs%2Fheads%2Fmain"),
    ],
    ids=["file", "flag", "ref", "pull request"],
)
def test_the_base_is_of_the_flag_the_file_or_the_pull_request(receiver, budgets, flags, ref):
    """In this order."""
    write_budgets(budgets)
    main(["check", "run.json", f"--receiver={receiver.url}", *flags])
    assert f"ref={ref}&" in receiver.asked[0].path


@pytest.mark.parametrize(
    "budgets, job, why",
    [
        (RELATIVE.replace("base = 'main'", ""), {"base_ref": None}, "the base branch is not known"),
        (RELATIVE, {"job": None}, "the run does not say of which repository and job it is"),
        (RELATIVE, {"repository": None}, "the run does not say of which repository and job it is"),
    ],
)
def test_what_cannot_be_asked_is_said(receiver, budgets, job, why, capsys):
    """No question goes out that would be about other jobs too."""
    write_budgets(budgets)
    run = run_of()
    run.job = msgspec.structs.replace(run.job, **job)
    Path("run.json").write_bytes(summaries.encode(run))
    assert main(["check", "run.json", f"--receiver={receiver.url}"]) == 0
    assert why in " ".join(capsys.readouterr().out.split())
    assert receiver.asked == []


def test_a_receiver_that_is_away_is_not_known_and_not_a_failure(capsys):
    """The job is not to blame."""
    write_budgets(RELATIVE)
    port = closed_port()
    assert main(["check", "run.json", f"--receiver=http://user:secret@127.0.0.1:{port}"]) == 0
    said = capsys.readouterr()
    assert f"http://127.0.0.1:{port} cannot be reached" in " ".join(said.out.split())
    assert "secret" not in said.out + said.err


def test_absolute_budgets_ask_nobody(receiver):
    """A fleet's variable names a receiver; without a relative budget there is no reason to ask it."""
    write_budgets(ABSOLUTE)
    assert main(["check", "run.json", f"--receiver={receiver.url}"]) == 3
    assert receiver.asked == []


def test_a_journal_and_a_run_that_goes_on(tmp_path, capsys):
    """What is still running is within no budget yet."""
    write_budgets("[check.default]\ncpu_seconds = 60\nduration = '1s'")
    path = str(write_journal(tmp_path / "journal.jsonl", *records(ended=False)))
    writer = Journal(path, print)
    assert main(["check", path]) == 3
    said = " ".join(capsys.readouterr().out.split())
    writer.close()
    assert "over budget: duration; 1 budget not known" in said
    assert "the run goes on" in said


def test_every_output_in_one_go(tmp_path, capsys):
    """Text on stdout, the table appended, the reports written."""
    write_budgets(ABSOLUTE)
    Path("step.md").write_text("before\n")
    flags = ["--markdown=step.md", "--junit=junit.xml", "--code-quality=quality.json", "--annotations=github"]
    assert main(["check", "run.json", *flags]) == 3
    assert "::error file=.jobmeter.toml," in capsys.readouterr().out
    assert Path("step.md").read_text().startswith("before\n### jobmeter check: acme/engine")
    assert Xml.parse("junit.xml").getroot().get("failures") == "1"
    assert json.loads(Path("quality.json").read_text())[0]["location"]["path"] == ".jobmeter.toml"


@pytest.mark.parametrize("flag, annotated", [([], True), (["--annotations=none"], False)])
def test_on_github_the_summary_and_annotations_come_by_themselves(flag, annotated, monkeypatch, capsys):
    """The variables of the forge say where to."""
    write_budgets(ABSOLUTE)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "step.md")
    main(["check", "run.json", *flag])
    assert ("::error " in capsys.readouterr().out) is annotated
    assert "over budget" in Path("step.md").read_text()


@pytest.mark.parametrize(
    "words, code, sentence",
    [
        (["run.json", "--budgets=nonesuch.toml"], 2, "nonesuch.toml cannot be read: No such file"),
        (["nonesuch.json"], 1, "nonesuch.json cannot be read: No such file"),
        (["run.json", "--junit=nonesuch/x.xml"], 2, "--junit: the directory"),
        (["run.json", "--markdown=."], 2, "--markdown: . is a directory"),
        (["--nonesuch"], 2, "the flag --nonesuch is not known"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(words, code, sentence, capsys):
    """Before anything is written or asked."""
    write_budgets(ABSOLUTE)
    assert main(["check", *words]) == code
    said = capsys.readouterr()
    assert sentence in said.err
    assert (len(said.err.splitlines()), said.out) == (1, "")


def test_a_container_that_was_not_read_does_not_pass(capsys):
    """Missing is missing: not zero, and not within."""
    write_budgets("[check.default]\nmemory = '1 GiB'")
    container = box(memory_working_set_peak_bytes=None, memory_high_water_bytes=None)
    Path("run.json").write_bytes(summaries.encode(run_of(container)))
    assert main(["check", "run.json"]) == 0
    assert "? peak memory need is not known: no memory of build was read" in capsys.readouterr().out
