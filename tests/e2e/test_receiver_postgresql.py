"""Receivers that share a real PostgreSQL: what was acknowledged is there once, whatever is restarted, cut or killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import pytest
import requests

from tests.e2e.support.collectors import wait_until
from tests.e2e.support.senders import HEADERS, Client, PushingOn, Streaming
from tests.receiver.api.running import RunningReceiver, running_receiver
from tests.receiver.store.support import asked
from tests.support.postgresql import PostgresqlServer, programs, running_postgresql
from tests.support.receivers import certificate, closed_port
from tests.support.runs import UID, records

REFUSAL = "The database cannot be used now; the log of the receiver says why."
ENVIRON = os.environ | {"PYTHONPATH": "src"}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresqlServer]:
    """A server that the tests may restart."""
    with running_postgresql() as running:
        yield running


@pytest.fixture
def url(server: PostgresqlServer) -> Iterator[str]:
    """A database of the test's own, in which nothing was made."""
    with server.database() as made:
        yield made


@contextmanager
def receivers(directory: Path, url: str, count: int = 2) -> Iterator[list[RunningReceiver]]:
    """So many on one database."""
    with ExitStack() as stack:
        started = []
        for number in range(count):
            place = directory / f"receiver-{number}"
            place.mkdir()
            started.append(stack.enter_context(running_receiver(place, f"--db={url}")))
        yield started


@contextmanager
def load(urls: list[str], directory: Path) -> Iterator[list[Client]]:
    """Two that push and two that stream, to all receivers in turns; stopped at the end."""
    clients: list[Client] = [PushingOn(urls, f"push-{number}") for number in range(2)]
    clients += [Streaming(urls, f"stream-{number}", directory) for number in range(2)]
    for client in clients:
        client.start()
    try:
        yield clients
    finally:
        for client in clients:
            client.stop()


def acknowledged(clients: list[Client]) -> int:
    return sum(len(client.acknowledged) for client in clients)


def wait_for_more(clients: list[Client], count: int = 30) -> None:
    """Until each has gone on."""
    before = [len(client.moments) for client in clients]
    wait_until(
        lambda: all(len(client.moments) >= had + count for client, had in zip(clients, before, strict=True)),
        "senders to go on",
    )


def check(clients: list[Client], receiver: RunningReceiver, url: str) -> None:
    """All that was acknowledged is there, and nothing twice."""
    stored = dict(asked(url, "SELECT run_uid, id FROM runs"))
    for client in clients:
        client.check(receiver, stored)
    known = {run_uid for client in clients for run_uid in client.acknowledged}
    assert set(stored) == known
    assert asked(url, "SELECT count(*), count(DISTINCT run_uid), count(DISTINCT id) FROM runs") == [
        (len(known),) * 3
    ]
    refusals = {said for client in clients for said in client.refusals}
    assert refusals <= {REFUSAL}


def check_logs(running: list[RunningReceiver]) -> None:
    for receiver in running:
        assert "Traceback" not in receiver.log.read_text()


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_is_restarted_under_load_loses_nothing(server, url, tmp_path, mode):
    """Stopped in order or crashed; receivers say 503 meanwhile, and go on by themselves."""
    with receivers(tmp_path, url) as running:
        with load([one.url for one in running], tmp_path) as clients:
            for _ in range(3):
                wait_for_more(clients)
                server.stop(mode)
                wait_until(lambda: running[0].get("/readyz", token=None).status_code == 503, "trouble")
                server.start()
            wait_for_more(clients)
        wait_until(
            lambda: all(one.get("/readyz", token=None).text == "ok\n" for one in running), "the end of it"
        )
        check(clients, running[0], url)
        assert any(client.refusals for client in clients)
    check_logs(running)


def test_connections_that_are_cut_lose_nothing(server, url, tmp_path):
    """Again and again, wherever in a commit or a question that is."""
    with receivers(tmp_path, url) as running:
        with load([one.url for one in running], tmp_path) as clients:
            for _ in range(30):
                wait_for_more(clients, 2)
                server.ask(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'jobmeter'"
                )
            wait_for_more(clients)
        check(clients, running[1], url)
    check_logs(running)


def test_a_receiver_that_is_killed_beside_another_loses_nothing(url, tmp_path):
    """What it had begun is finished at the other, at once; it comes back as if nothing had been."""
    port = closed_port()
    with receivers(tmp_path, url, 1) as (steady,):
        with load([steady.url, f"http://127.0.0.1:{port}"], tmp_path) as clients:
            for number in range(8):
                place = tmp_path / f"killed-{number}"
                place.mkdir()
                with running_receiver(
                    place, f"--listen=127.0.0.1:{port}", f"--db={url}", ends_with=-signal.SIGKILL
                ) as killed:
                    wait_for_more(clients, 5)
                    killed.process.send_signal(signal.SIGKILL)
                    killed.process.wait(30)
                assert "Traceback" not in killed.log.read_text()
            wait_for_more(clients)
        check(clients, steady, url)
    check_logs([steady])


def test_a_full_disk_of_the_server_is_said_and_loses_nothing(server, tmp_path):
    """507 until there is room again, then it goes on by itself."""
    with (
        server.small_disk(24) as (place, directory),
        server.database(place=place) as url,
        running_receiver(tmp_path, f"--db={url}") as receiver,
    ):
        stored: dict[str, int] = {}
        status = 201
        while status == 201:
            uid = f"full-{len(stored)}"
            body = msgspec.json.encode({"run_summary": {"run_uid": uid, "x": os.urandom(100_000).hex()}})
            answer = requests.post(f"{receiver.url}/api/v1/metrics", body, headers=HEADERS, timeout=30)
            status = answer.status_code
            if status == 201:
                stored[uid] = answer.json()["id"]
        assert (status, receiver.get("/readyz", token=None).status_code) == (507, 503)
        subprocess.run(["mount", "-o", "remount,size=60m", str(directory)], check=True)
        again = requests.post(f"{receiver.url}/api/v1/metrics", body, headers=HEADERS, timeout=30)
        assert again.status_code == 201
        stored[uid] = again.json()["id"]
        assert dict(asked(url, "SELECT run_uid, id FROM runs")) == stored
        said = receiver.log.read_text()
    assert "cannot grow" in said
    assert "Traceback" not in said


def test_receivers_that_start_at_once_share_a_new_database(url, tmp_path):
    """One migrates; a run begun at one is finished at another and seen at all."""
    whole = list(records())
    with receivers(tmp_path, url, 3) as running:
        for number, record in enumerate(whole):
            running[number % 3].stream([record])
        states = {one.get(f"/api/v1/runs/{UID}").json()["state"] for one in running}
        rows = {len(one.get("/api/v1/runs").json()["runs"]) for one in running}
    assert (states, rows) == ({"finished"}, {1})
    assert any(name.startswith("runs_2") for (name,) in asked(url, "SELECT tablename FROM pg_tables"))


def test_a_run_that_fell_silent_is_lost_once(url, tmp_path):
    """Whichever receiver finds it, whichever heard of it; one log names it."""
    with ExitStack() as stack:
        running = []
        for number in range(2):
            place = tmp_path / str(number)
            place.mkdir()
            running.append(stack.enter_context(running_receiver(place, f"--db={url}", "--lost-after=300ms")))
        for number in range(20):
            running[number % 2].stream(list(records(f"run-{number}"))[:3])
        wait_until(
            lambda: asked(url, "SELECT count(*) FROM runs WHERE state = 'lost'") == [(20,)], "the loss of all"
        )
        told = "".join(one.log.read_text() for one in running)
    assert told.count("given up as lost") == 20


def jobmeter(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "jobmeter", *words]
    environ = ENVIRON | variables
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)


def with_password(url: str) -> str:
    return url.replace("postgres@", "postgres:hunter2@")


def test_a_password_is_nowhere_to_be_read(server, url, tmp_path):
    """Neither in the list of processes, nor in the log, in an answer or in what the server shows."""
    with running_receiver(tmp_path, f"--db={with_password(url)}") as receiver:
        receiver.push({"n": 1}, job="j")
        shown = Path(f"/proc/{receiver.process.pid}/cmdline").read_text()
        sessions = server.ask("SELECT application_name, query FROM pg_stat_activity")
        pages = [
            receiver.get(path).text
            for path in ("/readyz", "/metrics", "/api/v1/runs", "/debug/pprof/cmdline")
        ]
        server.stop()
        try:
            requests.post(f"{receiver.url}/api/v1/metrics", b"{}", timeout=30)
            pages.append(receiver.get("/readyz").text)
            assert receiver.get("/api/v1/runs").status_code == 503
        finally:
            server.start()
        said = receiver.log.read_text()
    assert f"--db={url}" in shown
    assert f'"db":"{url}"' in said.replace(" ", "")
    for text in (shown, said, str(sessions), *pages):
        assert "hunter2" not in text


@pytest.mark.parametrize("how", ["url", "variable", "file"])
def test_a_password_is_taken_from_where_libpq_takes_it(server, tmp_path, monkeypatch, how):
    """The address, PGPASSWORD or a file of passwords; without it the server refuses."""
    server.ask("DROP ROLE IF EXISTS runner")
    server.ask("CREATE ROLE runner LOGIN PASSWORD 'hunter2'")
    with server.password_asked_for(), server.database() as url:
        server.ask(f"ALTER DATABASE {url.rpartition('/')[2]} OWNER TO runner")
        address = url.replace("postgres@", "runner@")
        refused = jobmeter("receiver", "--listen=127.0.0.1:0", f"--db={address}")
        assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)
        assert "no password supplied" in refused.stderr
        wrong = jobmeter("receiver", "--listen=127.0.0.1:0", f"--db={address}", PGPASSWORD="hunter3")
        assert "password authentication failed" in wrong.stderr
        assert "hunter3" not in wrong.stderr
        if how == "url":
            address = address.replace("runner@", "runner:hunter2@")
        elif how == "variable":
            monkeypatch.setenv("PGPASSWORD", "hunter2")
        else:
            passwords = tmp_path / "passwords"
            passwords.write_text("*:*:*:runner:hunter2\n")
            passwords.chmod(0o600)
            monkeypatch.setenv("PGPASSFILE", str(passwords))
        with running_receiver(tmp_path, f"--db={address}") as receiver:
            assert receiver.push({"n": 1}, job="j") == 1


def test_parameters_of_tls_are_libpqs(server, url, tmp_path):
    """With a certificate that the address vouches for it starts; with another one it says why not."""
    with server.encrypted(tmp_path) as authority:
        address = f"{url.replace('127.0.0.1', 'localhost')}?sslmode=verify-full&sslrootcert="
        (tmp_path / "other").mkdir()
        other, _ = certificate(tmp_path / "other")
        refused = jobmeter("receiver", "--listen=127.0.0.1:0", f"--db={address}{other}")
        assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)
        assert "certificate verify failed" in refused.stderr
        with running_receiver(tmp_path, f"--db={address}{authority}") as receiver:
            receiver.push({"n": 1}, job="j")
            sessions = server.ask(
                "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
                " WHERE application_name = 'jobmeter'"
            )
    assert sessions == [(True,)]


@pytest.mark.parametrize(
    "words, code, sentence",
    [
        (["--db=postgresql://u:hunter2@h@h/d"], 2, "--db: the address of the database is not accepted"),
        (["--db=mysql://u:hunter2@h/d"], 2, "mysql:// is not accepted; accepted are the name of a file"),
        (["--db=postgresql://u:hunter2@127.0.0.1:1/d"], 1, "postgresql://u@127.0.0.1:1/d cannot be used"),
        (
            ["--db=postgresql://u:hunter2@nonesuch.invalid/d"],
            1,
            "postgresql://u@nonesuch.invalid/d cannot be used",
        ),
    ],
)
def test_what_keeps_it_from_starting_is_one_sentence(words, code, sentence):
    """Without a password."""
    done = jobmeter("receiver", "--listen=127.0.0.1:0", *words)
    assert (done.returncode, len(done.stderr.splitlines())) == (code, 1)
    assert sentence in done.stderr
    assert "hunter2" not in done.stderr


def test_it_is_copied_with_what_postgresql_has_for_that(server, url, tmp_path):
    """`jobmeter admin backup` says so; what pg_dump writes while the receiver runs is all that is needed."""
    with running_receiver(tmp_path, f"--db={url}") as receiver, server.database() as other:
        before = receiver.push({"n": 1}, job="j")
        refused = jobmeter("admin", "backup", str(tmp_path / "copy"), f"--db={url}")
        assert (refused.returncode, "pg_dump" in refused.stderr) == (2, True)
        for words in (
            ["pg_dump", "--format=custom", f"--file={tmp_path}/copy", url],
            ["pg_restore", f"--dbname={other}", f"{tmp_path}/copy"],
        ):
            subprocess.run([programs() / words[0], *words[1:]], check=True, timeout=60)
        (tmp_path / "again").mkdir()
        with running_receiver(tmp_path / "again", f"--db={other}") as again:
            assert len(again.get("/api/v1/runs").json()["runs"]) == 1
            assert again.push({"n": 2}, job="j") == before + 1


def test_names_that_the_database_cannot_take_together_are_refused_with_400(url, tmp_path):
    """Senders give up what would fail for ever."""
    with running_receiver(tmp_path, f"--db={url}") as receiver:
        names = {name: os.urandom(500).hex() for name in ("organization", "repository", "workflow", "job")}
        with pytest.raises(AssertionError, match=r"cannot be stored.*index row"):
            receiver.push({"n": 1}, **names)
        assert receiver.push({"n": 1}, job="j") > 0
