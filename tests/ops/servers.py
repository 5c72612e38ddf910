"""A server in a process of its own, and clients that are rude to it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import TESTS

ENVIRON = os.environ | {"PYTHONPATH": str(TESTS.parent / "src")}
SECONDS = 0.4
SERVER = f"""
import asyncio, contextlib, sys
from jobmeter.collector.log import Log
from jobmeter.ops.answers import Answer, Outlet
from jobmeter.ops.connection import Bounds
from jobmeter.ops.serving import listening_socket, serve
from jobmeter.ops.tls import Certificate

async def application(scope, receive, send):
    if scope["path"] == "/slow":
        await asyncio.sleep({4 * SECONDS})
    if scope["path"] == "/early":
        await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}})
        await send({{"type": "http.response.body", "body": b"ok"}})
        return
    if scope["path"] == "/large":
        large = b"x" * 50_000_000
        send = Answer(send, Outlet())
        await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"50000000")]}})
        await send({{"type": "http.response.body", "body": large}})
        return
    while (message := await receive()).get("more_body"):
        pass
    if message["type"] == "http.request":
        await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}})
        await send({{"type": "http.response.body", "body": b"ok"}})

@contextlib.asynccontextmanager
async def life():
    yield
    print("over", flush=True)

with listening_socket("127.0.0.1:0") as listening:
    started = lambda: print(listening.getsockname()[1], flush=True)
    seconds, idle, connections = map(float, sys.argv[1:4])
    log = Log("warn", "json")
    certificate = Certificate(*sys.argv[4:], log, look_seconds=0.0) if sys.argv[4:] else None
    bounds = Bounds(seconds, idle, int(connections))
    serve(application, listening, life, started, log, bounds, certificate=certificate)
"""
GET = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\n"


@contextlib.contextmanager
def running(
    seconds: float,
    idle: float,
    connections: int,
    certificate: tuple[Path, Path] | None = None,
    log: Path | None = None,
    descriptors: int | None = None,
) -> Iterator[int]:
    """A server that waits so long for a request, and between two; it ends by SIGTERM, after its life.

    With ``descriptors`` it may have no more of them.
    """
    limited = [] if descriptors is None else ["prlimit", f"--nofile={descriptors}"]
    command = [*limited, sys.executable, "-c", SERVER, str(seconds), str(idle), str(connections)]
    command += map(str, certificate or ())
    with contextlib.ExitStack() as stack:
        stderr = None if log is None else stack.enter_context(log.open("w"))
        process = stack.enter_context(
            subprocess.Popen(command, env=ENVIRON, stdout=subprocess.PIPE, stderr=stderr, text=True)
        )
        assert process.stdout
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()
        assert process.stdout.read() == "over\n"
    assert process.returncode == 0


def answered(client: socket.socket) -> bool:
    """Whether the application's answer comes, before the connection is cut off."""
    text = b""
    while not text.endswith(b"ok") and (piece := client.recv(1000)):
        text += piece
    return text.startswith(b"HTTP/1.1 200") and text.endswith(b"ok")


def drip(client: socket.socket, head: bytes, drops: bytes) -> float:
    """Send some bytes at once and then one at a time, for ever; seconds until the connection is cut off."""
    begun = time.monotonic()
    client.sendall(head)
    client.settimeout(0.02)
    while time.monotonic() < begun + 30:
        try:
            client.sendall(drops)
            if client.recv(100) == b"":
                return time.monotonic() - begun
        except TimeoutError:
            continue
        except ConnectionError:
            return time.monotonic() - begun
    raise AssertionError("it is never cut off")
