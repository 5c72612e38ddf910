"""What a receiver has acknowledged is there, whatever happens to it, to its disk or to its clients."""

from __future__ import annotations

import gzip
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from bisect import bisect
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.e2e.support.collectors import JOURNAL, start_on_host
from tests.e2e.support.components import jobmeter_environment, require_root, unavailable
from tests.e2e.support.senders import HEADERS, Client, PushingOn, Streaming, summary_body
from tests.receiver.api.running import PUSH, READ, RunningReceiver, running_receiver
from tests.receiver.store.support import ndjson
from tests.support.receivers import closed_port
from tests.support.runs import UID, records

KILLS = 200
KILLED = "killed"
SEED = 20261121
COLLECTOR = {"JOBMETER_PUSH_TOKEN": PUSH, "GITHUB_RUN_ID": "1"}


class Pushing(threading.Thread):
    """Pushes one run after the other and keeps those that were acknowledged."""

    def __init__(self, url: str, name: str) -> None:
        super().__init__(daemon=True)
        self.acknowledged: dict[str, int] = {}
        self.statuses: set[int] = set()
        self._url, self._prefix = url, name
        self._stopped = threading.Event()

    def run(self) -> None:
        session = requests.Session()
        number = 0
        while not self._stopped.is_set():
            number += 1
            uid = f"{self._prefix}-{number}"
            try:
                answer = session.post(
                    f"{self._url}/api/v1/metrics", summary_body(uid), headers=HEADERS, timeout=30
                )
            except requests.RequestException:
                return
            self.statuses.add(answer.status_code)
            if answer.status_code == 201:
                self.acknowledged[uid] = answer.json()["id"]

    def stop(self) -> None:
        self._stopped.set()
        self.join(60)


def rows(directory: Path) -> list[tuple[str, int]]:
    connection = sqlite3.connect(directory / "metrics.db")
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return connection.execute("SELECT run_uid, id FROM runs").fetchall()
    finally:
        connection.close()


def post_part(receiver: RunningReceiver, body: bytes, **options: object) -> requests.Response:
    url = f"{receiver.url}/api/v1/runs/{UID}/parts"
    return requests.post(url, body, headers=HEADERS, timeout=30, **options)  # type: ignore[arg-type]


def kill(receiver: RunningReceiver) -> None:
    receiver.process.send_signal(signal.SIGKILL)
    receiver.process.wait(30)


def test_what_was_acknowledged_survives_200_kills(tmp_path):
    """Of the receiver, while summaries and streams come, and collectors are killed beside it: each is there, once."""
    port = closed_port()
    url = f"http://127.0.0.1:{port}"
    clients = [
        PushingOn([url], "push-0"),
        PushingOn([url], "push-1"),
        Streaming([url], "stream-0", tmp_path),
        Streaming([url], "stream-1", tmp_path),
    ]
    journal = kill_receivers_beside(clients, port, tmp_path)
    with running_receiver(tmp_path, f"--listen=127.0.0.1:{port}") as receiver:
        summary = start_on_host(tmp_path, *collector_flags(url), env=COLLECTOR).stop()
        for client in clients:
            client.stop()
        kept = dict(rows(tmp_path))
        for client in clients:
            client.check(receiver, kept)
        text = receiver.get(f"/api/v1/runs/{summary['run_uid']}/records").content
        assert text == journal.read_bytes()
    stored = [run_uid for run_uid, _ in rows(tmp_path)]
    known = {summary["run_uid"]}.union(*(client.acknowledged for client in clients))
    assert (len(stored), set(stored)) == (len(known), known)
    assert len(known) > KILLS
    assert died_with_work(clients, tmp_path) > KILLS / 5
    log = (tmp_path / "killed.log").read_text()
    assert "Traceback" not in log
    assert "trace" not in log
    assert "Traceback" not in (tmp_path / "messages").read_text()


def died_with_work(clients: list[Client], directory: Path) -> int:
    """How many of the killed receivers had acknowledged something."""
    kills = [float(line) for line in (directory / KILLED).read_text().splitlines()]
    assert len(kills) == KILLS
    lives = {bisect(kills, moment) for client in clients for moment in client.moments}
    return len(lives - {KILLS})  # Beyond the last kill is the one that lives on.


def collector_flags(url: str) -> tuple[str, ...]:
    return ("--interval=50ms", "--grace=60s", f"--receiver={url}")


def kill_receivers_beside(clients: list[Client], port: int, directory: Path) -> Path:
    """Kill receivers under load, and every few seconds the collector that sends to them; the collector's journal."""
    chance = random.Random(SEED)
    flags = (f"--listen=127.0.0.1:{port}", "--db=metrics.db", "--log-format=json")
    environ = jobmeter_environment(RECEIVER_READ_TOKEN=READ, RECEIVER_PUSH_TOKEN=PUSH)
    with (directory / "killed.log").open("wb") as log, (directory / KILLED).open("wb") as killed:
        killing = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.support.receiver_killer", str(KILLS), str(SEED), *flags],
            env=environ, cwd=directory, stdout=killed, stderr=log,
        )  # fmt: skip
    for client in clients:
        client.start()
    journal = directory / JOURNAL
    while killing.poll() is None:
        collector = start_on_host(directory, *collector_flags(f"http://127.0.0.1:{port}"), env=COLLECTOR)
        time.sleep(chance.uniform(0, 4))
        collector.running.kill()
        journal = collector.journal
    assert killing.returncode == 0
    return journal


def test_a_stream_goes_on_after_a_kill(tmp_path):
    """Every record once, whatever was sent again; and the run ends as if nothing had been."""
    whole = list(records(ticks=60))
    chance = random.Random(5)
    sent = 0
    while sent < len(whole):
        with running_receiver(tmp_path, ends_with=-signal.SIGKILL) as receiver:
            state = post_part(receiver, b"").json()
            assert state["next_sequence"] == sent
            for _ in range(chance.randrange(1, 6)):
                again, until = max(0, sent - chance.randrange(3)), sent + chance.randrange(1, 8)
                answer = post_part(receiver, ndjson(whole[again:until])).json()
                assert answer["next_sequence"] == min(until, len(whole)), answer
                sent = answer["next_sequence"]
            kill(receiver)
    with running_receiver(tmp_path) as receiver:
        assert receiver.get(f"/api/v1/runs/{UID}/records").content == ndjson(whole)
        run = receiver.get(f"/api/v1/runs/{UID}").json()
    assert (run["state"], run["summary"]["sample_count"]) == ("finished", 60)


def test_the_same_run_in_every_way_is_one_run(tmp_path):
    """Streamed twice, pushed twice, and again after a restart."""
    whole = list(records())
    summary = {"run_uid": UID, "mine": 1}
    ids = set()
    for _ in range(2):
        with running_receiver(tmp_path) as receiver:
            for _ in range(2):
                receiver.stream(whole)
                ids.add(receiver.push(summary, job="j"))
            assert receiver.get(f"/api/v1/runs/{UID}/records").content == ndjson(whole)
    assert ids == {1}
    assert rows(tmp_path) == [(UID, 1)]


@pytest.mark.parametrize("fault", ["cut", "reset", "too slow to wait for"])
def test_a_connection_that_is_cut_in_a_body_stores_nothing(tmp_path, fault):
    """Half a part is no part; the next request is served."""
    body = gzip.compress(ndjson(list(records())))
    with running_receiver(tmp_path) as receiver:
        address = urlsplit(receiver.url)
        client = socket.create_connection((address.hostname, address.port))
        head = (
            f"POST /api/v1/runs/{UID}/parts HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n"
            f"Authorization: Bearer {PUSH}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        client.sendall(head.encode() + body[: len(body) // 2])
        if fault == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        if fault != "too slow to wait for":
            client.close()
        assert post_part(receiver, b"").json()["next_sequence"] == 0
        assert post_part(receiver, ndjson(list(records()))).json()["ended"] is True
        client.close()
    assert "error" not in receiver.log.read_text()


def test_a_full_disk_is_said_and_loses_nothing(tmp_path):
    """507 until there is room again, then it goes on by itself; what was acknowledged is there."""
    require_root("a file system of the test's own")
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    if subprocess.run(mount, check=False).returncode:
        unavailable("no tmpfs can be mounted here")
    try:
        with running_receiver(place, "--log-format=json") as receiver:
            pushing = Pushing(receiver.url, "full")
            pushing.start()
            deadline = time.monotonic() + 60
            while 507 not in pushing.statuses and time.monotonic() < deadline:
                time.sleep(0.05)
            pushing.stop()
            subprocess.run(["mount", "-o", "remount,size=30m", str(place)], check=True)
            answer = requests.post(
                f"{receiver.url}/api/v1/metrics",
                b'{"run_summary": {"run_uid": "after"}}',
                headers=HEADERS,
                timeout=30,
            )
        stored = dict(rows(place))
        log = receiver.log.read_text()
    finally:
        subprocess.run(["umount", str(place)], check=True)
    assert pushing.statuses == {201, 507}
    assert answer.status_code == 201
    assert pushing.acknowledged.items() <= stored.items()
    assert "no space is left" in log
    assert "Traceback" not in log


def test_a_lock_of_another_process_is_told_to_all_in_time(tmp_path):
    """Senders give up after 10 s; when it is gone, everything is stored."""
    bodies = [summary_body(f"locked-{number}") for number in range(5)]
    with running_receiver(tmp_path, "--log-format=json") as receiver, ThreadPoolExecutor(5) as pool:

        def push(body: bytes) -> int:
            url = f"{receiver.url}/api/v1/metrics"
            return requests.post(url, body, headers=HEADERS, timeout=10).status_code

        with closing(sqlite3.connect(tmp_path / "metrics.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert set(pool.map(push, bodies)) == {503}
        assert set(pool.map(push, bodies)) == {201}
    assert len(rows(tmp_path)) == 5
