"""`jobmeter referee --upload` from argv to exit code."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobmeter.cli import main
from jobmeter.model.evidence.document import decode
from tests.referee.server import StandIn, says, serving
from tests.referee.uploads.places import Artifacts, created
from tests.referee.uploads.test_actions import TOKEN
from tests.support.forges.raw import Line, Seen
from tests.support.receivers import closed_port

ARGV = ['--selector=a="b"', "--start=1577836800", "--end=1577836820", "--task=4711"]


class Forge:
    """Keeps what it was sent, and answers as ``answer`` does."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.answer: Any = created

    async def __call__(self, seen: Seen, line: Line) -> None:
        self.seen.append(seen)
        await self.answer(seen, line)


@pytest.fixture
def forge() -> Forge:
    return Forge()


@pytest.fixture
def url(forge: Forge, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The forge's, in the environment of a job of it."""
    with serving(StandIn()) as prometheus, serving(forge) as found:
        for name, value in {
            "CI_API_V4_URL": f"{found}/api/v4",
            "CI_JOB_ID": "103",
            "CI_JOB_TOKEN": "s3cret",
            "ACTIONS_RESULTS_URL": found,
            "ACTIONS_RUNTIME_TOKEN": TOKEN,
            "JOBMETER_JOB": "test (3.11/x)",
        }.items():
            monkeypatch.setenv(name, value)
        yield prometheus


def told(capsys: pytest.CaptureFixture[str], prometheus: str, *argv: str, code: int = 0) -> str:
    """What is said; the evidence is not printed."""
    assert main(["referee", f"--prometheus-address={prometheus}", *ARGV, *argv]) == code
    out, said = capsys.readouterr()
    assert out == ""
    assert "s3cret" not in said
    return said


def test_gitlab_gets_the_form_that_was_asked_for(
    url: str, forge: Forge, capsys: pytest.CaptureFixture[str]
) -> None:
    """compat as GitLab's referee writes it."""
    said = told(capsys, url, "--upload=gitlab", "--format=compat")
    assert "jobmeter: the evidence is attached to GitLab's job 103 as metrics_referee.json\n" in said
    (seen,) = forge.seen
    assert seen.target.startswith("/api/v4/jobs/103/artifacts?")
    boundary = seen.by_name["content-type"].partition("boundary=")[2]
    content = seen.body.partition(b"\r\n\r\n")[2].removesuffix(f"\r\n--{boundary}--\r\n".encode())
    assert "cpu_seconds" in json.loads(gzip.decompress(content))


def test_a_forges_artifact_is_called_after_job_and_task(
    url: str, forge: Forge, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of which there is one for each leg of a matrix."""
    forge.answer = Artifacts()
    assert "the artifact jobmeter-test (3.11_x)-4711 of the run" in told(capsys, url, "--upload=actions")


def test_a_directory_gets_a_file(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the whole document."""
    file = tmp_path / "jobmeter-test (3.11_x)-4711-evidence.json"
    assert f"the evidence is in {file}\n" in told(capsys, url, f"--upload={tmp_path}")
    assert decode(file.read_bytes()).task == "4711"


def test_a_refusal_is_said_and_takes_nothing_from_the_file(
    url: str, forge: Forge, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code says it; the receiver is sent to in any case."""
    forge.answer = says(403)
    receiver = [f"--receiver=http://127.0.0.1:{closed_port()}", "--run-uid=u"]
    out = tmp_path / "evidence.json"
    said = told(capsys, url, "--upload=gitlab", f"--out={out}", *receiver, code=1)
    assert "the evidence was not attached: GitLab answered 403: Forbidden: the job is over" in said
    assert "cannot be reached: Connection refused" in said
    assert decode(out.read_bytes()).task == "4711"
