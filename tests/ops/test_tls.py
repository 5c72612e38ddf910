"""HTTPS: which certificates are taken, and that nobody gets more than over HTTP."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from jobmeter.model.errors import UsageError
from jobmeter.ops.tls import Certificate
from tests.ops.servers import GET, POST, SECONDS, answered, drip, running
from tests.support.receivers import certificate

MOST = 8
LONG = 1000.0
Pair = tuple[Path, Path]


class Messages:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.warned: list[dict[str, object]] = []

    def warn(self, message: str, **fields: object) -> None:
        self.warned.append({"message": message, **fields})


def openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A certificate of localhost and its key."""
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def port(pair: Pair) -> Iterator[int]:
    """A server that waits 0.4 s for a request, and for a handshake."""
    with running(SECONDS, LONG, 1000, pair) as found:
        yield found


@pytest.fixture(scope="module")
def patient_port(pair: Pair) -> Iterator[int]:
    """A server that waits for ever, but not for many."""
    with running(LONG, LONG, MOST, pair) as found:
        yield found


def plain(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def trusting(pair: Pair) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=pair[0])


def secure(port: int, context: ssl.SSLContext, name: str = "localhost") -> ssl.SSLSocket:
    return context.wrap_socket(plain(port), server_hostname=name)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_requests_are_answered_over_tls(pair: Pair, port: int, version: ssl.TLSVersion) -> None:
    """One after the other on one connection, of 1.2 and 1.3."""
    context = trusting(pair)
    context.minimum_version = context.maximum_version = version
    with secure(port, context) as client:
        for path in (b"/", b"/slow", b"/"):
            client.sendall(GET % path)
            assert answered(client)


def test_older_versions_are_refused(pair: Pair, port: int) -> None:
    """TLS 1.1 is broken."""
    context = trusting(pair)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        secure(port, context)


def test_a_large_answer_comes_whole(pair: Pair, port: int) -> None:
    """And the connection lives on."""
    with requests.Session() as session:
        for path, size in (("/large", 50_000_000), ("/", 2)):
            answer = session.get(f"https://localhost:{port}{path}", verify=str(pair[0]), timeout=30)
            assert len(answer.content) == size


@pytest.mark.parametrize(
    "sent", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"], ids=["none", "a byte", "a head"]
)
def test_a_handshake_that_does_not_end_is_cut_off(port: int, sent: bytes) -> None:
    """Not before its time, and soon after."""
    with plain(port) as client:
        begun = time.monotonic()
        client.sendall(sent)
        with contextlib.suppress(ConnectionError):
            assert client.recv(100) == b""
    assert 0.9 * SECONDS <= time.monotonic() - begun < 10 * SECONDS


@pytest.mark.parametrize(
    "head, drops",
    [
        (b"GET / HTTP/1.1\r\nX-Long: ", b"x"),
        (POST + b"Content-Length: 100000\r\n\r\n", b"x"),
    ],
    ids=["head", "body"],
)
def test_a_client_that_is_too_slow_is_cut_off(pair: Pair, port: int, head: bytes, drops: bytes) -> None:
    """As without TLS."""
    with secure(port, trusting(pair)) as client:
        assert 0.9 * SECONDS <= drip(client, head, drops) < 20 * SECONDS


def test_a_client_that_does_not_read_is_cut_off(pair: Pair, port: int) -> None:
    """Not one that reads slowly."""
    with secure(port, trusting(pair)) as client:
        client.sendall(GET % b"/large")
        got = 0
        for _ in range(20):
            time.sleep(SECONDS / 4)
            got += sum(len(client.recv(16_384)) for _ in range(8))
        assert got > 500_000
        time.sleep(10 * SECONDS)
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while piece := client.recv(1_000_000):
                got += len(piece)
        assert got < 50_000_000


def test_an_idle_connection_is_closed(pair: Pair) -> None:
    """With a farewell that nobody has to answer."""
    with running(SECONDS, SECONDS, 100, pair) as port, secure(port, trusting(pair)) as client:
        client.sendall(GET % b"/")
        assert answered(client)
        begun = time.monotonic()
        assert client.recv(1) == b""
        assert time.monotonic() - begun < 10 * SECONDS


def test_connections_and_handshakes_are_bounded_together(pair: Pair, patient_port: int) -> None:
    """One too many is closed at once; there is room again when another has gone."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(secure(patient_port, trusting(pair))) for _ in range(MOST // 2)]
        for one in held:
            one.sendall(GET % b"/")
            assert answered(one)
        waiting = [stack.enter_context(plain(patient_port)) for _ in range(MOST - MOST // 2)]
        time.sleep(0.2)
        with plain(patient_port) as refused, contextlib.suppress(ConnectionError):
            assert refused.recv(1) == b""
        waiting.pop().close()
        time.sleep(0.2)
        with secure(patient_port, trusting(pair)) as welcome:
            welcome.sendall(GET % b"/")
            assert answered(welcome)


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05xxxxx"])
def test_a_handshake_that_fails_leaves_its_room(pair: Pair, patient_port: int, sent: bytes) -> None:
    """For the next one."""
    for _ in range(3 * MOST):
        with plain(patient_port) as client, contextlib.suppress(ConnectionError):
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            while client.recv(100):
                pass
    with secure(patient_port, trusting(pair)) as welcome:
        welcome.sendall(GET % b"/")
        assert answered(welcome)


def test_it_accepts_again_when_there_are_descriptors_again(pair: Pair) -> None:
    """It does not spin meanwhile, and forgets nobody."""
    with running(LONG, LONG, 1000, pair, descriptors=40) as port:
        with contextlib.ExitStack() as stack:
            for _ in range(60):
                stack.enter_context(plain(port))
            late = plain(port)
            time.sleep(0.2)
        with trusting(pair).wrap_socket(late, server_hostname="localhost") as client:
            client.sendall(GET % b"/")
            assert answered(client)


def test_who_holds_a_connection_does_not_hold_up_the_end(pair: Pair) -> None:
    """Neither one that is idle and does not look, nor a handshake under way; what is asked is answered first."""
    with contextlib.ExitStack() as stack:
        with running(LONG, LONG, 100, pair) as port:
            idle, busy = (stack.enter_context(secure(port, trusting(pair))) for _ in range(2))
            stack.enter_context(plain(port))
            idle.sendall(GET % b"/")
            assert answered(idle)
            busy.sendall(GET % b"/slow")
            time.sleep(SECONDS)
            begun = time.monotonic()
        assert time.monotonic() - begun < 7
        assert answered(busy)


def test_a_renewed_certificate_is_taken(pair: Pair, tmp_path: Path) -> None:
    """By the next connection; those there are stay. Half of a pair, or nothing, does no harm and is said."""
    used, log = tmp_path / "used", tmp_path / "log"
    used.mkdir()
    files = used / "cert.pem", used / "key.pem"
    replace(pair, files)
    (tmp_path / "new").mkdir()
    new = certificate(tmp_path / "new")
    with running(LONG, LONG, 100, files, log) as port, secure(port, trusting(pair)) as before:
        os.replace(shutil.copy(new[0], tmp_path / "x"), files[0])
        secure(port, trusting(pair)).close()
        files[0].unlink()
        secure(port, trusting(pair)).close()
        replace(new, files)
        secure(port, trusting(new)).close()
        with pytest.raises(ssl.SSLCertVerificationError):
            secure(port, trusting(pair))
        before.sendall(GET % b"/")
        assert answered(before)
    said = [json.loads(line) for line in log.read_text().splitlines()]
    errors = [one["error"] for one in said if one["msg"].startswith("the changed certificate cannot be used")]
    assert ["is not the key of" in errors[0], "cannot be read" in errors[1]] == [True, True]
    assert len(errors) == 2


def replace(pair: Pair, files: Pair) -> None:
    for source, target in zip(pair, files, strict=True):
        os.replace(shutil.copy(source, target.with_suffix(".new")), target)


def test_who_speaks_http_is_told_in_the_log(pair: Pair, tmp_path: Path) -> None:
    """Once, however often; a client that comes and goes is nothing to tell."""
    log = tmp_path / "log"
    with running(LONG, LONG, 100, pair, log) as port:
        for _ in range(3):
            plain(port).close()
            with plain(port) as client:
                client.sendall(GET % b"/")
                with contextlib.suppress(ConnectionError):
                    client.recv(100)
    said = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(one["msg"], one["reason"]) for one in said] == [
        ("a client and this daemon do not agree on TLS", "it speaks http://, and here is https://")
    ]


@pytest.fixture(scope="module")
def folder(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that are no pair."""
    found = tmp_path_factory.mktemp("files")
    shutil.copy(pair[0], found / "cert.pem")
    shutil.copy(pair[1], found / "key.pem")
    openssl("genrsa", "-out", found / "other.pem", "2048")
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", found / "curve.pem")
    openssl("rsa", "-aes256", "-passout", "pass:x", "-in", found / "key.pem", "-out", found / "locked.pem")
    (found / "text.pem").write_text("no PEM at all")
    (found / "cut.pem").write_text("-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n")
    (found / "directory.pem").mkdir()
    return found


@pytest.mark.parametrize(
    "certificate, key, said",
    [
        ("missing.pem", "key.pem", r"--tls-cert: .*missing.pem cannot be read: No such file or directory"),
        ("cert.pem", "missing.pem", r"--tls-key: .*missing.pem cannot be read: No such file or directory"),
        ("directory.pem", "key.pem", r"--tls-cert: .*directory.pem cannot be read: Is a directory"),
        ("text.pem", "key.pem", r"--tls-cert: .*text.pem has no certificate in PEM"),
        ("key.pem", "cert.pem", r"--tls-cert: .*key.pem has no certificate in PEM"),
        ("cert.pem", "cert.pem", r"--tls-key: .*cert.pem has no private key in PEM"),
        ("cut.pem", "key.pem", r"--tls-cert: .*cut.pem and .*key.pem cannot be used"),
        ("cert.pem", "other.pem", r"--tls-key: .*other.pem is not the key of the certificate .*cert.pem"),
        ("cert.pem", "curve.pem", r"--tls-key: .*curve.pem is not the key of the certificate .*cert.pem"),
        ("cert.pem", "locked.pem", r"--tls-key: .*locked.pem needs a passphrase"),
    ],
)
def test_what_is_no_pair_is_refused(folder: Path, certificate: str, key: str, said: str) -> None:
    """In one sentence that names flag and file."""
    with pytest.raises(UsageError, match=f"^{said}") as raised:
        Certificate(str(folder / certificate), str(folder / key), Messages())
    assert raised.value.exit_code == 2
    assert "\n" not in str(raised.value)


def test_files_are_looked_at_once_in_a_while(pair: Pair, tmp_path: Path) -> None:
    """However many connect."""
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    replace(pair, files)
    log = Messages()
    patient, eager = (
        Certificate(str(files[0]), str(files[1]), log, look_seconds=each) for each in (LONG, 0.0)
    )
    files[0].unlink()
    contexts = patient.context(), eager.context()
    assert (patient.context(), eager.context()) == contexts
    assert [one["message"] for one in log.warned] == [
        "the changed certificate cannot be used; the one before stays"
    ]
