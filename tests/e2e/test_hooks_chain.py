"""From the gateway's hand-out to the name of a container: forge, gateway and exporter, and a real container."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.apps.gateways import running
from tests.e2e.support.docker import BUSYBOX, DockerEngine
from tests.e2e.support.exporters import running_exporter
from tests.ops.hooks.talking import LISTEN, client
from tests.support.forges.actions import Runner, actions_forge

SUCCESS = 1
CONFIG = """
metrics_server = "127.0.0.1:0"
announce = ["{place}"]
[[forge]]
name = "forge"
kind = "forgejo"
url = "{url}"
public_url = "https://forge.example"
listen = "127.0.0.1:0"
fetch_interval = "50ms"
fetch_interval_max = "50ms"
"""
NAME = f"FORGEJO-ACTIONS-TASK-1_WORKFLOW-{'9' * 64}_JOB-build"
INFO = "jobmeter_container_info"


async def until(true: Callable[[], object]) -> None:
    """In a thread, again and again."""
    async with asyncio.timeout(30):
        while not await asyncio.to_thread(true):
            await asyncio.sleep(0.1)


def test_a_job_that_says_nothing_of_itself(tmp_path: Path, docker_engine: DockerEngine) -> None:
    """Without label and environment its container is the gateway's task, also for an exporter that begins anew."""
    place = tmp_path / "hooks"
    flags = (f"--hooks={place}", f"--engine-socket={docker_engine.url}")

    async def main() -> None:
        async with actions_forge(u1="s3cret") as forge:
            with ExitStack() as first, running(tmp_path, CONFIG.format(place=place, url=forge.url)) as (
                process, places,
            ):  # fmt: skip
                exporter = first.enter_context(running_exporter(tmp_path, *flags))
                runner = Runner(int(places["forge"].rpartition(":")[2]), "u1", "s3cret")
                await runner.call("Declare", version="v9", labels=["docker"])
                forge.enqueue(1)
                while await runner.fetch() != [1]:
                    await asyncio.sleep(0.05)
                await runner.log(1, 0, "begun")
                with docker_engine.spawn(BUSYBOX, "sleep", "60", name=NAME) as container:

                    def named() -> bool:
                        wanted = {"attribution": "announced", "repo": "org/repo", "task_id": "1"}
                        return bool(exporter.shows(INFO, id=container.id, **wanted))

                    await until(named)
                    await asyncio.to_thread(first.close)
                    exporter = first.enter_context(running_exporter(tmp_path, *flags))
                    await until(named)
                    async with client(place) as script:
                        script.say(LISTEN.replace(b"[]", b'["on_task_destroy"]'))
                        await runner.log(1, 1, "done", last=True)
                        await runner.state(1, SUCCESS)
                        told = await script.hear()
                        assert (told["task_id"], told["job"]["server_url"]) == ("1", "https://forge.example")
                process.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(process.wait, 20) == 0

    asyncio.run(asyncio.wait_for(main(), 120))
