"""Asks an ASGI application without a server."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from starlette.types import ASGIApp, Message


class Answered(NamedTuple):
    """What an application answered."""

    status: int
    headers: dict[str, str]
    text: str


def ask(application: ASGIApp, **headers: str) -> Answered:
    """One GET."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope: dict[str, Any] = {
        "type": "http", "method": "GET", "path": "/", "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip

    async def work() -> None:
        await application(scope, receive, send)

    asyncio.run(work())
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answered(sent[0]["status"], found, b"".join(one.get("body", b"") for one in sent[1:]).decode())
