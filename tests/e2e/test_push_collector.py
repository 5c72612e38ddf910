"""`jobmeter collector` streams: over kills and restarts, a receiver that fails, and a job that is over first."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support.collectors import read_records, start_on_host, wait_until
from tests.e2e.support.components import JOBMETER, jobmeter_environment
from tests.receiver.api.running import PUSH, running_receiver
from tests.support.receivers import CUT, HANG, LOST, ODD, RESET, Fault, FlakyReceiver, closed_port, serving

KILLS = 200
SEED = 20261121
FAULTS: tuple[Fault, ...] = (RESET, CUT, LOST, LOST, ODD, 500, (503, {"Retry-After": "0"}), 429)
TOKEN = "secret-token-of-the-test"
FINE = {"JOBMETER_PUSH_TOKEN": TOKEN}


class UnreliableReceiver(FlakyReceiver):
    """Every third request fails, in one of all ways, at random."""

    def __init__(self) -> None:
        super().__init__()
        self._chance = random.Random(SEED)

    @property
    def always(self) -> Fault | None:
        """What becomes of the next request."""
        return self._chance.choice(FAULTS) if self._chance.random() < 1 / 3 else None

    @always.setter
    def always(self, fault: Fault | None) -> None:
        assert fault is None


@pytest.fixture
def receiver() -> Iterator[FlakyReceiver]:
    with serving(FlakyReceiver(TOKEN)) as running:
        yield running


def replay(journal: Path, url: str, *flags: str, **env: str) -> str:
    """`jobmeter report JOURNAL --receiver URL`; what it says."""
    done = subprocess.run(
        [*JOBMETER, "report", str(journal), f"--receiver={url}", *flags],
        env=jobmeter_environment(**env), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_killed_200_times_beside_a_receiver_that_fails(tmp_path: Path) -> None:
    """Every record of the run arrives once, in its order, whatever was under way at each kill."""
    journal = tmp_path / "journal.jsonl"
    with serving(UnreliableReceiver()) as receiver:
        done = subprocess.run(
            [sys.executable, "-m", "tests.e2e.support.killer", journal, str(KILLS), str(SEED), "--interval=50ms",
             "--log-level=error", "--grace=120s", f"--json={tmp_path}/summary", f"--receiver={receiver.url}"],
            env=jobmeter_environment(GITHUB_RUN_ID="1"), capture_output=True, text=True, check=True, timeout=500,
        )  # fmt: skip
        looks = [json.loads(line) for line in done.stdout.splitlines()]
        kept = read_records_leaving_out_what_is_torn(journal)
        (run_uid,) = {record["run_uid"] for record in kept}
        assert looks[-1]["exit_code"] == 0
        assert len(kept) > KILLS
        arrived = receiver.runs[run_uid]
        extra = [record for record in arrived if record not in kept]
        assert [record for record in arrived if record not in extra] == kept
        assert len(extra) <= looks[-1]["torn"]
        assert kept[-1]["kind"] == "end"
        assert len(receiver.asked) > KILLS / 4
        assert "Traceback" not in done.stderr


def read_records_leaving_out_what_is_torn(journal: Path) -> list[dict[str, Any]]:
    """The records of a journal that was torn again and again."""
    found = []
    for line in journal.read_bytes().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def test_restarted_collector_goes_on_with_the_stream(receiver: FlakyReceiver, tmp_path: Path) -> None:
    """What the receiver has not is sent first, what it has is not sent again."""
    receiver.always = 503
    first = start_on_host(tmp_path, "--interval=100ms", f"--receiver={receiver.url}", env=FINE)
    first.wait_for_samples()
    first.running.kill()
    receiver.always = None
    second = start_on_host(tmp_path, "--interval=100ms", f"--receiver={receiver.url}", env=FINE)
    summary = second.stop()
    assert receiver.runs[summary["run_uid"]] == second.records()
    assert second.records("resume")


@pytest.mark.parametrize("kept_lines", [1, 5])
def test_journal_that_lost_its_tail_costs_no_later_record(
    receiver: FlakyReceiver, tmp_path: Path, kept_lines: int
) -> None:
    """What the receiver had of the tail stays, what comes after it is not taken for it, over two such restarts."""
    flags = ("--interval=50ms", f"--receiver={receiver.url}")
    written: list[dict[str, Any]] = []
    for _ in range(2):
        collector = start_on_host(tmp_path, *flags, env=FINE)
        collector.wait_for_samples(5)
        written.extend(collector.records())
        wait_until(lambda: written[-1] in next(iter(receiver.runs.values()), []), "all of it")
        collector.running.kill()
        lines = collector.journal.read_bytes().splitlines(keepends=True)
        collector.journal.write_bytes(b"".join(lines[:kept_lines]))
    summary = start_on_host(tmp_path, *flags, env=FINE).stop()
    arrived = receiver.runs[summary["run_uid"]]
    sequences = [record["sequence"] for record in arrived]
    assert sequences == sorted(set(sequences))
    for record in written + read_records(tmp_path / "journal.jsonl"):
        assert record in arrived
    assert [record["kind"] for record in arrived].count("resume") == 2


def test_receiver_that_comes_back_is_told_everything(receiver: FlakyReceiver, tmp_path: Path) -> None:
    """The log says once that it fails and once that it succeeds again."""
    receiver.always = 503
    collector = start_on_host(tmp_path, "--interval=100ms", f"--receiver={receiver.url}", env=FINE)
    wait_until(lambda: "answered 503" in collector.log(), "the warning")
    receiver.always = None
    wait_until(lambda: "sending again" in collector.log(), "the good news")
    summary = collector.stop()
    assert receiver.runs[summary["run_uid"]] == collector.records()
    assert collector.log().count("answered 503") == 1
    assert collector.log().count(f"page='{receiver.url}/runs/{summary['run_uid']}'") == 1


def test_receiver_that_is_away_for_longer_than_the_job(receiver: FlakyReceiver, tmp_path: Path) -> None:
    """The journal keeps the run, the log says the command that sends it, and it does."""
    away = f"http://127.0.0.1:{closed_port()}"
    collector = start_on_host(tmp_path, "--interval=100ms", "--grace=1s", f"--receiver={away}", env=FINE)
    summary = collector.stop()
    assert f"jobmeter report {collector.journal} --receiver {away}" in collector.log()
    assert "records sent" in replay(collector.journal, receiver.url, **FINE)
    assert receiver.runs[summary["run_uid"]] == collector.records()
    assert TOKEN not in collector.log() + collector.journal.read_text()


def test_receiver_that_hangs_delays_neither_ticks_nor_the_end(
    receiver: FlakyReceiver, tmp_path: Path
) -> None:
    """Samples go on while a part is on its way for ever; the summary is written, and the end is the grace period's."""
    receiver.always = HANG
    endpoints = [f"--receiver={receiver.url}", f"--push-endpoint={receiver.url}/api/v1/metrics"]
    collector = start_on_host(tmp_path, "--interval=50ms", "--grace=1s", *endpoints, env=FINE)
    wait_until(lambda: receiver.asked, "the first part")
    collector.wait_for_samples(20)
    summary = collector.stop()
    assert not receiver.release.is_set()
    assert summary["sample_count"] >= 20
    assert "not sent" in collector.log()
    assert "not pushed" in collector.log()


@pytest.mark.parametrize("status, said", [(401, "answered 401"), (404, "answered 404")])
def test_refusal_is_said_at_once_and_not_repeated(
    receiver: FlakyReceiver, tmp_path: Path, status: int, said: str
) -> None:
    """A wrong token is a mistake that somebody should see while the job runs."""
    receiver.always = status
    collector = start_on_host(tmp_path, "--interval=100ms", f"--receiver={receiver.url}", env=FINE)
    wait_until(lambda: said in collector.log(), "the refusal")
    collector.wait_for_samples()
    collector.stop()
    assert len(receiver.asked) == 1
    assert ("$JOBMETER_PUSH_TOKEN" in collector.log()) == (status == 401)
    assert TOKEN not in collector.log()


def test_variable_that_is_no_address_is_said_and_left_out(tmp_path: Path) -> None:
    """A mistake in a fleet's configuration stops no job."""
    collector = start_on_host(tmp_path, "--interval=100ms", env={"JOBMETER_RECEIVER": "host:8080"})
    collector.stop()
    assert "JOBMETER_RECEIVER: 'host:8080' is no address" in collector.log()


def test_a_thread_more_and_no_descriptors_more_after_a_while(receiver: FlakyReceiver, tmp_path: Path) -> None:
    """One thread samples, one sends."""
    collector = start_on_host(tmp_path, "--interval=50ms", f"--receiver={receiver.url}", env=FINE)
    wait_until(lambda: receiver.runs, "the first part")
    assert len(os.listdir(f"/proc/{collector.pid}/task")) == 2
    collector.stop()


def test_real_receiver_over_restarts_of_both(tmp_path: Path) -> None:
    """Collector and receiver are killed in turns: one run, whole, with the summary that the collector wrote."""
    place = tmp_path / "receiver"
    place.mkdir()
    env = {"JOBMETER_PUSH_TOKEN": PUSH, "GITHUB_RUN_ID": "1"}
    with running_receiver(place) as first:
        port = first.url.rpartition(":")[2]
        collector = start_on_host(tmp_path, "--interval=100ms", f"--receiver={first.url}", env=env)
        wait_until(lambda: first.get("/api/v1/runs").json()["runs"], "the first part")
    collector.wait_for_samples()
    collector.running.kill()
    with running_receiver(place, f"--listen=127.0.0.1:{port}") as second:
        collector = start_on_host(
            tmp_path, "--interval=100ms", "--grace=60s", f"--receiver={second.url}", env=env
        )
        summary = collector.stop()
        (listed,) = second.get("/api/v1/runs").json()["runs"]
        stored = second.get(f"/api/v1/runs/{summary['run_uid']}").json()["summary"]
        text = second.get(f"/api/v1/runs/{summary['run_uid']}/records").text
    assert (listed["run_uid"], listed["state"]) == (summary["run_uid"], "finished")
    assert [json.loads(line) for line in text.splitlines()] == read_records(collector.journal)
    assert stored["sample_count"] == summary["sample_count"]
    assert stored["cpu_seconds"] == summary["cpu_seconds"]
