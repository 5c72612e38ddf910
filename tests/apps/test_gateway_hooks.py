"""The whole gateway between a runner and a forge: a script and an exporter hear of its tasks, also over a restart."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from jobmeter.apps.gateway import gateway
from jobmeter.config.gateway import gateway_settings
from jobmeter.model.errors import JobmeterError
from tests.apps.gateways import running
from tests.ops.hooks.talking import LISTEN, client, serving, until
from tests.support.forges.actions import Runner, actions_forge

SUCCESS = 1
CONFIG = """
metrics_server = "127.0.0.1:0"
hooks = "{hooks}"
announce = ["{exporter}"]
[[forge]]
name = "forge"
kind = "forgejo"
url = "{url}"
public_url = "https://forge.example"
listen = "127.0.0.1:0"
fetch_interval = "50ms"
fetch_interval_max = "50ms"
"""
BEGAN, ENDED = "on_task_started", "on_task_destroy"


def test_a_task_from_hand_out_to_last_report(tmp_path: Path) -> None:
    """With a restart of the gateway in its midst: who hears of it anew hears the same task."""
    hooks, place = tmp_path / "hooks", tmp_path / "exporter"

    async def begun(forge: object, port: str, number: int) -> Runner:
        runner = Runner(int(port.rpartition(":")[2]), "u1", "s3cret")
        await runner.call("Declare", version="v9", labels=["docker"])
        while await runner.fetch() != [number]:
            await asyncio.sleep(0.05)
        await runner.log(number, 0, "begun")
        return runner

    async def main() -> None:
        async with actions_forge(u1="s3cret") as forge, serving(place) as exporter:
            text = CONFIG.format(hooks=hooks, exporter=place, url=forge.url)
            forge.enqueue(1)
            with running(tmp_path, text) as (process, places):
                async with client(hooks) as script:
                    script.say(LISTEN)
                    await begun(forge, places["forge"], 1)
                    first = await script.hear()
                    assert (first["event"], first["task_id"]) == (BEGAN, "1")
                    assert first["job"]["server_url"] == "https://forge.example"
                    process.send_signal(signal.SIGKILL)
                    await asyncio.to_thread(process.wait, 20)
            with running(tmp_path, text) as (process, places):
                async with client(hooks) as script:
                    script.say(LISTEN)
                    again = await script.hear()
                    assert again == first
                    runner = Runner(int(places["forge"].rpartition(":")[2]), "u1", "s3cret")
                    await runner.log(1, 1, "done", last=True)
                    await runner.state(1, SUCCESS)
                    ended = await script.hear()
                    assert (ended["event"], ended["job"]) == (ENDED, first["job"])
                    await until(lambda: exporter.desk.words[-1] == (ENDED, "1"))
                process.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(process.wait, 20) == 0
            assert exporter.desk.words == [(BEGAN, "1"), (BEGAN, "1"), (ENDED, "1")]
            assert not hooks.exists()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_socket_that_cannot_be(tmp_path: Path) -> None:
    """Is said where it was written, before anything is answered."""
    file = tmp_path / "gateway.toml"
    text = CONFIG.format(hooks=tmp_path / "none/s", exporter="/e", url="http://127.0.0.1:9")
    file.write_text(text)
    with pytest.raises(JobmeterError, match=r"gateway.toml: hooks: .*there is no directory"):
        gateway(gateway_settings([f"--config={file}", f"--state-dir={tmp_path}/state"], {}))
