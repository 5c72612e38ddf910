"""Work for a runner goes on until it is done, or the runner has gone."""

from __future__ import annotations

import asyncio

import pytest

from jobmeter.gateway.relay import leaving
from jobmeter.gateway.relay.client import Client, Gone
from jobmeter.gateway.relay.leaving import unless_gone
from tests.gateway.relay.rig import until

SCOPE = {"method": "GET", "raw_path": b"/", "query_string": b"", "headers": [], "scheme": "http"}


class Runner:
    """One whose request is whole, and that goes when it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.goes = asyncio.Event()
        self.client = Client(SCOPE, self._receive, self._send)

    async def _receive(self):
        self.asked += 1
        if self.asked == 1:
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.goes.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message):
        raise AssertionError(message)

    async def whole(self) -> Runner:
        async for _ in self.client.chunks():
            raise AssertionError("it has no body")
        return self


class Work:
    """Something that takes as long as it is told."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.end = ""

    async def do(self) -> None:
        try:
            await asyncio.sleep(self._seconds)
            self.end = "done"
        except asyncio.CancelledError:
            self.end = "broken off"
            raise


def run(main):
    asyncio.run(main())


def test_work_that_is_soon_done_is_not_watched():
    """It costs no task, and the connection is not looked at, nor is it afterwards."""

    async def main():
        runner, work = await Runner().whole(), Work(0.005)
        runner.goes.set()
        before = asyncio.all_tasks()
        doing = asyncio.create_task(unless_gone(runner.client, work.do()))
        await asyncio.sleep(0.001)
        assert asyncio.all_tasks() - before == {doing}
        await doing
        await asyncio.sleep(2 * leaving._WATCHED_AFTER_SECONDS)
        assert (work.end, runner.asked, runner.client.left) == ("done", 1, False)

    run(main)


def test_a_runner_that_goes_breaks_it_off():
    """Whoever waits for the work then goes on as if nothing were, and can be broken off in turn."""

    async def main():
        runner, work = await Runner().whole(), Work(60)
        asyncio.get_running_loop().call_soon(runner.goes.set)
        await unless_gone(runner.client, work.do())
        assert (work.end, runner.client.left) == ("broken off", True)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.sleep(60)

    run(main)


@pytest.mark.parametrize("seconds", [0, 2 * leaving._WATCHED_AFTER_SECONDS])
def test_somebody_else_may_break_it_off(seconds):
    """Before it is watched, and while it is; nobody watches any longer."""

    async def main():
        runner, work = await Runner().whole(), Work(60)
        before = asyncio.all_tasks()
        doing = asyncio.create_task(unless_gone(runner.client, work.do()))
        await asyncio.sleep(seconds)
        doing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await doing
        await until(lambda: asyncio.all_tasks() == before)
        assert (work.end, runner.client.left) == ("broken off", False)

    run(main)


def test_both_at_once_are_somebody_else():
    """A server that stops is not held up by a runner that goes."""

    async def main():
        runner, work = await Runner().whole(), Work(60)
        doing = asyncio.create_task(unless_gone(runner.client, work.do()))
        await until(lambda: runner.asked == 2)
        runner.goes.set()
        await asyncio.sleep(0)
        doing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await doing

    run(main)


def test_what_the_work_says_itself():
    """That the runner has gone is its end; a fault is not swallowed."""

    async def fails(error):
        raise error

    async def main():
        runner = await Runner().whole()
        await unless_gone(runner.client, fails(Gone()))
        with pytest.raises(ValueError, match="fault"):
            await unless_gone(runner.client, fails(ValueError("fault")))

    run(main)
