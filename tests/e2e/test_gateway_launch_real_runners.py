"""The forges' own runners, launched by the gateway for each task, where they are on PATH; and always a stand-in."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import pytest

from tests.e2e.support.components import require_root
from tests.e2e.support.gateways import TOKEN
from tests.e2e.support.launching import PROGRAMS, LaunchingGateway, launching_gateway, open_folder, ready
from tests.e2e.support.runners import UUID, Program
from tests.support.forges.actions import ActionsForge, actions_forge
from tests.support.forges.gitlab import GitlabForge, gitlab_forge
from tests.support.receivers import FlakyReceiver, serving

Forge = ActionsForge | GitlabForge
Ending = Literal["success", "failure", "cancelled"]
EACH_SECONDS = 0.1
PATIENCE_SECONDS = 60
DEATH_SECONDS = 10
"""So soon after a runner's death its job has failed."""
PRINTED = "it 42 begins"
BEGINS = "echo it $((20 + 22)) begins"
"""What it prints is not in the script, which some runners show first."""
SCRIPTS: dict[Ending, str] = {
    "success": f"{BEGINS}; true",
    "failure": f"{BEGINS}; exit 3",
    "cancelled": f"{BEGINS}; sleep 600",
}
TOO_MUCH = f"{BEGINS}; sleep 1; head -c 1G /dev/zero | tail && echo it $((20 + 23)) ends"
LONG = f"{BEGINS}; sleep 600; echo it $((20 + 23)) ends"
ENDED = "it 43 ends"


class Stand(NamedTuple):
    """A forge, the gateway that starts runners for its jobs, and the receiver of their summaries."""

    forge: Forge
    gateway: LaunchingGateway
    receiver: FlakyReceiver

    async def begins(self, number: int, script: str) -> None:
        """A job is handed out, and is at work."""
        self.forge.enqueue(number, script=script)
        job = self.forge.jobs[number]
        await self.until(lambda: PRINTED in job.text or job.ending is not None)
        assert PRINTED in job.text, job.text

    async def ends(self, number: int, ending: Ending, seconds: float = PATIENCE_SECONDS) -> str:
        """It ends in this way, soon enough; its log, in which nothing is there twice."""
        job = self.forge.jobs[number]
        await self.until(lambda: job.ending is not None, seconds)
        assert job.ending == ending, job.text
        assert job.text.count(PRINTED) == 1
        return job.text

    async def nothing_is_left(self) -> None:
        """No process, no directory, no cgroup."""
        await self.until(lambda: not self.gateway.left())

    async def metered(self, jobs: int) -> None:
        """The receiver has a run of each, with an end."""
        await self.until(lambda: sum(run[-1]["kind"] == "end" for run in self.receiver.runs.values()) == jobs)

    async def until(self, true: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
        """Try it again and again, not for ever."""
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline:
                seen = {number: (job.ending, job.text) for number, job in self.forge.jobs.items()}
                pytest.fail(f"jobs: {seen}\nleft: {self.gateway.left()}\nlog: {self.gateway.log}")
            await asyncio.sleep(EACH_SECONDS)


@pytest.fixture(params=PROGRAMS, ids=str)
def program(request: pytest.FixtureRequest) -> Program:
    """Each official runner that is here."""
    found: Program = request.param
    found.version()
    require_root("accounts and cgroups of launched runners")
    return found


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that launched runners reach."""
    with open_folder() as made:
        yield made


@asynccontextmanager
async def standing(program: Program, folder: Path, **keys: str) -> AsyncIterator[Stand]:
    """A forge, its gateway, a receiver; ``keys`` are those of ``[[forge.runner]]``."""
    made: AbstractAsyncContextManager[Forge] = (
        gitlab_forge(TOKEN, hold_seconds=5) if program.forge == "gitlab" else actions_forge(**{UUID: TOKEN})
    )
    with serving(FlakyReceiver()) as receiver:
        async with (
            made as forge,
            launching_gateway(
                folder, forge.url, program.forge, ready(program) | keys, receiver.url
            ) as gateway,
        ):
            yield Stand(forge, gateway, receiver)


def test_jobs_run_in_runners_of_their_own(
    program: Program, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Success, failure, cancel: log and result are at the forge, a run is at the receiver, nothing is left."""
    with capsys.disabled():
        print(f"\n{program} {program.version()}", end=" ")

    async def main() -> None:
        async with standing(program, folder) as stand:
            for number, ending in enumerate(SCRIPTS, 1):
                await stand.begins(number, SCRIPTS[ending])
                if ending == "cancelled":
                    stand.forge.jobs[number].cancel()
                await stand.ends(number, ending)
            await stand.nothing_is_left()
            await stand.metered(len(SCRIPTS))

    asyncio.run(main())


def test_a_job_that_takes_too_long(program: Program, folder: Path) -> None:
    """It fails, and its log says after how long; the next one has all the time again."""

    async def main() -> None:
        async with standing(program, folder, limits='{ timeout = "5s" }') as stand:
            await stand.begins(1, LONG)
            log = await stand.ends(1, "failure", 5 + DEATH_SECONDS)
            assert ENDED not in log
            assert "its time limit is 5.0 s" in log.splitlines()[-1]
            await stand.begins(2, SCRIPTS["success"])
            await stand.ends(2, "success")
            await stand.nothing_is_left()

    asyncio.run(main())


def test_many_jobs_that_take_too_long(program: Program, folder: Path) -> None:
    """Whatever their runners say while they are ended: each has failed, and has the reason as its last line."""

    async def main() -> None:
        async with standing(program, folder, limits='{ timeout = "3s" }', capacity="4") as stand:
            for number in range(1, 9):
                stand.forge.enqueue(number, script=LONG)
            jobs = stand.forge.jobs.values()
            await stand.until(lambda: all(job.ending is not None for job in jobs))
            assert {job.ending for job in jobs} == {"failure"}
            assert [
                job.text for job in jobs if "its time limit is 3.0 s" not in job.text.splitlines()[-1]
            ] == []
            await stand.nothing_is_left()

    asyncio.run(main())


def test_a_job_that_takes_too_much(program: Program, folder: Path) -> None:
    """It fails within its limit of memory, whatever the kernel ended: the machine and other jobs do not feel it.

    The end of its log says so, but GitLab's of a runner that lives on is that runner's alone.
    """

    async def main() -> None:
        async with standing(program, folder, limits='{ memory = "256Mi" }') as stand:
            await stand.begins(1, TOO_MUCH)
            log = await stand.ends(1, "failure")
            assert ENDED not in log
            if program.forge != "gitlab":
                assert "for want of memory, whose limit is 256 MiB" in log.splitlines()[-1]
            await stand.begins(2, SCRIPTS["success"])
            assert "for want of memory" not in await stand.ends(2, "success")
            await stand.nothing_is_left()

    asyncio.run(main())


def test_a_runner_that_is_killed(program: Program, folder: Path) -> None:
    """Its job has failed within seconds, what it had started is gone, and the log says why."""

    async def main() -> None:
        async with standing(program, folder) as stand:
            await stand.begins(1, LONG)
            pid = stand.gateway.runner()
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            log = await stand.ends(1, "failure", DEATH_SECONDS)
            assert "jobmeter: The runner was killed by SIGKILL after " in log.splitlines()[-1]
            await stand.nothing_is_left()

    asyncio.run(main())


def test_a_job_outlives_the_gateway(program: Program, folder: Path) -> None:
    """It goes on while there is none; the next one takes it up, and its end and all of its log arrive, once."""

    async def main() -> None:
        async with standing(program, folder) as stand:
            flag = folder / "flag"
            flag.touch()
            wait = f"{BEGINS}; while [ -e {flag} ]; do sleep 0.1; done; echo it $((20 + 23)) ends"
            await stand.begins(1, wait)
            await stand.gateway.kill()
            assert stand.gateway.runner() is not None
            await stand.gateway.start()
            flag.unlink()
            log = await stand.ends(1, "success")
            assert log.count(ENDED) == 1
            await stand.nothing_is_left()
            await stand.metered(1)

    asyncio.run(main())


def test_a_job_finds_no_token_of_the_forge(program: Program, folder: Path) -> None:
    """Neither in processes nor in their environments, nor in files that its account can read."""
    if not program.installed:
        pytest.skip("a stand-in runs in our own Python, which other accounts may not execute")
    secret = "planted-token-o[f]"
    processes = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'"
    files = f"grep -rl {secret} {folder} 2>/dev/null; find {folder} -readable -type f"
    known = f"cat {folder}/registration; ls {folder}/state; cat {folder}/state/*/*"
    look = f"{BEGINS}; set +e; {processes} | grep -c {secret}; {files}; {known}; echo it $((20 + 23)) looked"

    async def main() -> None:
        async with standing(program, folder) as stand:
            await stand.begins(1, look)
            log = await stand.ends(1, "success")
            lines = [line.strip() for line in log.splitlines()]
            assert "it 43 looked" in lines
            assert "0" in lines
            assert f"{folder}/registration" not in lines
            assert TOKEN not in log

    asyncio.run(main())
