"""What passes of a task's reports, how it is counted, and what is held while the forge is away."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections import deque

import pytest

from jobmeter.gateway.figures.events import (
    LogReported,
    StateReported,
    StepChanged,
    TaskBegan,
    TaskClosing,
    WorkBegan,
)
from jobmeter.gateway.figures.runner import RunnerFigures
from jobmeter.gateway.figures.totals import Totals
from jobmeter.gateway.forges import messages
from jobmeter.gateway.keeping.keeping import Keeping
from jobmeter.gateway.relay.options import ForgeOptions
from tests.gateway.relay.rig import Clock, Messages, Rig, until
from tests.support.forges.actions import HANG, LOST, PATH, RESET, Fault, Runner, actions_forge
from tests.support.forges.serving import request, wire

SUCCESS = 1
LONG = ("Connect-Timeout-Ms", "10000000")


def run(main):
    asyncio.run(main())


async def fetched(rig: Rig, task_id: int = 7) -> Runner:
    runner = Runner(rig.port, "one", "secret")
    assert await runner.fetch() == [task_id]
    return runner


def test_reports_are_counted():
    """Rows that the forge has not taken, steps that began and ended, the end of the work."""

    async def main():
        async with actions_forge(one="secret") as forge, Rig(forge).running() as rig:
            forge.enqueue(7)
            runner = await fetched(rig)
            began, stopped = {"seconds": 1_700_000_000}, {"seconds": 1_700_000_004}
            await runner.log(7, 0, "a", "b")
            await runner.log(7, 5, "far ahead")
            await runner.state(7, steps=[{"id": 0, "started_at": began}])
            await runner.state(7, steps=[{"id": 0, "started_at": began, "stopped_at": stopped, "result": 1}])
            await runner.log(7, 2, "c", last=True)
            assert [event.rows_left for event in rig.told.of(LogReported)] == [0, 4, 0]
            assert [event.seconds for event in rig.told.of(StepChanged)] == [None, 4.0]
            assert len(rig.told.of(WorkBegan)) == len(rig.told.of(TaskClosing)) == 1
            assert [event.ok for event in rig.told.of(StateReported)] == [True, True]

    run(main)


@pytest.mark.parametrize("after,told", [(3.0, 3.0), (-0.5, 0.0), (-3600.0, 10.0), (3600.0, 10.0)])
def test_the_first_step_began_when_its_runner_says(after: float, told: float):
    """So long after the hand-out, and not when it is reported ten seconds later, unless the clocks differ."""

    async def main():
        clock = Clock()
        async with actions_forge(one="secret") as forge, Rig(forge, clock=clock).running() as rig:
            forge.enqueue(7)
            runner = await fetched(rig)
            (handed,) = (began.at for began in rig.told.of(TaskBegan))
            assert handed is not None
            clock.ahead = 10.0
            await runner.state(7, steps=[{"id": 0, "started_at": timestamp(handed + after)}])
            (began,) = rig.told.of(WorkBegan)
            assert began.seconds is not None
            assert began.seconds >= 10.0 if told == 10.0 else began.seconds == pytest.approx(told, abs=1e-3)

    run(main)


def timestamp(seconds: float) -> dict[str, int]:
    return {"seconds": int(seconds), "nanos": int(seconds % 1 * 1e9)}


def test_steps_of_a_task_that_the_forge_has_cancelled():
    """Its runner tells last how they went: they are counted, once, and the task is not over twice."""

    async def main():
        async with actions_forge(one="secret") as forge, Rig(forge).running() as rig:
            forge.enqueue(7)
            runner = await fetched(rig)
            began, stopped = {"seconds": 1_700_000_000}, {"seconds": 1_700_000_004}
            await runner.state(7, steps=[{"id": 0, "started_at": began}])
            forge.jobs[7].cancel()
            await runner.state(7, steps=[{"id": 0, "started_at": began}])
            assert rig.ended == [("7", "cancelled")]
            for _ in range(2):
                await runner.state(
                    7, 3, steps=[{"id": 0, "started_at": began, "stopped_at": stopped, "result": 3}]
                )
            figures = RunnerFigures("one", 0.0, Totals())
            for _, event in rig.told.events:
                figures.apply(event)
            assert (figures.step_seconds.count, figures.step_seconds.sum) == (1, 4.0)
            assert figures.jobs == {"cancelled": 1}
            assert figures.jobs_running == 0

    run(main)


@pytest.mark.parametrize("fault,status", [(502, 502), (500, 500), (RESET, 503), (LOST, 503)])
def test_a_report_that_fails_is_passed_on(fault: Fault, status: int):
    """The runner tries again; the task lives."""

    async def main():
        async with actions_forge(one="secret") as forge, Rig(forge).running() as rig:
            forge.enqueue(7)
            runner = await fetched(rig)
            forge.faults["UpdateLog"] = deque([fault])
            forge.faults["UpdateTask"] = deque([fault])
            assert (await runner.log(7, 0, "a")).status == status
            assert (await runner.state(7, SUCCESS)).status == status
            assert rig.held == ["7"]
            assert (await runner.log(7, 0, "a")).status == 200
            assert (await runner.state(7, SUCCESS)).status == 200
            assert forge.jobs[7].rows == ["a"]
            assert [event.ok for event in rig.told.of(LogReported)] == [False, True]
            assert rig.ended == [("7", "success")]

    run(main)


def test_last_reports_wait_for_the_forge():
    """A runner that waits for hours has its log and its result taken when the forge is back."""

    async def main():
        async with actions_forge(one="secret") as forge, Rig(forge).running() as rig:
            forge.enqueue(7)
            runner = await fetched(rig)
            await forge.go_away()
            rows = [{"content": "the end"}]
            last = asyncio.create_task(
                runner.call("UpdateLog", LONG, task_id=7, index=0, rows=rows, no_more=True)
            )
            await until(lambda: len(rig.told.of(LogReported)) >= 1)
            await forge.listen()
            assert (await last).status == 200
            forge.faults["UpdateTask"] = deque([502, RESET])
            state = {"id": 7, "result": SUCCESS}
            assert (await runner.call("UpdateTask", LONG, state=state)).status == 200
            assert (forge.jobs[7].rows, forge.jobs[7].result) == (["the end"], SUCCESS)
            assert rig.ended == [("7", "success")]

    run(main)


AWAY: list[Fault] = [500, 503, 404, 429, 999, RESET]


@pytest.mark.parametrize("fault", AWAY)
def test_a_last_report_that_was_not_taken_is_kept(fault, tmp_path):
    """Whatever the forge said instead, and however often the runner has tried: it is told again."""

    async def main():
        keeping = Keeping(tmp_path, "forge", Messages())
        async with (
            actions_forge(one="secret") as forge,
            Rig(forge, keeping=keeping, quiet_seconds=0.05).running() as rig,
        ):
            forge.enqueue(7)
            runner = await fetched(rig)
            for call in ("UpdateLog", "UpdateTask"):
                forge.faults[call] = deque([fault] * 4)
            for _ in range(3):
                await runner.log(7, 0, "the end", last=True)
                await runner.state(7, SUCCESS)
            await until(lambda: forge.jobs[7].result == SUCCESS)
            assert forge.jobs[7].rows == ["the end"]
            await until(lambda: rig.ended == [("7", "success")])
            await until(lambda: not list((tmp_path / "forge" / "finals").iterdir()))

    run(main)


def test_a_last_report_that_the_forge_refuses_is_not_kept(tmp_path):
    """It has closed the task: nobody tells it again."""

    async def main():
        keeping = Keeping(tmp_path, "forge", Messages())
        async with (
            actions_forge(one="secret") as forge,
            Rig(forge, keeping=keeping, quiet_seconds=0.01).running() as rig,
        ):
            forge.enqueue(7)
            runner = await fetched(rig)
            forge.tokens.clear()
            assert (await runner.state(7, SUCCESS)).status == 401
            await asyncio.sleep(0.1)
            assert forge.calls["UpdateTask"] == 1

    run(main)


def test_last_reports_are_held_no_longer_than_the_runner_waits():
    """It gets the failure in time, and its own next attempt is as good."""

    async def main():
        async with actions_forge(one="secret") as forge, Rig(forge).running() as rig:
            forge.enqueue(7)
            runner = await fetched(rig)
            await forge.go_away()
            short = ("Connect-Timeout-Ms", "1500")
            got = await runner.call("UpdateTask", short, state={"id": 7, "result": SUCCESS})
            assert got.status == 503
            assert rig.held == ["7"]

    run(main)


def test_last_reports_of_a_runner_that_names_no_limit_are_held_too():
    """Forgejo's does not, gives up its result with its last rows, and waits a minute for an answer."""

    async def main():
        async with (
            actions_forge(one="secret") as forge,
            Rig(forge, answer_seconds=None).running() as rig,
        ):
            forge.enqueue(7)
            runner = await fetched(rig)
            forge.faults["UpdateLog"] = deque([RESET, 502])
            assert (await runner.log(7, 0, "the end", last=True)).status == 200
            assert forge.calls["UpdateLog"] == 3

    run(main)


def test_a_forge_that_hangs_holds_a_runner_that_names_no_limit_no_longer_than_it_waits():
    """Two attempts at the last report are no longer than one."""

    async def main():
        async with (
            actions_forge(one="secret") as forge,
            Rig(forge, answer_seconds=1.0).running() as rig,
        ):
            forge.enqueue(7)
            runner = await fetched(rig)
            forge.faults["UpdateLog"] = deque([502, HANG])
            assert (await runner.log(7, 0, "the end", last=True)).status == 503
            assert forge.calls["UpdateLog"] == 2

    run(main)


@pytest.mark.parametrize("kind,seconds", [("forgejo", 60.0), ("gitea", 60.0), ("gitlab", 0.0)])
def test_how_long_a_runner_waits_that_does_not_say_so(kind, seconds):
    """GitLab's tries on for hours."""
    options = ForgeOptions(name="forge", kind=kind, url="http://localhost/")
    assert options.patient_seconds == seconds


def test_a_runner_that_goes_is_held_no_more():
    """Its report is not tried again by anybody."""

    async def main():
        async with actions_forge(one="secret") as forge, Rig(forge).running() as rig:
            forge.enqueue(7)
            runner = await fetched(rig)
            forge.faults["UpdateTask"] = deque([502] * 50)
            async with wire(rig.port) as line:
                await line.send(runner.written("UpdateTask", LONG, state={"id": 7, "result": SUCCESS}))
                await until(lambda: forge.calls["UpdateTask"] == 1)
            await asyncio.sleep(1.0)
            assert forge.calls["UpdateTask"] == 1

    run(main)


def test_a_task_that_the_forge_does_not_know_any_more():
    """Its slot is free."""

    async def main():
        async with actions_forge(one="secret") as forge, Rig(forge).running() as rig:
            forge.enqueue(7)
            runner = await fetched(rig)
            forge.faults["UpdateLog"] = deque([404])
            await runner.log(7, 0, "a")
            assert rig.held == ["7"]

    run(main)


def test_what_cannot_be_read_passes():
    """Bytes that are no message reach the forge as they are, and its answer the runner."""

    async def main():
        async with actions_forge(one="secret") as forge, Rig(forge).running() as rig:
            runner = Runner(rig.port, "one", "secret")
            written = runner.written("UpdateLog", task_id=7).replace(
                b"Content-Length: 2", b"Content-Length: 4"
            )
            forge.faults["UpdateLog"] = deque([400])
            async with wire(rig.port) as line:
                await line.send(written + b"\xff\xff")
                assert (await line.answer()).status == 400
            assert forge.seen[-1].body == b"\x08\x07\xff\xff"
            assert rig.relay.unread == 1
            assert rig.log.texts == ["a request of a runner passes without being understood"]

    run(main)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_to_be_read_passes(chunked):
    """Streamed, and not counted; whether it says how large it is or not."""

    async def main():
        async with actions_forge(one="secret") as forge, Rig(forge, read_bytes=1000).running() as rig:
            forge.enqueue(7)
            runner = await fetched(rig)
            rows = [{"content": "x" * 100}] * 100
            head, _, body = runner.written("UpdateLog", task_id=7, rows=rows).partition(b"\r\n\r\n")
            if chunked:
                head = head.replace(b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked")
                body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            async with wire(rig.port) as line:
                await line.send(head + b"\r\n\r\n" + body)
                assert (await line.answer()).status == 200
            assert ("transfer-encoding" in forge.seen[-1].by_name) == chunked
            assert len(forge.jobs[7].rows) == 100
            assert rig.told.of(LogReported) == []

    run(main)


def test_what_is_unpacked_takes_room_too():
    """Small packed bodies of much cannot fill the memory together: who finds no room passes unread."""

    async def main():
        async with (
            actions_forge(one="secret") as forge,
            Rig(forge, read_bytes=60_000, held_bytes=100_000).running() as rig,
        ):
            said = messages.MESSAGES["runner.v1.UpdateLogRequest"](
                task_id=7, rows=[{"content": "x" * 50_000}]
            )
            packed = [("Content-Type", "application/proto"), ("Content-Encoding", "gzip"), LONG]
            body = request("POST", PATH + "UpdateLog", *packed, body=gzip.compress(said.SerializeToString()))
            forge.faults["UpdateLog"] = deque([HANG] * 3)
            async with contextlib.AsyncExitStack() as lines:
                for _ in range(3):
                    await (await lines.enter_async_context(wire(rig.port))).send(body)
                await until(lambda: forge.calls["UpdateLog"] == 3)
                assert rig.relay.unread == 2

    run(main)


def test_a_log_of_many_rows_passes():
    """100,000 of them in one request are normal."""

    async def main():
        async with actions_forge(one="secret") as forge, Rig(forge).running() as rig:
            forge.enqueue(7)
            runner = await fetched(rig)
            assert (await runner.log(7, 0, *["x" * 60] * 100_000)).status == 200
            assert len(forge.jobs[7].rows) == 100_000
            assert [event.rows_left for event in rig.told.of(LogReported)] == [0]

    run(main)


def test_a_report_shows_that_the_forge_is_back():
    """No runner need ask for work: what it did not answer before is no trouble any more."""

    async def main():
        async with (
            actions_forge(one="secret") as forge,
            Rig(forge, steady=30.0).running() as rig,
        ):
            runner = Runner(rig.port, "one", "secret")
            forge.enqueue(7)
            assert await runner.fetch() == [7]
            forge.faults["FetchTask"] = deque([503])
            await runner.call("FetchTask")
            (one,) = rig.relay.standing()
            assert one.trouble is not None
            await runner.log(7, 0, "a")
            (one,) = rig.relay.standing()
            assert one.trouble is None

    run(main)
