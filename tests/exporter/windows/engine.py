"""An engine of a test's own on the loopback: it answers as one on Windows does, and badly where a test says so."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from jobmeter.exporter.windows.address import Engine
from tests.exporter.windows import told
from tests.support.forges.raw import Answer, Line, RawForge, Seen, raw_forge, response

VERSION = "1.43"
NO_SUCH = {"message": "No such container: f1f1"}


class WindowsEngine:
    """What it has; ``wrong`` answers in its place where a target ends so."""

    def __init__(self) -> None:
        self.info: dict[str, Any] = dict(told.INFO)
        self.ostype: str | None = "windows"
        self.listed: list[dict[str, Any]] = [told.LISTED]
        self.made: dict[str, dict[str, Any]] = {told.FIRST: told.inspected()}
        self.stats: dict[str, dict[str, Any]] = {told.FIRST: told.STATS}
        self.wrong: dict[str, Answer] = {}
        self.asked: list[str] = []

    def add(self, container_id: str, **stats: object) -> None:
        """Another one that runs."""
        self.listed.append({**told.LISTED, "Id": container_id, "Names": [f"/{container_id[:4]}"]})
        self.made[container_id] = told.inspected()
        self.stats[container_id] = {**told.STATS, **stats}

    async def __call__(self, seen: Seen, line: Line) -> None:
        self.asked.append(seen.target)
        for ending, answer in self.wrong.items():
            if seen.target.endswith(ending):
                await answer(seen, line)
                return
        await line.send(self._answer(seen.target))

    def _answer(self, target: str) -> bytes:
        headers = [("Api-Version", VERSION)]
        if self.ostype is not None:
            headers.append(("Ostype", self.ostype))
        if target == "/_ping":
            return response(200, b"OK", *headers)
        found = self._found(target.removeprefix(f"/v{VERSION}"))
        return response(
            200 if found is not None else 404, told.text(NO_SUCH if found is None else found), *headers
        )

    def _found(self, target: str) -> object:
        if target == "/info":
            return self.info
        if target == "/containers/json":
            return self.listed
        _, _, container_id, question = target.split("/")
        if question == "json":
            return self.made.get(container_id)
        assert question == "stats?stream=false&one-shot=true"
        return self.stats.get(container_id)


@asynccontextmanager
async def listening(
    answer: Answer, context: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[Engine, RawForge]]:
    """Where it is, as its machine is named, and the server that it is in."""
    async with raw_forge(answer, context) as server:
        yield Engine("build-3", "localhost", server.port), server


async def silent(_: Seen, line: Line) -> None:
    """Takes the question, and says nothing."""
    await line.closed()


async def cut(_: Seen, line: Line) -> None:
    """Breaks off in the middle of an answer."""
    await line.send(b'HTTP/1.1 200 OK\r\nApi-Version: 1.43\r\nContent-Length: 1000\r\n\r\n{"OSType":')
    line.reset()


def says(status: int, body: bytes = b"", *headers: tuple[str, str]) -> Answer:
    """Answers so, whatever it is asked."""

    async def answer(_: Seen, line: Line) -> None:
        await line.send(response(status, body, *headers))

    return answer
