"""Reads profiles with `go tool pprof`, and asks for them without a server."""

from __future__ import annotations

import asyncio
import gzip
import shutil
import subprocess
from collections.abc import Iterable
from glob import glob
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from starlette.types import Message

from jobmeter.ops.pprof.routes import Pprof
from jobmeter.ops.pprof.schema import ProfileMessage
from jobmeter.ops.problems import Problem
from tests.e2e.support.components import unavailable


class Answered(NamedTuple):
    """What a route answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def go_pprof(profile: bytes, *options: str) -> str:
    """What `go tool pprof` prints of a profile; it has nothing to complain about."""
    go = next(iter((shutil.which("go"), "/usr/local/go/bin/go", *glob("/usr/lib/go*/bin/go"))), None)
    if go is None or not Path(go).exists():
        unavailable("Go is not installed; `make test` installs it where it may")
    with TemporaryDirectory() as directory:
        file = Path(directory) / "profile.pb.gz"
        file.write_bytes(profile)
        done = subprocess.run(
            [go, "tool", "pprof", *options, file], capture_output=True, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def top(profile: bytes, *options: str) -> list[str]:
    """The functions as `go tool pprof -top` orders them."""
    lines = go_pprof(profile, "-top", *options).splitlines()
    (head,) = [number for number, line in enumerate(lines) if line.split()[:2] == ["flat", "flat%"]]
    return [line.split(maxsplit=5)[5] for line in lines[head + 1 :]]


class Read(NamedTuple):
    """A sample with its texts; the stack is of functions, the innermost first."""

    stack: tuple[str, ...]
    values: tuple[int, ...]
    labels: dict[str, Any]


def read(profile: bytes) -> Any:
    """The message, by protobuf."""
    return ProfileMessage.FromString(gzip.decompress(profile))


def samples(profile: bytes) -> Iterable[Read]:
    """All samples, by protobuf."""
    message = read(profile)
    texts = list(message.string_table)
    names = {one.id: texts[one.name] for one in message.function}
    places = {one.id: names[one.line[0].function_id] for one in message.location}
    for one in message.sample:
        labels = {texts[label.key]: label.num if label.num_unit else texts[label.str] for label in one.label}
        yield Read(tuple(places[number] for number in one.location_id), tuple(one.value), labels)


class Client:
    """Asks one `Pprof` in the running loop, as an application would."""

    def __init__(self) -> None:
        self._routes = {(route.method, route.path): route for route in Pprof().routes()}
        self.gone = asyncio.Event()

    async def get(self, name: str, method: str = "GET") -> Answered:
        """The answer below `/debug/pprof`, a problem as its application would give it."""
        path, _, query = f"/debug/pprof{name}".partition("?")
        sent: list[Message] = []
        messages = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Message:
            if not messages:
                await self.gone.wait()
            return messages.pop() if messages else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        scope: dict[str, Any] = {
            "type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": [],
        }  # fmt: skip
        try:
            await self._routes[method, path].handler(scope, receive, send)
        except Problem as problem:
            await problem.response()(scope, receive, send)
        headers = {key.decode(): value.decode() for key, value in sent[0]["headers"]}
        return Answered(sent[0]["status"], headers, b"".join(one.get("body", b"") for one in sent[1:]))


def get(name: str) -> Answered:
    """The answer of a process in which nothing else happens."""

    async def ask() -> Answered:
        return await Client().get(name)

    return asyncio.run(ask())
