"""A forge as its runners see it, and requests to pages, without sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobmeter.gateway.polling.loop import Poller, Standing


class Messages:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.fields: list[dict[str, object]] = []

    def warn(self, message: str, **fields: object) -> None:
        self.said.append(message)
        self.fields.append(fields)

    def info(self, message: str, **fields: object) -> None:
        self.said.append(message)
        self.fields.append(fields)


class State(NamedTuple):
    """One runner."""

    key: str
    name: str | None = None
    standing: Standing = "ready"
    draining: bool = False
    capacity: int | None = None
    tasks: tuple[str, ...] = ()
    silent_seconds: float | None = None
    unregistered: str | None = None
    trouble: str | None = None


class Front:
    """Keeps what it was told; knows these runners."""

    def __init__(self, *runners: State) -> None:
        self.runners = list(runners)
        self.pollers: list[Poller] = []
        self.drained: list[tuple[str, bool]] = []
        self.paused: list[bool] = []
        self.lives = 0
        self.told: list[str] = []

    async def application(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    @asynccontextmanager
    async def life(self) -> AsyncIterator[None]:
        self.lives += 1
        self.told.append("begins")
        try:
            yield
        finally:
            self.lives -= 1
            self.told.append("ends")

    def drain(self, name: str, on: bool) -> int:
        if not any(name == one.key for one in self.runners):
            return 0
        self.drained.append((name, on))
        return 1

    def pause(self, on: bool) -> None:
        self.paused.append(on)

    def stop(self) -> None:
        self.told.append("stops")

    async def cancel_tasks(self) -> None:
        self.told.append("cancels")

    def standing(self) -> Iterable[State]:
        return self.runners


class Answered(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def detail(self) -> str:
        """The sentence of a problem."""
        return str(json.loads(self.text)["detail"])


def ask(application: ASGIApp, target: str, method: str = "GET", **headers: str) -> Answered:
    """One request without a body."""
    path, _, query = target.partition("?")
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope: dict[str, Any] = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode(),
        "headers": [(name.replace("_", "-").lower().encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip

    async def work() -> None:
        await application(scope, receive, send)

    asyncio.run(work())
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answered(sent[0]["status"], found, b"".join(one.get("body", b"") for one in sent[1:]).decode())
