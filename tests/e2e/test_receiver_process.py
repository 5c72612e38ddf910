"""`jobmeter receiver` as a process: how it starts, what it says, how it stops, what it answers to the rude."""

from __future__ import annotations

import gzip
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from urllib.parse import urlsplit

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from jobmeter.spool import delivery, stream
from jobmeter.spool.feed import Feed
from jobmeter.transport import Endpoint
from tests.conftest import TESTS
from tests.e2e.support.collectors import wait_until
from tests.receiver.api.running import PUSH, READ, RunningReceiver, running_receiver
from tests.receiver.store.support import found, ndjson, stored, summary
from tests.support.runs import UID, fold, records

SEED_PATH = "/api/v1/metrics/repo/org/org%2Fname/w/j"
NAMES = {"organization": "org", "repository": "org/name", "workflow": "w", "job": "j"}
ENVIRON = os.environ | {"PYTHONPATH": str(TESTS.parent / "src")}


@pytest.fixture(scope="module")
def receiver(tmp_path_factory):
    """One for the tests that do it no harm."""
    with running_receiver(tmp_path_factory.mktemp("receiver")) as running:
        yield running


def jobmeter(*words: str, cwd=None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jobmeter", *words],
        env=ENVIRON, cwd=cwd, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def post(receiver: RunningReceiver, path: str, body: bytes, **headers: str) -> requests.Response:
    return requests.post(
        receiver.url + path, body, headers={"Authorization": f"Bearer {PUSH}", **headers}, timeout=30
    )


def test_the_seeds_session(receiver):
    """Push, ask by both forms of the repository, newest first; the summary comes back as it was sent."""
    first = receiver.push({"start_time": "2026-02-10T10:00:00Z", "unknown": 1.50}, run_id="run-1", **NAMES)
    second = receiver.push({"n": 2}, run_id="run-2", **NAMES)
    rows = receiver.get(SEED_PATH).json()
    assert [row.pop("received_at")[-1] for row in rows] == ["Z", "Z"]
    assert rows == [
        {"id": second, **NAMES, "run_id": "run-2", "payload": {"n": 2}},
        {"id": first, **NAMES, "run_id": "run-1", "payload": {"start_time": "2026-02-10T10:00:00Z", "unknown": 1.50}},
    ]  # fmt: skip
    assert len(receiver.get("/api/v1/metrics/repo/org/name/w/j").json()) == 2
    assert [row["id"] for row in receiver.get(SEED_PATH + "?limit=1").json()] == [second]
    assert receiver.get("/api/v1/metrics/repo/org/name/w/other").json() == []


@pytest.mark.parametrize("limit", [None, 99, 100, 101, 200, 250])
def test_many_rows_are_streamed_in_order(receiver, limit):
    """Whatever their number, all of them once."""
    names = NAMES | {"job": "many"}
    if not receiver.get("/api/v1/metrics/repo/org/name/w/many").json():
        for number in range(230):
            receiver.push({"n": number}, **names)
    asked = "" if limit is None else f"?limit={limit}"
    rows = receiver.get("/api/v1/metrics/repo/org/name/w/many" + asked).json()
    assert [row["payload"]["n"] for row in rows] == list(range(229, -1, -1))[: limit or 230]


def test_a_stream_becomes_the_summary_that_its_sender_would_make(receiver):
    """The same fold on both sides."""
    whole = list(records())
    for number in range(0, len(whole), 2):
        body = gzip.compress(ndjson(whole[number : number + 2]))
        answer = post(receiver, f"/api/v1/runs/{UID}/parts", body, **{"Content-Encoding": "gzip"})
        assert answer.json() == {
            "run_uid": UID, "next_sequence": min(number + 2, len(whole)), "ended": number + 2 >= len(whole),
        }  # fmt: skip
    shown = receiver.get(f"/api/v1/runs/{UID}").json()["summary"]
    assert shown["containers"][0]["cpu_seconds"] == fold(*whole).summary().containers[0].cpu_seconds == 1.0


@pytest.mark.parametrize(
    "body, status, sentence",
    [
        (ndjson(list(records()))[:-1], 400, "no newline"),
        (b"nonsense\n", 400, "Line 1"),
        (b"\xff\n", 400, "Line 1"),
        (b"\n", 400, "Line 1"),
        (ndjson(list(records("other"))), 400, "run_uid is not the path's"),
        (ndjson([*records("r")][1:2] * 2), 400, "sequence is 1; accepted is 2"),
        (ndjson([*records("r")][1:3]), 409, "?gap=true"),
        (b'{"v":9,"kind":"start","run_uid":"r","sequence":0}\n', 400, "version 9"),
        (
            b'{"v":1,"kind":"mark","run_uid":"r","sequence":0,"name":"x","elapsed_seconds":0}\n',
            400,
            "is its start",
        ),
        (
            b'{"v":1,"kind":"mark","run_uid":"r","sequence":-1,"name":"x","elapsed_seconds":0}\n',
            400,
            "sequence",
        ),
        (
            b'{"v":1,"kind":"mark","run_uid":"r","sequence":99999999999999999999,"name":"x","elapsed_seconds":0}\n',
            400,
            "sequence",
        ),
    ],
)
def test_a_part_that_is_not_accepted_is_one_sentence(receiver, body, status, sentence):
    """It names line and field; nothing of it is stored."""
    answer = post(receiver, "/api/v1/runs/r/parts", body)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert sentence in answer.json()["detail"]
    assert post(receiver, "/api/v1/runs/r/parts", b"").json()["next_sequence"] == 0


def test_a_run_whose_beginning_is_gone_is_taken(receiver):
    """With ?gap=true; it can be finished although there is nothing to tell of it."""
    rest = ndjson([*records("gone")][2:])
    assert post(receiver, "/api/v1/runs/gone/parts", rest).json()["next_sequence"] == 0
    assert post(receiver, "/api/v1/runs/gone/parts?gap=true", rest).json()["ended"] is True
    assert receiver.get("/api/v1/runs/gone").json()["state"] == "finished"


@pytest.mark.parametrize(
    "head, status",
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", b"400"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 200_000, b""),
        (b"POST /api/v1/metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + PUSH.encode()
         + b"\r\nContent-Length: 999999999\r\n\r\n", b"413"),
        (b"POST /api/v1/metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", b"401"),
    ],
)  # fmt: skip
def test_rude_requests_are_refused_at_once(receiver, head, status):
    """By a status, or by the end of the connection."""
    address = urlsplit(receiver.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as client:
        try:
            client.sendall(head)
            answer = client.recv(4096)
        except ConnectionError:
            answer = b""
    assert answer.split(b" ")[1:2] == ([status] if status else [])


def test_what_it_counts_can_be_scraped(receiver):
    """With names of ours, and with what is known of any process."""
    receiver.push({}, job="counted")
    text = requests.get(receiver.url + "/metrics", timeout=30).text
    values = {
        one.name: one.value for family in text_string_to_metric_families(text) for one in family.samples
    }
    assert values["jobmeter_receiver_summaries_stored_total"] >= 1
    assert values["jobmeter_receiver_commit_seconds_count"] >= 1
    assert values["process_resident_memory_bytes"] > 0
    assert receiver.get("/healthz", token=None).text == receiver.get("/readyz", token=None).text == "ok\n"


def test_a_silent_run_is_lost_and_a_late_part_opens_it_again(tmp_path):
    """In the background, by the receiver's own clock."""
    whole = list(records())
    with running_receiver(tmp_path, "--lost-after=300ms") as receiver:
        receiver.stream(whole[:3])
        deadline = time.monotonic() + 30
        while (state := receiver.get(f"/api/v1/runs/{UID}").json()["state"]) == "running":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert state == "lost"
        receiver.stream(whole[3:])
        shown = receiver.get(f"/api/v1/runs/{UID}").json()
    assert (shown["state"], shown["summary"]["exit"]["reason"]) == ("finished", "success")


def test_a_run_that_has_nothing_to_say_is_not_lost(tmp_path, monkeypatch):
    """Its sender is heard, whatever the interval between two samples; without a sender it is."""
    monkeypatch.setattr(stream, "_SIGN_OF_LIFE_SECONDS", 0.2)
    monkeypatch.setattr(delivery, "PART_INTERVAL_SECONDS", 0.05)
    feed = Feed(UID)
    feed.put(next(records()))
    with (
        running_receiver(tmp_path, "--lost-after=1s") as receiver,
        closing(Endpoint(receiver.url, PUSH)) as endpoint,
    ):
        state = lambda: receiver.get(f"/api/v1/runs/{UID}").json()["state"]  # noqa: E731
        sending = delivery.Delivery(stream.Stream(endpoint, UID, feed))
        sending.start()
        wait_until(lambda: receiver.get("/api/v1/runs").json()["runs"], "the start")
        states = set()
        until = time.monotonic() + 3
        while time.monotonic() < until:
            states.add(state())
            time.sleep(0.02)
        sending.end(time.monotonic() + 10)
        wait_until(lambda: state() == "lost", "the loss")
    assert states == {"running"}


def test_a_run_is_not_lost_because_the_receiver_was_away(tmp_path):
    """Its sender could not be heard then, so that its silence counts from the start of the receiver."""
    lost_after = 3.0
    with running_receiver(tmp_path, f"--lost-after={lost_after}s") as receiver:
        receiver.stream(list(records())[:3])
    time.sleep(lost_after)
    with running_receiver(tmp_path, f"--lost-after={lost_after}s") as receiver:
        time.sleep(lost_after / 2)  # The first look comes after a quarter.
        assert receiver.get(f"/api/v1/runs/{UID}").json()["state"] == "running"


def test_one_receiver_finishes_what_another_began(tmp_path):
    """Two of them on one database at the same time."""
    whole = list(records())
    with running_receiver(tmp_path) as first:
        (tmp_path / "other").mkdir()
        with running_receiver(tmp_path / "other", f"--db={tmp_path}/metrics.db") as second:
            first.stream(whole[:2])
            second.stream(whole[2:4])
            first.stream(whole[4:])
            assert second.get(f"/api/v1/runs/{UID}").json()["state"] == "finished"


def test_it_may_open_as_many_files_as_the_system_lets_it(tmp_path):
    """A connection is one; shells give 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        with running_receiver(tmp_path) as receiver:
            assert resource.prlimit(receiver.process.pid, resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_it_stops_in_order_however_often_it_is_told(tmp_path):
    """It says so in one line, and there is no WAL left."""
    with running_receiver(tmp_path) as receiver:
        receiver.push({}, job="j")
        for _ in range(3):
            receiver.process.send_signal(signal.SIGTERM)
        receiver.process.wait(30)
    messages = [json.loads(line)["msg"] for line in receiver.log.read_text().splitlines()]
    assert messages == ["receiver started", "receiver stopped"]
    assert not (tmp_path / "metrics.db-wal").exists()


def test_no_token_is_in_its_log(tmp_path):
    """Nor in what it answers to a wrong one."""
    with running_receiver(tmp_path) as receiver:
        answer = receiver.get("/api/v1/runs", token="wrong-one")
        receiver.get("/api/v1/runs")
    assert answer.status_code == 401
    for token in (READ, PUSH, "wrong-one"):
        assert token not in receiver.log.read_text() + answer.text


@pytest.mark.parametrize(
    "words, code, sentence",
    [
        (["--listen=nonesuch.invalid"], 1, "nonesuch.invalid:8080 cannot be listened on: the host"),
        (["--addr=8080"], 2, "--addr: '8080' is not accepted: a port alone is written with a colon"),
        (["--listen=::1"], 2, "an address is HOST:PORT or :PORT, and HOST alone means port 8080"),
        (["--listen=127.0.0.1:1", "--addr=:2"], 2, "are the same"),
        (["--listen=192.0.2.1:0"], 1, "cannot be listened on"),
        (["--listen=127.0.0.1:0", "--db=/nonesuch/db"], 1, "the directory /nonesuch does not exist"),
        (["--listen=127.0.0.1:0", "--db="], 1, "the name of the database is empty; --db names its file"),
        (["--listen=127.0.0.1:0", "--read-token-file=/nonesuch"], 2, "No such file"),
        (["word"], 2, "takes only flags"),
    ],
)
def test_what_keeps_it_from_starting_is_one_sentence(tmp_path, words, code, sentence):
    """Without a traceback."""
    done = jobmeter("receiver", *words, cwd=tmp_path)
    assert done.returncode == code
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_listening_for_everyone_without_tokens_is_said_loudly(tmp_path):
    """As in seed 000 it is allowed."""
    with running_receiver(tmp_path, "--listen=127.0.0.1:0") as quiet:
        pass
    assert "ANYONE" not in quiet.log.read_text()
    command = [sys.executable, "-m", "jobmeter", "receiver", "--addr=:0", "--db=m.db", "--log-format=text"]
    process = subprocess.Popen(command, env=ENVIRON, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines = [process.stderr.readline() for _ in range(2)]
    process.terminate()
    process.communicate(timeout=30)
    assert "receiver started" in lines[0]
    assert "WARN ANYONE who reaches this address may ask and store" in lines[1]


def test_a_backup_is_made_while_it_runs(receiver, tmp_path):
    """`jobmeter admin backup`, of a database that is in use."""
    stored(tmp_path / "metrics.db", summary("before"))
    with running_receiver(tmp_path) as running:
        running.push({"run_uid": "after"}, job="j")
        done = jobmeter("admin", "backup", "copy.db", "--db=metrics.db", cwd=tmp_path)
        running.push({"run_uid": "later"}, job="j")
    assert (done.returncode, done.stderr) == (0, "")
    after, later = (found(tmp_path / name, "after").id for name in ("copy.db", "metrics.db"))
    assert after == later
    with pytest.raises(AssertionError):
        found(tmp_path / "copy.db", "later")
