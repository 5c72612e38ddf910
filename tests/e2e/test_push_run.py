"""`jobmeter run` sends what it meters: while the command runs, whatever the receiver does, never at the job's cost."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support.collectors import read_records, wait_until
from tests.e2e.support.runs import Done, Jobmeter
from tests.receiver.api.running import PUSH, RunningReceiver, running_receiver
from tests.support.receivers import (
    CUT,
    HANG,
    LOST,
    RESET,
    FlakyReceiver,
    certificate,
    closed_port,
    serving,
)

TOKEN = "secret-token-of-the-test"
FINE = {"JOBMETER_PUSH_TOKEN": TOKEN}


@pytest.fixture
def receiver() -> Iterator[FlakyReceiver]:
    with serving(FlakyReceiver(TOKEN)) as running:
        yield running


def sequences(journal: Path) -> list[int]:
    return [record["sequence"] for record in read_records(journal)]


def only_run(receiver: FlakyReceiver) -> tuple[str, list[dict[str, Any]]]:
    """The one run that a receiver has."""
    ((run_uid, found),) = receiver.runs.items()
    return run_uid, found


def send(jobmeter: Jobmeter, text: str) -> str:
    """Do what is said about the journal; returns what was said then."""
    command = text.partition("The journal has it; this sends it:\n  jobmeter ")[2].splitlines()[0]
    done = subprocess.run(
        [*jobmeter.argv()[:3], *shlex.split(command)],
        env=jobmeter.environment(FINE), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return done.stderr


def test_stream_and_summary_are_one_run(jobmeter: Jobmeter, receiver: FlakyReceiver) -> None:
    """Every record of the journal, byte for byte what it says, and the summary that was written."""
    done = jobmeter.run(
        "--interval=50ms", f"--receiver={receiver.url}/base", f"--push-endpoint={receiver.url}/api/v1/metrics",
        "sh", "-c", "sleep 0.3; exit 5", env=FINE | {"GITHUB_RUN_ID": "77"},
    )  # fmt: skip
    run_uid, found = only_run(receiver)
    assert (done.exit_code, done.result.run_uid) == (5, run_uid)
    assert found == read_records(jobmeter.journal)
    assert [one["kind"] for one in (found[0], found[-1])] == ["start", "end"]
    (pushed,) = receiver.pushed
    assert pushed["run_summary"]["run_uid"] == run_uid
    assert pushed["run_summary"]["duration_seconds"] == done.result.duration_seconds
    assert pushed["execution"]["run_id"] == "77"
    assert "not sent" not in done.stderr
    assert done.stderr.splitlines()[-1] == f"jobmeter: the run is at {receiver.url}/base/runs/{run_uid}"


def test_success_is_silent_where_silence_is_asked_for(jobmeter: Jobmeter, receiver: FlakyReceiver) -> None:
    """Nothing is printed with --quiet."""
    done = jobmeter.run("--quiet", f"--receiver={receiver.url}", "true", env=FINE)
    assert (done.stderr, len(receiver.runs)) == ("", 1)


def test_records_arrive_while_the_command_runs(jobmeter: Jobmeter, receiver: FlakyReceiver) -> None:
    """The start of a run is known at once."""
    with jobmeter.start(f"--receiver={receiver.url}", "sleep", "600", env=FINE) as process:
        wait_until(lambda: receiver.runs, "the first part")
        assert process.poll() is None
        process.terminate()
        jobmeter.finish(process)
    assert only_run(receiver)[1][-1]["kind"] == "end"


@pytest.mark.parametrize("faults", [[RESET, CUT, LOST], [(429, {"Retry-After": "1"}), 503, LOST]])
def test_faults_lose_nothing_and_repeat_nothing(
    jobmeter: Jobmeter, receiver: FlakyReceiver, faults: list[Any]
) -> None:
    """What failed is sent again within the grace period."""
    receiver.faults.extend(faults)
    done = jobmeter.run(
        "--grace=60s", "--interval=50ms", f"--receiver={receiver.url}", "sleep", "0.5", env=FINE
    )
    assert (done.exit_code, receiver.faults) == (0, type(receiver.faults)())
    run_uid, _ = only_run(receiver)
    assert receiver.sequences(run_uid) == sequences(jobmeter.journal)


def test_summary_is_pushed_again_to_a_receiver_that_answers(
    jobmeter: Jobmeter, receiver: FlakyReceiver
) -> None:
    """It is too busy, breaks, and then takes it: once."""
    receiver.faults.extend([503, RESET, 429])
    jobmeter.run("--grace=60s", f"--push-endpoint={receiver.url}/api/v1/metrics", "true", env=FINE)
    assert (len(receiver.asked), len(receiver.pushed)) == (4, 1)


@pytest.mark.parametrize("code", [0, 9])
def test_receiver_that_is_away_for_longer_than_the_job(
    jobmeter: Jobmeter, receiver: FlakyReceiver, code: int
) -> None:
    """Nobody waits for it; the exit code is the command's, and what is said leads to the run and sends it."""
    away = f"http://127.0.0.1:{closed_port()}"
    done = jobmeter.run(
        "--grace=1h", "--quiet", f"--receiver={away}", f"--push-endpoint={away}/api/v1/metrics",
        "sh", "-c", f"exit {code}", env=FINE,
    )  # fmt: skip
    assert done.exit_code == code
    streamed, divider, pushed = done.stderr.partition("jobmeter: the summary was not pushed.\n")
    assert "records of the run were not sent.\n" in streamed
    assert "Connection refused" in streamed
    assert str(jobmeter.journal) in streamed
    assert divider
    assert TOKEN not in done.stderr
    assert "records sent" in send(jobmeter, streamed.replace(away, receiver.url))
    assert "summary pushed" in send(jobmeter, pushed.replace(away, receiver.url))
    assert receiver.sequences(done.result.run_uid) == sequences(jobmeter.journal)
    assert "0 records sent" in send(jobmeter, streamed.replace(away, receiver.url))
    assert len(receiver.pushed) == 1


def test_receiver_that_hangs_delays_neither_ticks_nor_the_end(
    jobmeter: Jobmeter, receiver: FlakyReceiver
) -> None:
    """While the first part is on its way for ever the meter goes on, and the end is the grace period's."""
    receiver.always = HANG
    done = jobmeter.run(
        "--interval=50ms", "--grace=500ms", "--quiet", f"--receiver={receiver.url}",
        f"--push-endpoint={receiver.url}/api/v1/metrics", "sleep", "1", env=FINE,
    )  # fmt: skip
    assert not receiver.release.is_set()
    assert done.exit_code == 0
    assert done.result.sample_count > 10
    assert "not sent" in done.stderr
    assert "not pushed" in done.stderr


def test_token_is_nowhere(jobmeter: Jobmeter, receiver: FlakyReceiver, tmp_path: Path) -> None:
    """Not in the command's environment, nor in journal, summary, report, or what is said of a refusal."""
    place = tmp_path / "token"
    place.write_text(TOKEN)
    receiver.token = "another"
    for words, env in (([], FINE), ([f"--push-token-file={place}"], {}), ([f"--push-token={TOKEN}"], {})):
        done = jobmeter.run(*words, f"--receiver={receiver.url}", "env", env=env)
        assert "401" in done.stderr
        for text in (done.stdout, done.stderr, jobmeter.journal.read_text(), repr(done.result)):
            assert TOKEN not in text
        assert "JOBMETER_PUSH" not in done.stdout
        assert "JOBMETER_RECEIVER" not in done.stdout
    assert TOKEN in receiver.asked[-1].headers["Authorization"]


def test_full_disk_leaves_the_stream_whole(jobmeter: Jobmeter, receiver: FlakyReceiver) -> None:
    """What the journal could not take is sent from memory."""
    limited = ["sh", "-c", 'ulimit -f 8; exec "$@"', "sh"]
    done = jobmeter.run(
        "--interval=50ms", f"--receiver={receiver.url}", "sleep", "1.5", env=FINE, prefix=limited
    )
    run_uid, found = only_run(receiver)
    assert receiver.sequences(run_uid) == list(range(len(found)))
    assert found[-1]["kind"] == "end"
    assert any("cannot be written" in one.get("text", "") for one in found)
    assert len(read_records(jobmeter.journal)) < len(found)
    assert done.exit_code == 0


def test_command_that_cannot_be_started_is_a_run_too(jobmeter: Jobmeter, receiver: FlakyReceiver) -> None:
    """Its end says why; the exit code is as ever."""
    done = jobmeter.run(f"--receiver={receiver.url}", "/nonesuch", env=FINE)
    assert done.exit_code == 127
    assert only_run(receiver)[1][-1]["exit"]["code"] == 127


def test_process_that_runs_already(jobmeter: Jobmeter, receiver: FlakyReceiver) -> None:
    """--pid sends as well."""
    jobmeter.run(f"--receiver={receiver.url}", f"--pid={os.getpid()}", "--duration=300ms", env=FINE)
    assert only_run(receiver)[1] == read_records(jobmeter.journal)


def test_tls_with_an_authority_of_one_s_own(jobmeter: Jobmeter, tmp_path: Path) -> None:
    """SSL_CERT_FILE names it; without it the run is not sent and the reason said."""
    place, key = certificate(tmp_path)
    receiver = FlakyReceiver(TOKEN)
    receiver.secure(place, key)
    with serving(receiver):
        done = jobmeter.run("--quiet", f"--receiver={receiver.url}", "true", env=FINE)
        assert "the certificate of https://localhost" in done.stderr
        assert receiver.runs == {}
        jobmeter.run(f"--receiver={receiver.url}", "true", env=FINE | {"SSL_CERT_FILE": str(place)})
        assert only_run(receiver)[1][-1]["kind"] == "end"


@pytest.fixture
def real(tmp_path: Path) -> Iterator[RunningReceiver]:
    place = tmp_path / "receiver"
    place.mkdir()
    with running_receiver(place) as running:
        yield running


def test_real_receiver_has_one_run_whose_summary_is_the_run_s(
    jobmeter: Jobmeter, real: RunningReceiver
) -> None:
    """Streamed, pushed, and then replayed twice: one run, counted once."""
    addresses = [f"--receiver={real.url}", f"--push-endpoint={real.url}/api/v1/metrics"]
    done: Done = jobmeter.run(
        *addresses, "--interval=50ms", "sh", "-c", "sleep 0.5",
        env={"JOBMETER_PUSH_TOKEN": PUSH, "GITHUB_REPOSITORY": "org/name", "GITHUB_JOB": "build"},
    )  # fmt: skip
    assert "not sent" not in done.stderr
    assert "not pushed" not in done.stderr
    (listed,) = real.get("/api/v1/runs").json()["runs"]
    assert (listed["run_uid"], listed["state"]) == (done.result.run_uid, "finished")
    stored = real.get(f"/api/v1/runs/{done.result.run_uid}").json()["summary"]
    assert stored == json.loads((jobmeter.directory / "summary.json").read_text())
    again = (
        f"The journal has it; this sends it:\n  jobmeter report {jobmeter.journal} {' '.join(addresses)} "
        f"--push-token={PUSH}"
    )
    assert "0 records sent" in send(jobmeter, again)
    assert len(real.get("/api/v1/runs").json()["runs"]) == 1
