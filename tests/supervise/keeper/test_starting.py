"""The gateway's side of a start that is given up."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
from pathlib import Path

import msgspec

from jobmeter.supervise.job_cgroup import own_start_ticks
from jobmeter.supervise.keeper.start import Answer
from jobmeter.supervise.keeper.starting import Starting
from tests.support.launches import spec


def test_a_keeper_that_hears_nothing_is_killed(tmp_path: Path) -> None:
    """It hangs, and would start a runner later of which nobody knows."""

    async def main() -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with ours, theirs, subprocess.Popen(["sleep", "1000"]) as keeper:
            try:
                starting = Starting(spec(tmp_path, "true"), ours)
                here = Answer(pid=keeper.pid, start_ticks=own_start_ticks(keeper.pid) or 0)
                theirs.send(msgspec.msgpack.encode(here))
                waiting = asyncio.create_task(starting.kept())
                async with asyncio.timeout(10):
                    while not starting.begun:
                        await asyncio.sleep(0.001)
                waiting.cancel()
                await asyncio.wait({waiting})
                await starting.end()
                assert keeper.wait(10) == -signal.SIGKILL
            finally:
                keeper.kill()

    asyncio.run(main())
