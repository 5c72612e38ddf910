"""A Prometheus of a test's own on the loopback: it answers range queries, and badly where a test says so."""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import parse_qs

from jobmeter.referee.options import PrometheusOptions, RefereeOptions
from jobmeter.referee.queries import NamedQuery
from tests.support.forges.raw import Answer, Line, RawForge, Seen, raw_forge, response

JSON = ("Content-Type", "application/json")


class StandIn:
    """One series per query, a point per step; ``wrong`` answers in its place where the query is one of its keys."""

    def __init__(self) -> None:
        self.wrong: dict[str, Answer] = {}
        self.asked: list[dict[str, str]] = []
        self.seen: list[Seen] = []
        self.headers: list[tuple[str, str]] = [JSON]

    @property
    def expressions(self) -> list[str]:
        """What it was asked, in the order it came."""
        return [form["query"] for form in self.asked]

    async def __call__(self, seen: Seen, line: Line) -> None:
        form = asked_of(seen)
        self.seen.append(seen)
        self.asked.append(form)
        wrong = self.wrong.get(form["query"])
        if wrong is not None:
            await wrong(seen, line)
        else:
            await line.send(response(200, matrix(form), *self.headers))


def asked_of(seen: Seen) -> dict[str, str]:
    """The parameters, from body or target."""
    text = seen.body.decode() if seen.method == "POST" else seen.target.partition("?")[2]
    return {name: values[0] for name, values in parse_qs(text, keep_blank_values=True).items()}


def matrix(form: dict[str, str]) -> bytes:
    """An answer of a point for each step."""
    start, end, step = (round(float(form[name]) * 1000) for name in ("start", "end", "step"))
    points = [[time / 1000, "0.5"] for time in range(start, end + 1, step)]
    rows = [{"metric": {"instance": "a"}, "values": points}]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": rows}}).encode()


def says(status: int, body: bytes = b"", *headers: tuple[str, str]) -> Answer:
    """Answers so, whatever it is asked."""

    async def answer(_: Seen, line: Line) -> None:
        await line.send(response(status, body, *headers))

    return answer


def once(first: Answer) -> Answer:
    """That the first time, then a good answer."""
    answers = iter([first])

    async def answer(seen: Seen, line: Line) -> None:
        await next(answers, good)(seen, line)

    return answer


async def good(seen: Seen, line: Line) -> None:
    """As it should be."""
    await line.send(response(200, matrix(asked_of(seen)), JSON))


async def packed(seen: Seen, line: Line) -> None:
    """As it should be, with gzip."""
    body = gzip.compress(matrix(asked_of(seen)))
    await line.send(response(200, body, JSON, ("Content-Encoding", "gzip")))


async def silent(_: Seen, line: Line) -> None:
    """Takes the question, and says nothing."""
    await line.closed()


async def cut(_: Seen, line: Line) -> None:
    """Breaks off in the middle of an answer."""
    await line.send(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"status":"succ')
    line.reset()


async def hang_up(_: Seen, line: Line) -> None:
    """Closes the connection without a word."""
    line.reset()


async def no_http(_: Seen, line: Line) -> None:
    """Speaks something else."""
    await line.send(b"\x15\x03\x01\x00\x02\x02\x16\r\n\r\n")


@asynccontextmanager
async def listening(
    answer: Answer, context: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[str, RawForge]]:
    """Its URL, and the server."""
    async with raw_forge(answer, context) as server:
        yield f"{'http' if context is None else 'https'}://localhost:{server.port}", server


def options(
    address: str, queries: Iterable[tuple[str, str]] = (("up", "up"),), **more: Any
) -> RefereeOptions:
    """Those of a referee that asks it; what belongs to its client goes there."""
    client = {name: more.pop(name) for name in PrometheusOptions.__struct_fields__ if name in more}
    prometheus = PrometheusOptions(address=address, **client)
    return RefereeOptions(
        prometheus=prometheus, queries=tuple(NamedQuery(*query) for query in queries), **more
    )


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """Its URL, while it answers from a thread of its own."""
    loop, ready = asyncio.new_event_loop(), threading.Event()
    url = ""

    async def live(stop: asyncio.Event) -> None:
        nonlocal url
        async with listening(answer) as (found, _):
            url = found
            ready.set()
            await stop.wait()

    stop = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(live(stop),))
    thread.start()
    try:
        assert ready.wait(10)
        yield url
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
