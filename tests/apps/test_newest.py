"""Which run is meant where no file was named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from jobmeter.apps.newest import newest
from jobmeter.cli import main
from jobmeter.model.errors import JournalError
from jobmeter.model.job import Job
from tests.support.runs import records, write_journal

BUILD = Job(organization="acme", repository="acme/engine", workflow="ci.yaml", job="build", run_id="7")
TEST = Job(organization="acme", repository="acme/engine", workflow="ci.yaml", job="test", run_id="7")
LEGS = tuple(replace(BUILD, runner=name) for name in ("one", "two"))
OLDER, NEWER = "01a1fe54-0000-7000-8000-000000000001", "01a1fe54-0000-7000-8000-000000000002"


def directory(state: Path, older: Job, newer: Job) -> dict[str, str]:
    """An environment whose directory of journals has two runs."""
    place = state / "jobmeter"
    place.mkdir(parents=True, exist_ok=True)
    for uid, job in ((OLDER, older), (NEWER, newer)):
        write_journal(place / f"{uid}.jsonl", *records(uid, job=job))
    return {"XDG_STATE_HOME": str(state)}


def in_job(**variables: str) -> dict[str, str]:
    """What a job of the forge has in its environment."""
    return {
        "GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "acme/engine", "GITHUB_RUN_ID": "7",
        "GITHUB_WORKFLOW_REF": "acme/engine/.github/workflows/ci.yaml@refs/heads/main", "GITHUB_JOB": "build",
    } | variables  # fmt: skip


@pytest.mark.parametrize(
    "older, newer, variables, taken, remark",
    [
        (BUILD, TEST, {}, NEWER, None),
        (TEST, BUILD, in_job(), NEWER, None),
        (BUILD, TEST, in_job(), OLDER, "run is of acme/engine · ci.yaml / test · run 7; taken"),
        (BUILD, TEST, in_job(JOBMETER_JOB="test"), NEWER, None),
        (
            BUILD,
            TEST,
            {"JOBMETER_JOB": "build"},
            OLDER,
            "the newest one of build, which the environment names",
        ),
        (
            *LEGS,
            in_job(RUNNER_NAME="one"),
            OLDER,
            "build · run 7 on two; taken is the newest one of acme/engine",
        ),
        (*LEGS, in_job(RUNNER_NAME="two"), NEWER, None),
        (BUILD, Job(), in_job(), OLDER, "run is of a job without a name; taken"),
    ],
)
def test_the_newest_run_of_the_named_job_is_meant(
    tmp_path: Path, older: Job, newer: Job, variables: dict[str, str], taken: str, remark: str | None
) -> None:
    """Without any name the newest; where a newer one was passed over, a sentence says so."""
    found = newest(directory(tmp_path, older, newer) | variables)

    assert (Path(found.path).stem, found.is_other) == (taken, False)
    assert found.remark is None if remark is None else remark in (found.remark or "")


@pytest.mark.parametrize(
    "variables", [in_job(GITHUB_JOB="lint"), in_job(GITHUB_RUN_ID="8"), in_job(JOBMETER_ATTEMPT="2")]
)
def test_a_run_of_another_execution_is_another(tmp_path: Path, variables: dict[str, str]) -> None:
    """That of yesterday says nothing of this one."""
    found = newest(directory(tmp_path, BUILD, TEST) | variables)

    assert (Path(found.path).stem, found.is_other) == (NEWER, True)
    assert "has no run of acme/engine" in (found.remark or "")


def test_without_a_journal_there_is_nothing_to_take(tmp_path: Path) -> None:
    """And the sentence says what to name; a damaged journal is of no job."""
    with pytest.raises(JournalError, match="name a journal or a summary"):
        newest({"XDG_STATE_HOME": str(tmp_path)})
    environ = directory(tmp_path, BUILD, TEST) | in_job()
    (tmp_path / "jobmeter" / f"{NEWER}.jsonl").write_bytes(b"nonsense\n")
    assert Path(newest(environ).path).stem == OLDER


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The environment of a job that has no run, in a directory with budgets that every run keeps."""
    for name, value in (directory(tmp_path, BUILD, TEST) | in_job(GITHUB_JOB="lint")).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".jobmeter.toml").write_text("[check.default]\nduration = '1h'\n")
    return monkeypatch


def test_check_judges_no_run_of_another_job(environment: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """It says whose runs there are, and how to name one; of its own job's older run it says that it is one."""
    assert main(["check"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "has no run of acme/engine · ci.yaml / lint · run 7, which the environment names" in said.err
    assert f"{NEWER}.jsonl" in said.err
    environment.setenv("GITHUB_JOB", "build")
    assert main(["check"]) == 0
    said = capsys.readouterr()
    assert "ci.yaml / build" in said.out
    assert "taken is the newest one of" in said.err


def test_report_shows_a_run_of_another_job_and_says_so(
    environment: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside the report, so that data stays data."""
    assert main(["report", "--format=json"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("{")
    assert "the newest one is of acme/engine · ci.yaml / test · run 7" in said.err
