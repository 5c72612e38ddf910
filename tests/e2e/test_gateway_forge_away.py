"""The forge is away, slow or broken, for real processes: the result arrives, the runner hears what there is to hear."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from jobmeter.gateway.forges import messages
from tests.e2e.support.cut_lines import Network, network
from tests.e2e.support.gateways import TOKEN, RunningGateway, running_gateway
from tests.e2e.support.scripted_runners import (
    OF_ACT_RUNNER,
    OF_FORGEJO_RUNNER,
    OF_NOBODY,
    SUCCESS,
    ActionsWorker,
    GitlabWorker,
    Patience,
    at_work,
    until,
)
from tests.support.certificates import authority
from tests.support.forges.actions import HANG, RESET, ActionsForge, Fault, Runner, actions_forge
from tests.support.forges.gitlab import gitlab_forge
from tests.support.forges.raw import raw_forge, response
from tests.support.forges.serving import Got

AWAY_SECONDS = float(os.environ.get("JOBMETER_AWAY_SECONDS", "6"))
"""With 300 the runners try as long as the official ones: 51 s."""
FIRST_PAUSE = min(0.1, AWAY_SECONDS / 1200)
QUIET_SECONDS = 60
"""What was given up is delivered when its runner has not tried for 30 s."""


class Meanwhile(NamedTuple):
    """How long the runner waits; whether the gateway is killed before the forge is back."""

    patience: Patience
    killed: bool = False


MEANWHILE = [
    pytest.param(Meanwhile(OF_ACT_RUNNER), id="act_runner-waits"),
    pytest.param(Meanwhile(OF_FORGEJO_RUNNER), id="forgejo-runner-waits"),
    pytest.param(Meanwhile(OF_NOBODY), id="the-runner-gives-up"),
    pytest.param(Meanwhile(OF_NOBODY, killed=True), id="and-the-gateway-is-killed"),
]


def said_at_last(forge: ActionsForge) -> list[str]:
    """The last reports of the tasks in the order in which they have come."""
    found = []
    for seen in forge.seen:
        call = seen.target.rpartition("/")[2]
        if call in ("UpdateLog", "UpdateTask"):
            said = messages.decode(f"runner.v1.{call}Request", "proto", seen.body)
            if said.no_more if call == "UpdateLog" else said.state.result:
                found.append(call)
    return found


async def left_with_the_log(forge: ActionsForge) -> None:
    """It takes the last rows of task 1, but not its result: without the rows a runner does not tell that."""
    forge.faults["UpdateTask"] = deque([RESET] * 100)
    await until(lambda: forge.jobs[1].closed)
    before = forge.calls["UpdateTask"]
    await until(lambda: forge.calls["UpdateTask"] > before)


@pytest.mark.slow
@pytest.mark.parametrize("meanwhile", MEANWHILE)
def test_the_result_arrives_when_the_forge_is_back(tmp_path: Path, meanwhile: Meanwhile) -> None:
    """Whole, in order, once; JOBMETER_AWAY_SECONDS says after how long."""

    async def main() -> None:
        async with (
            actions_forge(one=TOKEN) as forge,
            running_gateway(tmp_path, forge.url, capacity=1) as gateway,
        ):
            waits = meanwhile.patience is not OF_NOBODY
            worker = ActionsWorker(
                gateway.port, "one", TOKEN, patience=meanwhile.patience, last_pause=FIRST_PAUSE
            )
            forge.enqueue(1)
            job = forge.jobs[1]
            async with at_work(worker):
                await until(lambda: len(job.rows) == worker.reports)
                if not waits:
                    await left_with_the_log(forge)
                began = time.monotonic()
                await forge.go_away()
                forge.faults.clear()  # Not before: the result could slip through.
                if not waits:
                    await until(lambda: worker.ended == {1: "given up"}, AWAY_SECONDS + 60)
                if meanwhile.killed:
                    await gateway.kill()
                    await gateway.start()
                await asyncio.sleep(max(0.0, began + AWAY_SECONDS - time.monotonic()))
                forge.seen.clear()
                await forge.listen()
                await until(lambda: job.result == SUCCESS, QUIET_SECONDS)
            assert (len(job.rows), job.closed, job.handed) == (worker.reports + 1, True, ["one"])
            await asyncio.sleep(1)
            assert said_at_last(forge) == ["UpdateLog", "UpdateTask"]
            assert not list((gateway.state / "forge" / "finals").iterdir())

    asyncio.run(main())


@pytest.mark.slow
def test_the_result_of_a_runner_that_is_killed_meanwhile(tmp_path: Path) -> None:
    """GitLab is away at the end of a job, its runner tries for a while and dies: GitLab hears of the success."""

    async def main() -> None:
        async with (
            gitlab_forge(TOKEN, hold_seconds=0.2) as forge,
            running_gateway(tmp_path, forge.url, "gitlab", capacity=1) as gateway,
        ):
            worker = GitlabWorker(gateway.port, TOKEN)
            forge.enqueue(1)
            finals = gateway.state / "forge" / "finals"
            async with at_work(worker):
                await until(lambda: forge.jobs[1].trace.count(b"line") == worker.reports)
                await forge.go_away()
                await until(lambda: any(finals.glob("*.json")))
            await forge.listen()
            await until(lambda: forge.jobs[1].state == "success", QUIET_SECONDS)
            assert forge.calls["job"] == 1

    asyncio.run(main())


# --- one clear line -----------------------------------------------------------------------------------------


class Standing(NamedTuple):
    """A forge, the network before it, and a gateway that gives them 300 ms."""

    forge: ActionsForge
    between: Network
    gateway: RunningGateway
    runner: Runner


@asynccontextmanager
async def standing(folder: Path, **keys: Any) -> AsyncIterator[Standing]:
    """All works until now."""
    async with AsyncExitStack() as stack:
        forge = await stack.enter_async_context(actions_forge(one=TOKEN))
        between = await stack.enter_async_context(network(forge.port))
        url = f"http://127.0.0.1:{between.port}/"
        gateway = await stack.enter_async_context(
            running_gateway(folder, url, capacity=2, fetch_timeout="300ms", **keys)
        )
        runner = Runner(gateway.port, "one", TOKEN)
        forge.enqueue(1)
        while not forge.jobs[1].handed:
            await runner.fetch()
        yield Standing(forge, between, gateway, runner)


async def away(where: Standing) -> None:
    await where.forge.go_away()


async def half_open(where: Standing) -> None:
    where.between.swallows = True


def faulty(*faults: Fault) -> Callable[[Standing], Awaitable[None]]:
    """Each call is answered so."""

    async def make(where: Standing) -> None:
        for call in ("FetchTask", "UpdateLog"):
            where.forge.faults[call] = deque(faults * 20)

    return make


CANNOT_ASK, TOO_SLOW = (
    "the forge cannot be asked for jobs",
    "the forge did not answer a request for a job in time",
)
IS_AWAY = "the forge, or what stands before it, answers that it is away"
NOT_PASSED = "a request of a runner could not be passed"
BROKEN = [
    pytest.param(away, (503, b"unavailable"), (503, b"unavailable"), {CANNOT_ASK, NOT_PASSED}, id="away"),
    pytest.param(half_open, (200, b""), (503, b"took too long"), {TOO_SLOW, NOT_PASSED}, id="half-open"),
    pytest.param(faulty(HANG), (200, b""), (503, b"took too long"), {TOO_SLOW, NOT_PASSED}, id="hangs"),
    pytest.param(faulty(0.8), (200, b""), (503, b"took too long"), {TOO_SLOW, NOT_PASSED}, id="slow"),
    pytest.param(faulty(500), (500, b"<html>away"), (500, b"<html>away"), {CANNOT_ASK}, id="500"),
    pytest.param(faulty(502), (502, b"<html>away"), (502, b"<html>away"), {CANNOT_ASK, IS_AWAY}, id="502"),
    pytest.param(faulty(503), (503, b"<html>away"), (503, b"<html>away"), {CANNOT_ASK, IS_AWAY}, id="503"),
]


@pytest.mark.parametrize("breaks,fetched,reported,lines", BROKEN)
def test_what_is_told_of_a_broken_forge(
    tmp_path: Path,
    breaks: Callable[[Standing], Awaitable[None]],
    fetched: tuple[int, bytes],
    reported: tuple[int, bytes],
    lines: set[str],
) -> None:
    """Runners get its own words, or that it is away; operators one line of each kind; then all goes on."""

    async def main() -> None:
        async with standing(tmp_path) as where:
            before = len(where.gateway.warned)
            await breaks(where)
            for _ in range(3):
                check(await where.runner.call("FetchTask"), fetched)
                limit = ("Connect-Timeout-Ms", "300")
                check(await where.runner.call("UpdateLog", limit, task_id=1), reported)
                await asyncio.sleep(0.15)
            told = where.gateway.warned[before:]
            assert sorted(line["msg"] for line in told) == sorted(lines), told
            assert all(len(line["error"]) > 20 for line in told if "error" in line)
            await mended(where)
            assert (await where.runner.log(1, 0, "a row")).status == 200
            where.forge.enqueue(2)
            async with asyncio.timeout(20):
                while await where.runner.fetch() != [2]:
                    await asyncio.sleep(0.05)

    asyncio.run(main())


def check(got: Got, expected: tuple[int, bytes]) -> None:
    status, words = expected
    assert (got.status, words in got.body) == (status, True), got


async def mended(where: Standing) -> None:
    """All works again; connections of before may be dead."""
    where.forge.faults.clear()
    where.between.swallows = False
    await where.forge.go_away()
    await where.forge.listen()


@asynccontextmanager
async def unknown(folder: Path) -> AsyncIterator[int]:
    """A forge whose certificate nobody here vouches for."""
    async with raw_forge(context=authority(folder).server()) as forge:
        yield forge.port
        assert forge.seen == []


@asynccontextmanager
async def plain(folder: Path) -> AsyncIterator[int]:
    """One that speaks no TLS, and says so as HTTP servers do."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(response(400))
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    "served,words",
    [
        pytest.param(unknown, "its certificate is not accepted (unable to get local issuer", id="unknown"),
        pytest.param(plain, "TLS is not agreed on", id="plain"),
    ],
)
def test_tls_that_is_not_agreed_on(
    tmp_path: Path, served: Callable[[Path], AbstractAsyncContextManager[int]], words: str
) -> None:
    """Said in words, to runner and operator; no request is sent."""

    async def main() -> None:
        async with (
            served(tmp_path) as port,
            running_gateway(tmp_path, f"https://localhost:{port}/") as gateway,
        ):
            runner = Runner(gateway.port, "one", TOKEN)
            await all_refused(runner, words)
            (told,) = gateway.said(CANNOT_ASK)
            assert words in told["error"]

    asyncio.run(main())


async def all_refused(runner: Runner, words: str) -> None:
    """Three times in a row, with the back-off between them."""
    for _ in range(3):
        check(await runner.call("FetchTask"), (503, words.encode()))
        await asyncio.sleep(0.15)
