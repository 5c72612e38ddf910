"""The server of every daemon: it waits for a client as long as it says, and no longer."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobmeter.model.errors import JobmeterError, UsageError
from jobmeter.ops.serving import listening_socket, listens_beyond_loopback, place_of
from tests.ops.servers import ENVIRON, GET, POST, SECONDS, answered, drip, running

MOST = 8


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server that waits 0.4 s for a request."""
    with running(SECONDS, 1000.0, 1000) as found:
        yield found


@pytest.fixture(scope="module")
def patient_port() -> Iterator[int]:
    """A server that waits for ever, but not for many."""
    with running(1000.0, 1000.0, MOST) as found:
        yield found


@pytest.fixture(scope="module")
def hurried_port() -> Iterator[int]:
    """A server that lets go of a connection on which nothing is asked for 0.4 s."""
    with running(1000.0, SECONDS, 1000) as found:
        yield found


@pytest.fixture
def client(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as made:
        yield made


@pytest.mark.parametrize(
    "head, drops",
    [
        (b"", b""),
        (b"GET / HTTP/1.1\r\nX-Long: ", b"x"),
        (POST + b"Content-Length: 100000\r\n\r\n", b"x"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (GET % b"/" + b"GET / HTTP/1.1\r\nX-Long: ", b"x"),
    ],
    ids=["nothing at all", "head", "body", "body without a length", "second request"],
)
def test_a_client_that_is_too_slow_is_cut_off(client: socket.socket, head: bytes, drops: bytes) -> None:
    """However many bytes still come; not before its time, and soon after."""
    if head.startswith(GET % b"/"):
        client.sendall(GET % b"/")
        assert answered(client)
        head = head.removeprefix(GET % b"/")
    assert 0.9 * SECONDS <= drip(client, head, drops) < 10 * SECONDS


def test_a_client_with_nothing_to_ask_keeps_its_connection(client: socket.socket) -> None:
    """Between two requests, and while it waits for a slow answer."""
    for path in (b"/", b"/slow", b"/"):
        client.sendall(GET % path)
        assert answered(client)
        time.sleep(3 * SECONDS)


def test_an_idle_connection_is_closed(hurried_port: int) -> None:
    """So long after the last answer, however many there were, and not while one is being made."""
    with socket.create_connection(("127.0.0.1", hurried_port), timeout=30) as client:
        for path in (b"/", b"/slow", b"/"):
            client.sendall(GET % path)
            assert answered(client)
            time.sleep(SECONDS / 2)
        begun = time.monotonic()
        assert client.recv(1) == b""
    assert time.monotonic() - begun < 10 * SECONDS


def test_requests_may_come_before_the_answers(hurried_port: int) -> None:
    """All are answered in their order; the connection is idle after the last only."""
    with socket.create_connection(("127.0.0.1", hurried_port), timeout=30) as client:
        client.sendall(
            GET % b"/" + GET % b"/slow" + POST + b"Content-Length: 100000\r\n\r\n" + b"x" * 100_000
        )
        text = b""
        while text.count(b"ok") < 3 and (piece := client.recv(1000)):
            text += piece
        assert text.count(b"HTTP/1.1 200") == text.count(b"ok") == 3


def test_a_request_that_began_in_time_is_not_cut_off(hurried_port: int) -> None:
    """Although the connection would have been idle for too long by now."""
    with socket.create_connection(("127.0.0.1", hurried_port), timeout=30) as client:
        for _ in range(3):
            client.sendall(GET % b"/")
            assert answered(client)
            time.sleep(0.8 * SECONDS)
            client.sendall(POST)
            time.sleep(1.5 * SECONDS)
            client.sendall(b"Content-Length: 1\r\n\r\nx")
            assert answered(client)


def test_a_request_that_is_answered_before_it_is_whole_leaves_an_idle_connection(hurried_port: int) -> None:
    """Which is closed as any other."""
    with socket.create_connection(("127.0.0.1", hurried_port), timeout=30) as client:
        client.sendall(POST.replace(b"POST /", b"POST /early") + b"Content-Length: 1\r\n\r\n")
        assert answered(client)
        client.sendall(b"x")
        begun = time.monotonic()
        assert client.recv(1) == b""
    assert time.monotonic() - begun < 10 * SECONDS


def test_a_client_that_does_not_read_is_cut_off(port: int) -> None:
    """Not one that reads slowly."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(GET % b"/large")
        got = 0
        for _ in range(20):
            time.sleep(SECONDS / 4)
            got += len(client.recv(100_000))
        assert got > 500_000
        time.sleep(6 * SECONDS)
        with contextlib.suppress(ConnectionError):
            while piece := client.recv(1_000_000):
                got += len(piece)
        assert got < 50_000_000


def test_too_many_requests_before_an_answer_are_refused(patient_port: int) -> None:
    """Others are answered meanwhile."""
    with socket.create_connection(("127.0.0.1", patient_port), timeout=30) as greedy:
        with contextlib.suppress(ConnectionError):
            greedy.sendall(GET % b"/slow" + GET % b"/" * 100_000)
        with contextlib.suppress(ConnectionError):
            text = b"".join(iter(lambda: greedy.recv(100_000), b""))
            assert text.count(b"200 OK") < 100
    with socket.create_connection(("127.0.0.1", patient_port), timeout=30) as client:
        client.sendall(GET % b"/")
        assert answered(client)


def test_a_body_of_a_request_for_another_protocol_is_no_request(patient_port: int) -> None:
    """It is refused; one without a body is answered as any other."""
    upgrade = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    with socket.create_connection(("127.0.0.1", patient_port), timeout=30) as client:
        client.sendall(POST + upgrade + b"Content-Length: %d\r\n\r\n" % len(GET % b"/") + GET % b"/")
        text = b"".join(iter(lambda: client.recv(1000), b""))
        assert text.startswith(b"HTTP/1.1 400")
        assert text.count(b"HTTP/1.1") == 1
    with socket.create_connection(("127.0.0.1", patient_port), timeout=30) as client:
        client.sendall((GET % b"/").removesuffix(b"\r\n") + upgrade + b"\r\n")
        assert answered(client)


CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "head, drops",
    [
        (b"GET / HTTP/1.1\r\n", b"a: b\r\n"),
        (CHUNKED + b"0\r\n", b"a: b\r\n"),
        (CHUNKED + b"1\r\nx\r\n0\r\na: ", b"b"),
        (CHUNKED + b"1;", b"x"),
    ],
    ids=["head", "trailers", "one trailer", "extension of a chunk"],
)
def test_what_is_no_body_is_bounded(patient_port: int, head: bytes, drops: bytes) -> None:
    """However quickly it comes, and whatever the part of the request it is."""
    with socket.create_connection(("127.0.0.1", patient_port), timeout=30) as client:
        drip(client, head, drops * 4000)


def test_a_long_body_is_no_head(patient_port: int) -> None:
    """With and without a length, and after it the next request."""
    with socket.create_connection(("127.0.0.1", patient_port), timeout=30) as client:
        for head, body in (
            (POST + b"Content-Length: 1000000\r\n\r\n", b"x" * 1_000_000),
            (CHUNKED, b"5\r\nxxxxx\r\n" * 100_000 + b"0\r\na: b\r\n\r\n"),
            (GET % b"/", b""),
        ):
            client.sendall(head + body)
            assert answered(client)


def test_connections_are_bounded(patient_port: int) -> None:
    """One too many is closed at once; there is room again when another has gone."""
    address = ("127.0.0.1", patient_port)
    held = [socket.create_connection(address, timeout=30) for _ in range(MOST)]
    try:
        for one in held:
            one.sendall(GET % b"/")
            assert answered(one)
        with socket.create_connection(address, timeout=30) as refused, contextlib.suppress(ConnectionError):
            assert refused.recv(1) == b""
        held.pop().close()
        time.sleep(0.2)
        with socket.create_connection(address, timeout=30) as welcome:
            welcome.sendall(GET % b"/")
            assert answered(welcome)
    finally:
        for one in held:
            one.close()


def test_slow_clients_do_not_keep_others_waiting(port: int) -> None:
    """A hundred of them hold their connections; each other is answered."""
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
    try:
        for one in slow:
            one.sendall(b"GET / HTTP/1.1\r\n")
        with socket.create_connection(("127.0.0.1", port), timeout=30) as quick:
            quick.sendall(GET % b"/")
            assert answered(quick)
    finally:
        for one in slow:
            one.close()


@pytest.mark.parametrize("address", ["", "8080", "host:", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1"])
def test_what_is_no_address_is_said(address: str) -> None:
    """With the name of the flag, and with what is one."""
    with pytest.raises(UsageError, match=r"^--addr: .* an address is HOST:PORT or :PORT, .* means port 99$"):
        listening_socket(address, "--addr", default_port=99)


def test_an_address_that_is_taken_is_said() -> None:
    """In one sentence, with how to find out by whom."""
    with (
        listening_socket("127.0.0.1:0") as first,
        pytest.raises(JobmeterError, match=r"listened on: Address already in use; .*`ss -ltnp") as raised,
    ):
        listening_socket(place_of(first))
    assert raised.value.exit_code == 1


@pytest.mark.parametrize(
    "address, said",
    [
        ("203.0.113.1:0", "Cannot assign requested address; this machine has none like it"),
        ("nosuch.invalid:0", "the host 'nosuch.invalid' is not known here"),
        ("a..b:0", "the host 'a..b' is not known here"),
        (f"{'a' * 99}.invalid:0", "is not known here"),
    ],
)
def test_what_cannot_be_listened_on_is_said(address: str, said: str) -> None:
    """It is fatal, but no mistake in how it is written."""
    with pytest.raises(
        JobmeterError, match=f"^--listen: {address} cannot be listened on: .*{said}"
    ) as raised:
        listening_socket(address)
    assert raised.value.exit_code == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_ports_that_are_not_for_everyone_are_said() -> None:
    """With what lets them be had."""
    code = (
        "import os, sys; from jobmeter.ops.serving import listening_socket\n"
        "'host'.encode('idna')  # Its library may be root's alone.\nos.setuid(65534)\n"
        "try: listening_socket('127.0.0.1:81')\n"
        "except Exception as error: print(error)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRON, capture_output=True, text=True, check=True
    ).stdout
    first_free = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    assert ("below 1024 are for root or need CAP_NET_BIND_SERVICE" in told) is (first_free > 81)


@pytest.mark.parametrize(
    "address, beyond", [(":0", True), ("0.0.0.0:0", True), ("127.0.0.1:0", False), ("localhost:0", False)]
)
def test_who_can_reach_it(address: str, beyond: bool) -> None:
    """Without a host everyone can, over IPv4 in any case."""
    with listening_socket(address) as listening:
        assert listens_beyond_loopback(listening) is beyond
        socket.create_connection(("127.0.0.1", listening.getsockname()[1])).close()


def test_a_host_alone_listens_on_the_port_of_the_daemon() -> None:
    """Which is shown as it would be written."""
    with listening_socket("127.0.0.1:0") as probe:
        port = int(probe.getsockname()[1])
    with listening_socket("127.0.0.1", default_port=port) as listening:
        assert place_of(listening) == f"127.0.0.1:{port}"
    with listening_socket(":0") as listening:
        assert place_of(listening).startswith(("[::]:", "0.0.0.0:"))
