"""The stream that a machine serves: to a peer of ephemerd, to who has no token, to who does not read."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from typing import Any

import grpc
import pytest
from msgspec.structs import replace

from jobmeter.exporter.vm import schema, server
from jobmeter.exporter.vm.server import MAX_CONNECTIONS, MAX_STREAMS, StatsServer
from jobmeter.model.account import Account
from jobmeter.model.errors import JobmeterError
from tests.exporter.rows import BUILD, WITHIN
from tests.exporter.vm import ephemerd
from tests.exporter.vm.rig import Guest, Notes, until

GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""Of HTTP/2: its preface, and settings that say nothing."""
LOCAL = (("grpc.use_local_subchannel_pool", 1),)


@pytest.fixture
def guest() -> Iterator[Guest]:
    made = Guest(BUILD, WITHIN)
    yield made
    made.close()


class Caller:
    """Calls a machine; all its channels are closed with it."""

    def __init__(self) -> None:
        self._channels: list[Any] = []

    def __call__(
        self, port: int, method: str = ephemerd.METHOD, body: bytes = b"\x08\x01", token: str | None = None
    ) -> Any:
        """The stream."""
        channel = grpc.insecure_channel(f"127.0.0.1:{port}", LOCAL)
        self._channels.append(channel)
        metadata = ((ephemerd.TOKEN, token),) if token is not None else None
        return channel.unary_stream(method, None, None, _registered_method=False)(body, metadata=metadata)

    def silent(self, port: int) -> Any:
        """A call that begins, and sends no request."""
        channel = grpc.insecure_channel(f"127.0.0.1:{port}", LOCAL)
        self._channels.append(channel)
        said = threading.Event()
        stream = channel.stream_stream(ephemerd.METHOD, None, None, _registered_method=False)(
            (b"" for _ in iter(said.wait, True)), timeout=10.0
        )
        if not stream.add_callback(said.set):
            said.set()  # It has ended already.
        return stream

    def refusal(self, port: int, **how: Any) -> tuple[Any, str]:
        """Code and text of a call that is refused."""
        with pytest.raises(grpc.RpcError) as caught:
            next(self(port, **how))
        return caught.value.code(), caught.value.details()

    def close(self) -> None:
        for channel in self._channels:
            channel.close()


@pytest.fixture
def call() -> Iterator[Caller]:
    made = Caller()
    yield made
    made.close()


def test_a_peer_of_ephemerd_sees_its_nine_fields(guest: Guest) -> None:
    """Of running containers that lie in no other; the first batch comes at once."""
    (first,) = islice(ephemerd.subscribe(guest.port), 1)
    assert first == {
        "4f0c": {
            "id": "4f0c", "repo": "acme/engine", "cpu_usage_nanos": 12_750_000_000, "memory_bytes": 22151168,
            "memory_anon_bytes": 16777216, "cpu_limit": 3, "memory_limit_bytes": 67108864, "network_rx_bytes": 295,
            "network_tx_bytes": 116,
        }
    }  # fmt: skip


def test_an_empty_batch_is_a_batch(guest: Guest) -> None:
    """Who subscribes knows by it that all are gone."""
    batches = ephemerd.subscribe(guest.port)
    assert next(batches).keys() == {"4f0c"}
    guest.rows = ()
    assert next(batches) == {}
    batches.close()  # type: ignore[attr-defined]


def test_what_is_not_fresh_is_not_told(guest: Guest) -> None:
    """A reading that fails would look like a machine without containers."""
    batches = ephemerd.subscribe(guest.port)
    next(batches)
    guest.fresh, guest.rows = False, ()

    def recover() -> None:
        guest.rows, guest.fresh = (WITHIN, BUILD), True

    threading.Timer(1.5, recover).start()
    assert next(batches).keys() == {"4f0c"}
    batches.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("asked, every", [(0, 1), (1, 1), (600, 600), (2**32 - 1, 3600)])
def test_how_often_is_the_subscribers_word(guest: Guest, asked: int, every: int, call: Caller) -> None:
    """Within bounds, and told; 0 is the machine's own."""
    stream = call(guest.port, body=ephemerd.varint(1 << 3) + ephemerd.varint(asked))
    assert schema.Batch.FromString(next(stream)).interval_seconds == every
    stream.cancel()


@pytest.mark.parametrize("method", ["CreateJob", "WaitJob", "DestroyJob", "Other"])
def test_the_rest_of_the_service_is_not_there(guest: Guest, method: str, call: Caller) -> None:
    """A caller is told so."""
    assert (
        call.refusal(guest.port, method=f"/ephemerd.v1.Dispatch/{method}")[0] is grpc.StatusCode.UNIMPLEMENTED
    )


def test_nothing_tells_what_is_served(guest: Guest, call: Caller) -> None:
    """There is no reflection."""
    method = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
    assert call.refusal(guest.port, method=method)[0] is grpc.StatusCode.UNIMPLEMENTED


def test_a_request_that_is_none(guest: Guest, call: Caller) -> None:
    """It is refused, and one that is too large is not even read."""
    assert call.refusal(guest.port, body=b"\xff")[0] is grpc.StatusCode.INVALID_ARGUMENT
    assert (
        call.refusal(guest.port, body=b"\x12\x80\x40" + b"x" * 8192)[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    )


# --- Who may


@pytest.mark.parametrize(
    "token, text",
    [
        (None, "there is no x-ephemerd-dispatch-token"),
        ("wrong", "is not the right one"),
        ("", "is not the right one"),
    ],
)
def test_who_has_not_the_token(token: str | None, text: str, call: Caller) -> None:
    """Is told which of both it is, and neither token is in the log."""
    guest = Guest(BUILD, token="s3cret")
    try:
        code, said = call.refusal(guest.port, token=token)
        assert (code, text in said) == (grpc.StatusCode.UNAUTHENTICATED, True)
        assert guest.server.refused == 1
        assert "s3cret" not in said + str(guest.notes.said)
        assert "wrong" not in said + str(guest.notes.said)
        (batch,) = islice(ephemerd.subscribe(guest.port, token="s3cret"), 1)
        assert batch.keys() == {"4f0c"}
    finally:
        guest.close()


def test_who_has_not_the_token_holds_nothing(call: Caller) -> None:
    """Also where no request follows the call: it is not waited for."""
    guest = Guest(BUILD, token="s3cret")
    try:
        silent = [call.silent(guest.port) for _ in range(3 * MAX_STREAMS)]
        assert {stream.code() for stream in silent} <= {
            grpc.StatusCode.UNAUTHENTICATED,
            grpc.StatusCode.RESOURCE_EXHAUSTED,
        }
        assert ephemerd.read(next(call(guest.port, token="s3cret"))).keys() == {"4f0c"}
    finally:
        guest.close()


# --- Bounds


def test_who_never_says_what_it_wants_makes_room(
    guest: Guest, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one does that does not read."""
    silent = [call.silent(guest.port) for _ in range(MAX_STREAMS)]
    until(lambda: guest.server.streams == MAX_STREAMS)
    assert call.refusal(guest.port)[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    monkeypatch.setattr(server, "STALLED_SECONDS", -1.0)
    assert ephemerd.read(next(call(guest.port))).keys() == {"4f0c"}
    for stream in silent:
        stream.cancel()


def test_no_more_streams_than_there_are_workers(guest: Guest, call: Caller) -> None:
    """One more is refused; one that ends makes room."""
    streams = [call(guest.port) for _ in range(MAX_STREAMS)]
    for stream in streams:
        next(stream)
    assert guest.server.streams == MAX_STREAMS
    assert call.refusal(guest.port)[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    streams.pop().cancel()
    until(lambda: guest.server.streams == MAX_STREAMS - 1)
    streams.append(call(guest.port))
    next(streams[-1])
    for stream in streams:
        stream.cancel()
    until(lambda: guest.server.streams == 0)


def test_connections_are_bounded(guest: Guest, call: Caller) -> None:
    """Who holds many that say nothing takes no descriptors of the machine; when they go there is room again."""
    before = len(os.listdir("/proc/self/fd"))
    with ExitStack() as held:
        for _ in range(3 * MAX_CONNECTIONS):
            stranger = held.enter_context(socket.create_connection(("127.0.0.1", guest.port)))
            stranger.sendall(GREETING)
        until(lambda: len(os.listdir("/proc/self/fd")) <= before + 4 * MAX_CONNECTIONS)
        threading.Event().wait(0.2)
        assert len(os.listdir("/proc/self/fd")) <= before + 4 * MAX_CONNECTIONS
    until(lambda: len(os.listdir("/proc/self/fd")) <= before)
    assert ephemerd.read(next(call(guest.port))).keys() == {"4f0c"}


def busy(number: int) -> Any:
    return replace(BUILD, account=Account(cpu_seconds=float(number), memory_usage_bytes=1))


def test_who_does_not_read_gets_the_newest(
    guest: Guest, monkeypatch: pytest.MonkeyPatch, call: Caller
) -> None:
    """Nothing is kept for it: what it finds is what was on its way, and then what there is now."""
    monkeypatch.setattr(server, "Timetable", lambda seconds: _Hurried())
    written = 0
    many = [replace(busy(0), id=f"{number:064x}", path=f"/{number}") for number in range(2000)]

    def rows() -> Any:
        nonlocal written
        written += 1
        return (busy(written), *many)

    guest.server._rows = rows
    stream = call(guest.port)
    next(stream)
    threading.Event().wait(1.0)  # Time for hundreds of batches of half a megabyte.
    stuck = written
    threading.Event().wait(0.5)
    assert written == stuck < 30
    stream.cancel()


class _Hurried:
    next_due = 0.0

    def take(self, now: float) -> None:
        pass


def test_who_has_not_read_for_long_makes_room(
    guest: Guest, monkeypatch: pytest.MonkeyPatch, call: Caller
) -> None:
    """Others who want to subscribe do not wait for it."""
    streams = [call(guest.port) for _ in range(MAX_STREAMS)]
    for stream in streams:
        next(stream)
    monkeypatch.setattr(server, "STALLED_SECONDS", -1.0)
    stalled = guest.server._streams[0]
    stalled.waits_since = 0.0
    stream = call(guest.port)
    assert ephemerd.read(next(stream)).keys() == {"4f0c"}
    assert stalled not in guest.server._streams
    for one in (stream, *streams):
        one.cancel()


# --- Its life


def test_an_address_that_is_taken(guest: Guest) -> None:
    """It is said in one sentence."""
    with pytest.raises(JobmeterError, match=r"^--serve-stats: 127.0.0.1:\d+ cannot be listened on$"):
        StatsServer(tuple, bool, Notes()).open(f"127.0.0.1:{guest.port}")


def test_it_ends_its_streams(call: Caller) -> None:
    """At once, and leaves no thread."""
    before = threading.active_count()
    guest = Guest(BUILD)
    stream = call(guest.port)
    next(stream)
    guest.close()
    assert list(stream) == []
    until(lambda: threading.active_count() <= before)
