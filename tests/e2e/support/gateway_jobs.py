"""A gateway whose runner has always a job at work, as a scripted one reports it to a forge of the tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, cycle
from pathlib import Path
from typing import Any

from anyio.from_thread import start_blocking_portal

from tests.apps.gateways import running
from tests.support.forges.actions import ActionsForge, Runner, actions_forge

CAPACITY = 3
ENDINGS = {"success": 1, "failure": 2}
"""How jobs end, one after the other, by the numbers of the wire."""
REPOSITORY = "org/repo"
STEP_AFTER_SECONDS = 1.5
"""So that whoever scrapes each second has seen the job before its first step, and the step before its end."""
CONFIG = """
metrics_server = "127.0.0.1:0"
dialects = ["jobmeter", "ephemerd"]
[[forge]]
name = "forge"
kind = "forgejo"
url = "{url}"
listen = "127.0.0.1:0"
capacity = {capacity}
fetch_interval = "50ms"
fetch_interval_max = "50ms"
"""


@contextmanager
def gateway_at_work(directory: Path) -> Iterator[str]:
    """Where its metrics are, as `host:port`, while jobs begin and end."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(actions_forge(u1="s3cret")) as forge,
        running(directory, CONFIG.format(url=forge.url, capacity=CAPACITY)) as (_, places),
    ):
        runner = Runner(int(places["forge"].rpartition(":")[2]), "u1", "s3cret")
        working = portal.start_task_soon(_work, forge, runner)
        try:
            yield places["metrics"]
            assert not working.done(), working
        finally:
            working.cancel()


async def _work(forge: ActionsForge, runner: Runner) -> None:
    await runner.call("Declare", version="v9", labels=["here"])
    for number, result in zip(count(1), cycle(ENDINGS.values())):
        forge.enqueue(number)
        while await runner.fetch() != [number]:
            await asyncio.sleep(0.05)
        await runner.state(number)
        await asyncio.sleep(STEP_AFTER_SECONDS)
        await runner.state(number, steps=[_step()])
        await asyncio.sleep(STEP_AFTER_SECONDS)
        await runner.log(number, 0, "done", last=True)
        await runner.state(number, result, steps=[_step()])


def _step() -> dict[str, Any]:
    return {"id": 0, "started_at": {"seconds": int(time.time())}}
