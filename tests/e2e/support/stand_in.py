"""A runner small enough to be read: takes jobs one at a time, runs their script with `sh`, reports both each 0.1 s.

`python -m tests.e2e.support.stand_in actions PORT UUID TOKEN`, or `gitlab PORT TOKEN`; SIGTERM ends it and its job.
`once KIND URL UUID TOKEN CONFIG` is one that a gateway starts for one job, as it is told in the command of a runner; at
SIGTERM it says that its job went well, as gitea-runner may.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from typing import IO, Any

from jobmeter.gateway.forges import messages
from tests.support.forges import actions, gitlab
from tests.support.forges.serving import Got

VERSION = "stand-in"
CANCELLED = actions.RESULTS.index("cancelled")
EACH_SECONDS = 0.1
SERVERS_FAULT = 500


async def run(script: str, report: Callable[[bytes], Awaitable[bool]]) -> int | None:
    """Its exit code, None if ``report``, which is given all of the log so far, said that it is cancelled."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(["sh", "-e", "-c", script], stdout=log, stderr=log, start_new_session=True)
        try:
            while process.poll() is None:
                await asyncio.sleep(EACH_SECONDS)
                if await report(_all(log)):
                    return None
            return None if await report(_all(log)) else process.returncode
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


async def answered(ask: Callable[[], Awaitable[Got]]) -> Got:
    """Say it until somebody takes it, or refuses it."""
    while True:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            got = await ask()
            if got.status < SERVERS_FAULT:
                return got
        await asyncio.sleep(EACH_SECONDS)


def _all(log: IO[bytes]) -> bytes:
    return os.pread(log.fileno(), 1 << 20, 0)


async def work_for_actions(port: int, uuid: str, token: str, *, once: bool = False) -> None:
    """As act_runner does; of a cancelled task it says no more."""
    runner = actions.Runner(port, uuid, token)
    await answered(lambda: runner.call("Declare", version=VERSION, labels=["here"]))
    known = 0
    while True:
        got = await answered(partial(runner.call, "FetchTask", tasks_version=known))
        said = messages.decode("runner.v1.FetchTaskResponse", "proto", got.body)
        known = said.tasks_version
        if said.HasField("task"):
            await _task(runner, said.task.id, json.loads(said.task.workflow_payload), content=once)
            if once:
                return
            known = 0
        await asyncio.sleep(EACH_SECONDS)


async def _task(runner: actions.Runner, number: int, workflow: Any, *, content: bool) -> None:
    (step,) = workflow["jobs"]["build"]["steps"]
    acknowledged = 0

    async def report(log: bytes) -> bool:
        nonlocal acknowledged
        rows = log.decode().splitlines()
        await answered(lambda: runner.log(number, acknowledged, *rows[acknowledged:]))
        acknowledged = len(rows)
        got = await answered(lambda: runner.state(number))
        answer = messages.decode("runner.v1.UpdateTaskResponse", "proto", got.body)
        return bool(answer.state.result == CANCELLED)

    code = await _told_to_end(run(step["run"], report), content=content)
    if code is not None:
        await answered(lambda: runner.log(number, acknowledged, last=True))
        result = actions.RESULTS.index("failure" if code else "success")
        await answered(lambda: runner.state(number, result))


async def work_for_gitlab(port: int, token: str, *, once: bool = False) -> None:
    """As gitlab-runner does; of a cancelled job it says that it failed."""
    runner = gitlab.Runner(port, token, version=VERSION)
    while True:
        got = await answered(runner.fetch)
        if got.status == 201:
            await _job(runner, json.loads(got.body), content=once)
            if once:
                return
        await asyncio.sleep(EACH_SECONDS)


async def _job(runner: gitlab.Runner, job: Any, *, content: bool) -> None:
    number, sent = job["id"], 0

    async def report(log: bytes) -> bool:
        nonlocal sent
        if log[sent:]:
            got = await answered(lambda: runner.trace(number, sent, log[sent:]))
            sent = int(got.values("range")[0].partition("-")[2])
        else:
            got = await answered(lambda: runner.update(number, "running"))
        return got.values("job-status") == ["canceled"]

    code = await _told_to_end(run(job["steps"][0]["script"][0], report), content=content)
    await answered(lambda: runner.update(number, "success" if code == 0 else "failed"))


async def _told_to_end(job: Awaitable[int | None], *, content: bool) -> int | None:
    """The exit code of ``job``; when it is ended by a signal 0 if the runner is ``content`` with that."""
    try:
        return await job
    except asyncio.CancelledError:
        if content:
            return 0
        raise


async def work(kind: str, *words: str) -> None:
    """Until it is told to end, and its job with it."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        if kind == "once":
            await work_once(*words)
        elif kind == "gitlab":
            port, token = words
            await work_for_gitlab(int(port), token)
        else:
            port, uuid, token = words
            await work_for_actions(int(port), uuid, token)


async def work_once(kind: str, url: str, uuid: str, token: str, config: str) -> None:
    """One job, if there is one; nothing is read from the configuration."""
    port = int(url.rstrip("/").rpartition(":")[2])
    if kind == "gitlab":
        await work_for_gitlab(port, token, once=True)
    else:
        await work_for_actions(port, uuid, token, once=True)


if __name__ == "__main__":
    asyncio.run(work(*sys.argv[1:]))
