"""Bodies are bounded before and after they are inflated."""

from __future__ import annotations

import asyncio
import gzip
import threading
from contextlib import ExitStack

import pytest

from jobmeter.ops.application import Disconnected
from jobmeter.ops.problems import Problem
from jobmeter.receiver.bodies import (
    MAX_BODY_BYTES,
    SMALL_BYTES,
    Body,
    Handling,
    Intake,
    read_body,
)


def read(*pieces: bytes, headers: tuple[tuple[bytes, bytes], ...] = (), whole: bool = True) -> Body:
    """Read a body that comes in pieces; the client is gone after them unless it is whole."""
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.request", "body": b""} if whole else {"type": "http.disconnect"})

    async def receive():
        return messages.pop(0)

    return asyncio.run(read_body({"headers": headers}, receive))


def test_pieces_are_one_body():
    """However it was cut on its way."""
    assert read(b"a", b"", b"bc").content() == b"abc"


def test_a_client_that_leaves_has_sent_nothing():
    """Half a body is none."""
    with pytest.raises(Disconnected):
        read(b"half", whole=False)


@pytest.mark.parametrize(
    "pieces, headers, status",
    [
        ((b"x" * (MAX_BODY_BYTES + 1),), (), 413),
        ((b"x" * MAX_BODY_BYTES, b"x"), (), 413),
        ((), ((b"content-length", b"99999999999999999999999"),), 413),
        ((), ((b"content-encoding", b"br"),), 415),
    ],
)
def test_too_much_and_unknown_are_refused(pieces, headers, status):
    """Where the headers say it, before anything is read."""
    with pytest.raises(Problem) as raised:
        read(*pieces, headers=headers)
    assert raised.value.status == status


@pytest.mark.parametrize(
    "sent, status",
    [
        (gzip.compress(bytes(1001), mtime=0), 413),
        (gzip.compress(b"abc", mtime=0)[:-5], 400),
        (gzip.compress(b"abc", mtime=0) + b"more", 400),
        (b"abc", 400),
        (b"", 400),
    ],
)
def test_what_does_not_inflate_within_its_bound_is_refused(sent, status):
    """A bomb is not inflated beyond it."""
    with pytest.raises(Problem) as raised:
        Body(sent, gzipped=True).content(limit=1000)
    assert raised.value.status == status


def test_what_is_just_small_enough_is_taken():
    """The bound itself is accepted."""
    assert len(Body(gzip.compress(bytes(1000)), gzipped=True).content(limit=1000)) == 1000


@pytest.mark.parametrize(
    "body, inline",
    [
        (Body(bytes(SMALL_BYTES), gzipped=False), True),
        (Body(bytes(SMALL_BYTES + 1), gzipped=False), False),
        (Body(gzip.compress(bytes(SMALL_BYTES)), gzipped=True), True),
        (Body(gzip.compress(bytes(SMALL_BYTES + 1)), gzipped=True), False),
    ],
)
def test_a_large_body_is_parsed_beside_the_loop(body, inline):
    """Also one that is large only without its compression."""

    async def store(made):
        return made

    made = asyncio.run(
        Handling().handle(body, lambda content: (len(content), threading.current_thread()), store)
    )
    assert made[0] == len(body.content())
    assert (made[1] is threading.main_thread()) is inline


def test_two_large_bodies_are_handled_at_once():
    """From when they are made something of until that is stored: it takes memory."""
    now = most = 0
    lock = threading.Lock()

    def make(_):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)

    async def store(_):
        nonlocal now
        await asyncio.sleep(0.02)
        with lock:
            now -= 1

    async def work():
        handling = Handling()
        large = Body(bytes(SMALL_BYTES + 1), gzipped=False)
        await asyncio.gather(*(handling.handle(large, make, store) for _ in range(6)))

    asyncio.run(work())
    assert most == 2


def held(intake, *sizes):
    """The headers of the problems of bodies that come one after the other while none is answered; None without."""

    def receive_of(size):
        async def receive():
            return {"type": "http.request", "body": bytes(size), "more_body": False}

        return receive

    async def work():
        found: list[object] = []
        with ExitStack() as open_requests:
            for size in sizes:
                receive = open_requests.enter_context(intake.counting(receive_of(size)))
                try:
                    await receive()
                    found.append(None)
                except Problem as problem:
                    found.append((problem.status, problem.headers))
        return found

    return asyncio.run(work())


def test_bodies_that_wait_are_bounded_together():
    """Small ones find room while there is none for large ones; with the answers all of it is there again."""
    intake, refused = Intake(1_000_000), (503, {"Retry-After": "1"})
    for _ in range(2):
        assert held(intake, 700_000, 10_000, 50_000) == [None] * 3
        assert held(intake, 700_000, 100_000, 50_000) == [None, refused, None]
        assert held(intake, 740_000, *[50_000] * 6) == [None] * 6 + [refused]
