"""The whole gateway between a runner and a forge of the test: its series, its lists, draining, its end in mid-job."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.apps.gateways import Place, running
from tests.support.forges.actions import ActionsForge, Runner, actions_forge

SUCCESS = 1
CONFIG = """
metrics_server = "127.0.0.1:0"
dialects = ["jobmeter", "act_runner"]
[[forge]]
name = "forge"
kind = "forgejo"
url = "{url}"
listen = "127.0.0.1:0"
capacity = 1
fetch_interval = "50ms"
fetch_interval_max = "50ms"
"""


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Try it again and again, not for ever."""
    async with asyncio.timeout(20):
        while not await true():
            await asyncio.sleep(0.05)


def test_a_day_of_a_runner(tmp_path: Path) -> None:
    """From its declaration to a SIGTERM in the midst of its second job."""

    async def main() -> None:
        async with actions_forge(u1="s3cret") as forge:
            with running(tmp_path, CONFIG.format(url=forge.url)) as (process, places):
                runner = Runner(int(places["forge"].rpartition(":")[2]), "u1", "s3cret")
                place = Place(places["metrics"])
                await _first_job(forge, runner, place)
                await _drained(forge, runner, place)
                process.send_signal(signal.SIGTERM)
                await asyncio.sleep(0.3)
                assert process.poll() is None, "a job runs"
                await runner.log(2, 0, "done", last=True)
                await runner.state(2, SUCCESS)
                assert await asyncio.to_thread(process.wait, 20) == 0
                assert [forge.jobs[number].result for number in (1, 2)] == [SUCCESS, SUCCESS]
                assert forge.most_fetching == 1

    asyncio.run(main())


async def _first_job(forge: ActionsForge, runner: Runner, place: Place) -> None:
    await runner.call("Declare", version="v9", labels=["docker"])
    assert await runner.fetch() == []
    forge.enqueue(1)

    async def got() -> bool:
        return await runner.fetch() == [1]

    await until(got)
    await runner.log(1, 0, "begun")
    values = await place.values()
    assert values['act_runner_job_running{runner="runner-u1"}'] == 1
    assert (
        values['jobmeter_runner_info{labels="docker",name="runner-u1",runner="runner-u1",version="v9"}'] == 1
    )
    assert values['jobmeter_gateway_runners{forge="forge",standing="full"}'] == 1
    alone = await place.values("/metrics/runner-u1")
    assert (alone["act_runner_capacity"], alone["act_runner_job_capacity_utilization_ratio"]) == (1, 1)
    assert " runner=runner-u1 " in await place.get("/debug/jobs/list")
    assert await place.get("/debug/runners/list") == (
        "runner=runner-u1 forge=forge standing=full jobs=1 capacity=1 silent=0s\n"
    )
    await runner.log(1, 1, "done", last=True)
    await runner.state(1, SUCCESS)
    assert (await place.values())['act_runner_job_total{runner="runner-u1",status="success"}'] == 1


async def _drained(forge: ActionsForge, runner: Runner, place: Place) -> None:
    assert await place.get("/drain?runner=runner-u1", "POST") == '{"runners":["runner-u1"],"draining":true}'
    forge.enqueue(2)
    for _ in range(5):
        assert await runner.fetch() == []
        await asyncio.sleep(0.06)
    assert forge.jobs[2].handed == []
    assert (await place.values())['jobmeter_runner_draining{runner="runner-u1"}'] == 1
    await place.get("/drain?on=false", "POST")

    async def got() -> bool:
        return await runner.fetch() == [2]

    await until(got)
