"""`jobmeter referee` from argv to exit code."""

from __future__ import annotations

import asyncio
import gzip
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobmeter.cli import main
from jobmeter.model.evidence.document import Evidence, decode
from jobmeter.transport import Endpoint
from tests.referee.server import StandIn, says, serving
from tests.support.forges.raw import Line, Seen
from tests.support.receivers import FlakyReceiver, closed_port
from tests.support.receivers import serving as receiving

START = 1_577_836_800
TIME = [f"--start={START}", f"--end={START + 20}"]
UID = "0192f0c0-0000-7000-8000-000000000001"
CONFIG = """
[referee]
prometheus_address = "URL"
selector = 'runner="{runner_name}"'

[referee.queries]
a = "a{{selector}}"
b = "b"
"""


@pytest.fixture
def server() -> StandIn:
    return StandIn()


@pytest.fixture
def config(server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The flag of a file that names the stand-in; of the job only the runner is known."""
    for name in [name for name in os.environ if name.startswith(("JOBMETER_", "CI"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("JOBMETER_RUNNER", "large-1")
    with serving(server) as url:
        file = tmp_path / "referee.toml"
        file.write_text(CONFIG.replace("URL", url))
        yield f"--config={file}"


def printed(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[Evidence, str]:
    """The document on stdout, and what was said on stderr."""
    assert main(["referee", *argv]) == 0
    out, said = capsys.readouterr()
    return decode(out.encode()), said


def test_the_evidence_is_printed(config: str, server: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    """With the job of the environment; what is said of it is on stderr."""
    document, said = printed(capsys, config, *TIME, "--task=4711")
    assert sorted(server.expressions) == ['a{runner="large-1"}', "b"]
    assert (document.job.runner, document.task, document.selector) == ("large-1", "4711", 'runner="large-1"')
    assert (document.start_time, document.end_time) == (
        "2020-01-01T00:00:00.000Z",
        "2020-01-01T00:00:20.000Z",
    )
    assert [query.point_count for query in document.queries] == [5, 5]
    assert said == f"jobmeter: 2 queries of {document.source.address}: 2 with data\n"


def test_one_query_is_told_of_as_one(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As it is spoken."""
    file = Path(config.removeprefix("--config="))
    file.write_text(file.read_text().replace('b = "b"', ""))
    document, said = printed(capsys, config, *TIME)
    assert said == f"jobmeter: 1 query of {document.source.address}: 1 with data\n"


def test_the_form_of_gitlabs_referee_is_written(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Into a file, as it is; nothing is printed."""
    out = tmp_path / "metrics_referee.json"
    assert main(["referee", config, *TIME, "--format=compat", f"--out={out}"]) == 0
    course = f'[[{START},"0.5"],[{START + 10},"0.5"],[{START + 20},"0.5"]]'
    assert out.read_text() == f'{{"a":{course},"b":{course}}}'
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "form, begins, told",
    [
        ("markdown", "### jobmeter: what Prometheus saw", "\n| b | 1 | 5 | 0.5 | 0.5 | 0.5 |\n"),
        ("html", "<!DOCTYPE html>", "What Prometheus saw: all 2 queries have data"),
    ],
)
def test_the_forms_for_people_are_written(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str, begins: str, told: str
) -> None:
    """With what was seen."""
    out = tmp_path / "evidence"
    assert main(["referee", config, *TIME, f"--format={form}", f"--out={out}"]) == 0
    text = out.read_text()
    assert text.startswith(begins)
    assert told in text
    assert capsys.readouterr().out == ""


def test_a_query_that_fails_is_said_and_is_no_failure(
    config: str, server: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the others nothing is lost."""
    server.wrong["b"] = says(400, b'{"error":"no such function"}')
    document, said = printed(capsys, config, *TIME)
    assert [query.state for query in document.queries] == ["data", "failed"]
    assert "2 queries of " in said
    assert ": 1 with data, 1 failed\n" in said
    assert "jobmeter: 'b': Prometheus answered 400: no such function.\n" in said


def test_a_prometheus_that_is_away_is_no_failure(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The document says it, and so does one sentence."""
    address = f"http://me:s3cret@127.0.0.1:{closed_port()}"
    document, said = printed(capsys, config, f"--prometheus-address={address}", *TIME)
    assert {query.state for query in document.queries} == {"failed"}
    assert "'a' and 1 more: Prometheus cannot be asked: connection refused.\n" in said
    assert "s3cret" not in said + document.source.address


def test_it_is_sent_to_a_receiver(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To the run it belongs to, with the token; a file may be written beside it."""
    out = tmp_path / "evidence.json"
    with receiving(FlakyReceiver("push")) as receiver:
        to = [f"--receiver={receiver.url}", f"--run-uid={UID}", "--push-token=push", f"--out={out}"]
        assert main(["referee", config, *TIME, *to]) == 0
        (asked,) = receiver.asked
    assert asked.path == f"/api/v1/runs/{UID}/evidence"
    assert asked.headers["Content-Encoding"] == "gzip"
    assert asked.body[8] == 0, "the highest level, which takes seconds"
    assert gzip.decompress(asked.body) == out.read_bytes()
    assert decode(gzip.decompress(asked.body)).run_uid == UID
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "fault, sentence",
    [
        (
            401,
            "answered 401: told to. Give its push token with --push-token-file FILE or $JOBMETER_PUSH_TOKEN.",
        ),
        (404, "answered 404: told to\n"),
        (413, "answered 413: told to\n"),
    ],
)
def test_a_receiver_that_refuses_is_a_failure(
    config: str, fault: int, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was written beside it stays."""
    out = tmp_path / "evidence.json"
    with receiving(FlakyReceiver()) as receiver:
        receiver.always = fault
        to = [f"--receiver={receiver.url}", f"--run-uid={UID}", f"--out={out}"]
        assert main(["referee", config, *TIME, *to]) == 1
    assert sentence in capsys.readouterr().err
    assert decode(out.read_bytes()).queries


@pytest.mark.parametrize(
    "more", [(), ("--out=/dev/full",), ("--upload=attached",)], ids=["alone", "disk full", "attached"]
)
def test_what_nobody_takes_is_kept(
    config: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    more: tuple[str],
) -> None:
    """In a file of the working directory; the other ways are gone all the same."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "attached").mkdir()
    to = [f"--receiver=http://127.0.0.1:{closed_port()}", f"--run-uid={UID}"]
    assert main(["referee", config, *TIME, *to, *more]) == 1
    (kept,) = tmp_path.glob("jobmeter-evidence-*.json")
    assert decode(kept.read_bytes()).run_uid == UID
    out, said = capsys.readouterr()
    assert (out, f"jobmeter: the evidence is kept in {kept.name}\n" in said) == ("", True)
    assert "connection refused" in said.lower()
    assert bool(list((tmp_path / "attached").iterdir())) is ("--upload=attached" in more)


def test_what_nobody_takes_is_printed_where_no_file_can_be(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a directory that is gone."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    to = [f"--receiver=http://127.0.0.1:{closed_port()}", f"--run-uid={UID}"]
    assert main(["referee", config, *TIME, *to]) == 1
    out, said = capsys.readouterr()
    assert decode(out.encode()).run_uid == UID
    assert "the evidence is printed, as it could not be kept in a file either" in said


async def too_late(_: Seen, line: Line) -> None:
    """No answer for long."""
    await asyncio.sleep(60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_questions(
    config: str, server: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    """What has come by then is written, and the document says it."""

    async def stopped(seen: Seen, line: Line) -> None:
        await asyncio.sleep(0.3)  # The other one has its answer by then.
        os.kill(os.getpid(), number)
        await too_late(seen, line)

    server.wrong["b"] = stopped
    before = signal.getsignal(number)
    out = tmp_path / "evidence.json"
    assert main(["referee", config, *TIME, f"--out={out}"]) == 1
    document, said = decode(out.read_bytes()), capsys.readouterr().err
    assert [query.state for query in document.queries] == ["data", "failed"]
    assert document.problems[-1] == (
        f"The referee was stopped by {number.name}: this is what had come until then."
    )
    assert document.problems[-1] in said
    assert signal.getsignal(number) is before


def test_a_signal_before_the_questions_is_one_sentence(
    config: str, server: StandIn, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for the last scrape can be stopped."""
    monkeypatch.setattr(time, "sleep", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    assert main(["referee", config, "--since=10s", "--wait"]) == 1
    assert "jobmeter referee: it was stopped before it had anything to tell\n" in capsys.readouterr().err
    assert server.asked == []


def test_a_signal_while_it_is_sent_keeps_it(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As whatever else nobody takes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Endpoint, "post", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
    assert main(["referee", config, *TIME, "--receiver=http://127.0.0.1:9", f"--run-uid={UID}"]) == 1
    assert "it was stopped before the evidence was where it belongs\n" in capsys.readouterr().err
    assert len(list(tmp_path.glob("jobmeter-evidence-*.json"))) == 1


def test_all_questions_together_have_so_much_time(
    config: str, server: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    """The document says what did not come by then."""
    server.wrong["b"] = too_late
    document, said = printed(capsys, config, *TIME, "--budget=300ms")
    assert [query.state for query in document.queries] == ["data", "failed"]
    assert document.problems == ("1 of 2 queries were not answered within the 0.3 s that they were given.",)
    assert document.problems[0] in said


def test_the_last_scrape_is_told_of_or_waited_for(
    config: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What happened since the one before is not known yet."""
    document, said = printed(capsys, config, "--since=30s")
    assert document.tail_open
    assert "may be up to 20 s away: with --wait it is waited for\n" in said

    now: list[float] = [START + 22.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.append(now.pop() + seconds))
    document, said = printed(capsys, config, *TIME, "--wait")
    assert not document.tail_open
    assert "jobmeter: waiting 19.0 s for the last scrape of the job's time\n" in said


@pytest.mark.parametrize(
    "argv, code, sentence",
    [
        (['--selector=a="{workflow}"'], 2, "{workflow} of the selector is not known of this job"),
        (["--out=/no/such/directory/x"], 2, "--out: the directory /no/such/directory does not exist"),
        (["--config=/no/such/file"], 2, "/no/such/file cannot be read"),
    ],
)
def test_what_cannot_be_begun_is_one_sentence(
    config: str, argv: list[str], code: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And Prometheus is not asked."""
    assert main(["referee", config, *TIME, *argv]) == code
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


def test_a_library_that_is_missing(config: str, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence says what brings it."""
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    for name in ("referee", "prometheus"):
        monkeypatch.delitem(sys.modules, f"jobmeter.referee.{name}", raising=False)
    assert main(["referee", config, *TIME]) == 1
    assert capsys.readouterr().err.startswith(
        "jobmeter referee: aiohttp is not installed, it comes with jobmeter's extra referee: "
    )
