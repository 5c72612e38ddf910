"""Large answers go out as they are read, and are bounded together."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message

from jobmeter.ops.answers import PIECE_BYTES, Answer, Outlet
from jobmeter.ops.problems import Problem

START = {"type": "http.response.start", "status": 200, "headers": []}


class Reader:
    """Takes messages; a body only when it is allowed to."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.may_read = asyncio.Event()

    async def __call__(self, message) -> None:
        if message["type"] == "http.response.body":
            await self.may_read.wait()
        self.messages.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(one["body"] for one in self.messages if one["type"] == "http.response.body")


def body(size: int, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": bytes(range(256)) * (size // 256), "more_body": more}


@pytest.mark.parametrize("size", [0, 256, PIECE_BYTES, PIECE_BYTES + 256, 3 * PIECE_BYTES])
def test_an_answer_comes_whole_however_large(size):
    """Its status first, its end once."""

    async def work():
        reader = Reader()
        reader.may_read.set()
        answer = Answer(reader, Outlet())
        assert answer.status == 0
        await answer(START)
        await answer(body(size, more=True))
        assert answer.status == 200
        await answer(body(size))
        assert reader.body == body(size)["body"] * 2
        assert [one.get("more_body") for one in reader.messages].count(False) == 1
        assert reader.messages[0] is START
        assert max(len(one.get("body", b"")) for one in reader.messages) <= PIECE_BYTES

    asyncio.run(work())


def test_large_answers_that_nobody_reads_are_bounded_together():
    """One that has not begun is refused, one that has waits; with room both go on."""

    async def work():
        outlet, size = Outlet(4 * PIECE_BYTES), 3 * PIECE_BYTES
        slow, begun, late = Reader(), Reader(), Reader()
        first = asyncio.create_task(send(Answer(slow, outlet), size))
        await asyncio.sleep(0)
        going = Answer(begun, outlet)
        begun.may_read.set()
        await going(START)
        await going(body(256, more=True))
        waiting = asyncio.create_task(going(body(size)))
        refused = Answer(late, outlet)
        with pytest.raises(Problem) as raised:
            await send(refused, size)
        assert (raised.value.status, refused.status, late.messages) == (503, 0, [])
        assert not waiting.done()
        slow.may_read.set()
        await asyncio.gather(first, waiting)
        assert len(begun.body) == size + 256
        late.may_read.set()
        await send(refused, size)
        assert len(late.body) == size

    asyncio.run(work())


async def send(answer: Answer, size: int) -> None:
    await answer(START)
    await answer(body(size))


def test_a_reader_that_goes_away_leaves_its_room():
    """For the next one."""

    async def work():
        outlet = Outlet(PIECE_BYTES)
        task = asyncio.create_task(send(Answer(Reader(), outlet), 2 * PIECE_BYTES))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        reader = Reader()
        reader.may_read.set()
        await send(Answer(reader, outlet), 2 * PIECE_BYTES)
        assert len(reader.body) == 2 * PIECE_BYTES

    asyncio.run(work())
