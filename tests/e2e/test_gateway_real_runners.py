"""The forges' own runners behind the gateway, where they are on PATH; a stand-in of each kind where they are not."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from tests.apps.gateways import Place
from tests.e2e.support.gateways import TOKEN, RunningGateway, running_gateway
from tests.e2e.support.runners import PROGRAMS, UUID, Program
from tests.support.forges.actions import ActionsForge, actions_forge
from tests.support.forges.gitlab import GitlabForge, gitlab_forge

SCRIPTS = {
    "success": "echo it $((20 + 22)) begins; true",
    "failure": "echo it $((20 + 22)) begins; exit 3",
    "cancelled": "echo it $((20 + 22)) begins; sleep 600; echo it was not cancelled",
}
"""By how they end; what they print is not in the script that some runners show first."""
PRINTED = "it 42 begins"
ENDINGS = ("success", "failure", "cancelled", "success")
Forge = ActionsForge | GitlabForge
RUNNER = "jobmeter_runner_"
EACH_SECONDS = 0.1
AWAY_SECONDS = float(os.environ.get("JOBMETER_AWAY_SECONDS", "6"))
"""With pauses that double, gitlab-runner may be silent for as long as its forge was away."""


def a_forge(program: Program) -> AbstractAsyncContextManager[Forge]:
    """Of the kind that the runner is for."""
    if program.forge == "gitlab":
        return gitlab_forge(TOKEN, hold_seconds=5)
    return actions_forge(**{UUID: TOKEN})


@asynccontextmanager
async def standing(program: Program, folder: Path) -> AsyncIterator[tuple[Forge, RunningGateway]]:
    """A forge, a gateway before it, and the runner that takes jobs there."""
    async with (
        a_forge(program) as forge,
        running_gateway(folder, forge.url, program.forge, capacity=1) as gateway,
    ):
        with program.working(folder / "runner", gateway.port):
            yield forge, gateway


async def until(true: Callable[[], bool], seen: Callable[[], str]) -> None:
    """Try it again and again, not for ever: then ``seen`` tells what there was instead."""
    try:
        async with asyncio.timeout(60 + 2 * AWAY_SECONDS):
            while not true():
                await asyncio.sleep(EACH_SECONDS)
    except TimeoutError:
        pytest.fail(f"seen until now: {seen()}")


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_jobs_run_behind_the_gateway(
    program: Program, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their logs and results arrive at the forge, and the series say how each ended; then its slot is free."""
    version = program.version()
    with capsys.disabled():
        print(f"\n{program} {version}", end=" ")

    async def main() -> None:
        async with standing(program, tmp_path) as (forge, gateway):
            for number, ending in enumerate(ENDINGS, 1):
                await runs(forge, gateway.place, number, ending)
            await counted(gateway.place, Counter(ENDINGS))
            assert f'version="{version}"' in await gateway.place.get("/metrics")

    asyncio.run(main())


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_a_job_outlives_the_gateway(program: Program, tmp_path: Path) -> None:
    """It ends while there is none: its result and all of its log arrive when there is one again."""
    program.version()
    job = Held(tmp_path)

    async def main() -> None:
        async with standing(program, tmp_path) as (forge, gateway):
            await job.begins(forge)
            await gateway.kill()
            await job.ends()
            await gateway.start()
            await job.has_arrived(forge)
            await runs(forge, gateway.place, 2, "success")

    asyncio.run(main())


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_a_job_outlives_its_forge(program: Program, tmp_path: Path) -> None:
    """The forge is away when it ends, for JOBMETER_AWAY_SECONDS: then all is told there, once."""
    program.version()
    job = Held(tmp_path)

    async def main() -> None:
        async with standing(program, tmp_path) as (forge, gateway):
            await job.begins(forge)
            await forge.go_away()
            await job.ends()
            await asyncio.sleep(AWAY_SECONDS)
            await forge.listen()
            await job.has_arrived(forge)
            await runs(forge, gateway.place, 2, "success")

    asyncio.run(main())


class Held:
    """A job that ends when it is told to."""

    def __init__(self, folder: Path) -> None:
        self._going, self._gone = folder / "going", folder / "gone"

    async def begins(self, forge: Forge) -> None:
        """It is at work."""
        wait = f"touch {self._going}; while [ -e {self._going} ]; do sleep 0.1; done; touch {self._gone}"
        forge.enqueue(1, script=f"{wait}; echo it $((20 + 23)) ends")
        await until(self._going.exists, lambda: forge.jobs[1].text)

    async def ends(self) -> None:
        """Its work is over; what its runner says of it is not."""
        self._going.unlink()
        await until(self._gone.exists, lambda: "it goes on")

    async def has_arrived(self, forge: Forge) -> None:
        """Whole, and once."""
        await ended(forge, 1, "success")
        assert forge.jobs[1].text.count("it 43 ends") == 1


async def runs(forge: Forge, place: Place, number: int, ending: str) -> None:
    """A job begins, is seen at work, and ends; all that it printed is at the forge."""
    forge.enqueue(number, script=SCRIPTS[ending])
    job = forge.jobs[number]
    await until(lambda: PRINTED in job.text or job.ending is not None, lambda: job.text)
    assert PRINTED in job.text
    if ending == "cancelled":
        assert (await figures(place, "running_jobs")) == 1
        assert f"task_id={number}\n" in await place.get("/debug/jobs/list")
        job.cancel()
    await ended(forge, number, ending)
    assert job.text.count(PRINTED) == 1


async def ended(forge: Forge, number: int, ending: str) -> None:
    """A job ends, in this way."""
    job = forge.jobs[number]
    await until(lambda: job.ending is not None, lambda: job.text)
    assert job.ending == ending


async def counted(place: Place, endings: Counter[str]) -> None:
    """Each job once, by how it ended; none is at work any more."""
    jobs = sum(endings.values())
    expected = {"running_jobs": 0, 'fetches_total result="task"': jobs, "job_duration_seconds_count": jobs}
    expected |= {f'jobs_total status="{status}"': endings[status] for status in (*SCRIPTS, "unknown")}
    # An answer is on its way to the runner before it is counted.
    for _ in range(100):
        seen = {name: await figures(place, name) for name in expected}
        if seen == expected:
            break
        await asyncio.sleep(EACH_SECONDS)
    assert seen == expected
    assert await figures(place, 'log_reports_total result="error"') == 0
    assert await figures(place, "log_report_duration_seconds_count") >= jobs
    assert "task_id" not in await place.get("/debug/jobs/list")


async def figures(place: Place, wanted: str) -> float:
    """The value of the one runner's series with this name, and with this label."""
    name, _, label = wanted.partition(" ")
    (found,) = (
        value
        for series, value in (await place.values()).items()
        if series.partition("{")[0] == RUNNER + name and label in series
    )
    return found
