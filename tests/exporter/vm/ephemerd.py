"""A peer that knows ephemerd's nine fields and nothing else, written from their numbers and not from our schema."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

NAMES = (
    "id", "repo", "cpu_usage_nanos", "memory_bytes", "memory_anon_bytes", "cpu_limit", "memory_limit_bytes",
    "network_rx_bytes", "network_tx_bytes",
)  # fmt: skip
TOKEN = "x-ephemerd-dispatch-token"
METHOD = "/ephemerd.v1.Dispatch/StreamContainerStats"
Entry = Mapping[str, Any]


def varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])


def block(number: int, body: bytes) -> bytes:
    """A field with a length: a text, or a message."""
    return varint(number << 3 | 2) + varint(len(body)) + body


def entry(**values: int | str) -> bytes:
    """`ContainerStats`; as proto3 has it, a 0 and an empty text are not sent."""
    written = b""
    for number, name in enumerate(NAMES, 1):
        value = values.get(name)
        if isinstance(value, str) and value:
            written += block(number, value.encode())
        elif value:
            assert isinstance(value, int)
            written += varint(number << 3) + varint(value)
    return written


def batch(timestamp_unix_nano: int, *entries: bytes) -> bytes:
    """`ContainerStatsBatch`."""
    return varint(1 << 3) + varint(timestamp_unix_nano) + b"".join(block(2, one) for one in entries)


def fields(body: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Numbers and values of a message, whatever they are."""
    place = 0

    def number() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = body[place]
            place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while place < len(body):
        tag = number()
        if tag & 7 == 0:
            yield tag >> 3, number()
            continue
        assert tag & 7 == 2, "ephemerd's peers take what is not theirs for a number or a block"
        length = number()
        yield tag >> 3, body[place : place + length]
        place += length


def read(body: bytes) -> dict[str, Entry]:
    """The entries of a batch, by id; what has another number is passed over."""
    found: dict[str, Entry] = {}
    for number, value in fields(body):
        if number == 2:
            assert isinstance(value, bytes)
            told: dict[str, Any] = dict.fromkeys(NAMES[2:], 0) | {"id": "", "repo": ""}
            for inner, part in fields(value):
                if inner <= len(NAMES):
                    told[NAMES[inner - 1]] = part.decode() if isinstance(part, bytes) else part
            found[told["id"]] = told
    return found


class Server:
    """Sends each of ``batches`` to who asks, waits ``pause`` seconds after each, and ends the stream after the last."""

    def __init__(self, batches: Sequence[bytes], *, pause: float = 0.0, options: Any = ()) -> None:
        self.asked: list[tuple[bytes, dict[str, str]]] = []
        self.ends = True
        self._batches = batches
        self._pause = pause
        self._stopping = threading.Event()
        self._workers = ThreadPoolExecutor(4)
        self._server = grpc.server(self._workers, options=(("grpc.so_reuseport", 0), *options))
        handler = grpc.unary_stream_rpc_method_handler(self._stream, None, None)
        methods = {"StreamContainerStats": handler}
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("ephemerd.v1.Dispatch", methods),)
        )
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def _stream(self, request: bytes, context: Any) -> Iterator[bytes]:
        self.asked.append((request, dict(context.invocation_metadata())))
        for one in self._batches:
            yield one
            self._stopping.wait(self._pause)
        if not self.ends:
            self._stopping.wait()

    def close(self) -> None:
        self._stopping.set()
        self._server.stop(0).wait()
        self._workers.shutdown()


def subscribe(
    port: int, *, seconds: int = 1, token: str | None = None, took: Callable[[Any], None] = lambda call: None
) -> Iterator[dict[str, Entry]]:
    """What a client of ephemerd sees; raises grpc.RpcError as it does."""
    metadata = ((TOKEN, token),) if token is not None else None
    with grpc.insecure_channel(f"127.0.0.1:{port}", (("grpc.use_local_subchannel_pool", 1),)) as channel:
        stream = channel.unary_stream(METHOD, None, None, _registered_method=False)
        call = stream(varint(1 << 3) + varint(seconds), metadata=metadata)
        took(call)
        for body in call:
            yield read(body)
