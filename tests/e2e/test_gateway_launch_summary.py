"""What the receiver has of a launched job is what the kernel has counted of the job's cgroup, whatever the job did."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.support.components import require_root
from tests.e2e.support.followed import Account, following
from tests.e2e.support.gateways import TOKEN
from tests.e2e.support.launching import PROGRAMS, launching_gateway, open_folder, ready
from tests.e2e.support.runners import UUID, Program
from tests.receiver.api.running import PUSH, RunningReceiver, running_receiver
from tests.support.forges.actions import ActionsForge, actions_forge
from tests.support.forges.gitlab import GitlabForge, gitlab_forge

SHARE, SECONDS = 0.001, 0.02
"""The larger of the two is what a summary's CPU time may differ by."""
MEMORY_BYTES = 50 << 20
PATIENCE_SECONDS = 60
EACH_SECONDS = 0.05
BUSY = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"
ENDLESS = "trap '' TERM; while :; do :; done"


class Work(NamedTuple):
    """What a job does, and what its summary must say beside: so much was used at least."""

    script: str
    cpu_seconds: float = 0.05
    memory_bytes: int = 0
    survivor: str | None = None


WORKS = {
    "short": Work(BUSY),
    "many processes": Work("i=0; while [ $i -lt 150 ]; do /bin/true; i=$((i+1)); done"),
    "children that end": Work(f"for n in 1 2 3; do sh -c '{BUSY}' & done; wait", cpu_seconds=0.15),
    "orphans": Work(f"(setsid sh -c '{BUSY}' &); (setsid sh -c '{BUSY}' &); sleep 1", cpu_seconds=0.1),
    "survivors": Work(
        f'cp /bin/sh left-behind; setsid ./left-behind -c "{ENDLESS}" > /dev/null 2>&1 & sleep 0.5',
        cpu_seconds=0.5,
        survivor="left-behind",
    ),
    "memory": Work(f"head -c {MEMORY_BYTES} /dev/zero | tail > /dev/null", memory_bytes=MEMORY_BYTES),
}


@pytest.fixture(params=PROGRAMS, ids=str)
def program(request: pytest.FixtureRequest) -> Program:
    """Each official runner that is here, and what stands in for it."""
    found: Program = request.param
    found.version()
    require_root("cgroups of launched runners")
    return found


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that launched runners reach."""
    with open_folder() as made:
        yield made


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[RunningReceiver]:
    """A process with SQLite."""
    with running_receiver(tmp_path) as running:
        yield running


def forge_of(program: Program) -> AbstractAsyncContextManager[ActionsForge | GitlabForge]:
    """The forge of this runner."""
    if program.forge == "gitlab":
        return gitlab_forge(TOKEN, hold_seconds=0.5)
    return actions_forge(**{UUID: TOKEN})


def test_summaries_agree_with_the_kernel(program: Program, folder: Path, receiver: RunningReceiver) -> None:
    """CPU time to 0.1 % or 20 ms, and the peak of memory; survivors' share is in both."""

    async def main() -> None:
        async with (
            forge_of(program) as forge,
            launching_gateway(
                folder, forge.url, program.forge, ready(program), receiver.url, PUSH
            ) as gateway,
        ):
            with following(gateway.name) as accounts:
                for number, (name, work) in enumerate(WORKS.items(), 1):
                    forge.enqueue(number, script=work.script)
                    account = await asyncio.to_thread(next, accounts)
                    summary = await asyncio.to_thread(summary_of, receiver, number)
                    job = forge.jobs[number]
                    async with asyncio.timeout(PATIENCE_SECONDS):
                        while job.ending is None:
                            await asyncio.sleep(EACH_SECONDS)
                    assert job.ending == "success", (name, job.text, gateway.log)
                    compare(name, work, summary, account)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while gateway.left():
                    await asyncio.sleep(EACH_SECONDS)

    asyncio.run(main())


def compare(name: str, work: Work, summary: dict[str, Any], account: Account) -> None:
    """The summary with the account of one job."""
    (container,) = summary["containers"]
    told = summary["cpu_seconds"] + summary["unattributed_cpu_seconds"]
    print(
        f"{name}: {told:.6f} of {account.cpu_seconds:.6f} s, {container['memory_charged_peak_bytes']} bytes"
    )
    assert told == pytest.approx(account.cpu_seconds, rel=SHARE, abs=SECONDS), name
    assert (container["cpu_source"], summary["cpu_complete"]) == ("cgroup", True)
    if account.whole:
        assert container["memory_charged_peak_bytes"] == account.memory_peak_bytes, name
    assert account.cpu_seconds > work.cpu_seconds, name
    assert account.memory_peak_bytes is None or account.memory_peak_bytes > work.memory_bytes, name
    assert (work.survivor in [one["name"] for one in summary["survivors"]]) == (work.survivor is not None)


def summary_of(receiver: RunningReceiver, number: int) -> dict[str, Any]:
    """That of the newest run, once there are so many and it has ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        runs = receiver.get("/api/v1/runs").json()["runs"]
        if len(runs) == number:
            found = receiver.get(f"/api/v1/runs/{runs[0]['run_uid']}").json()
            if found["state"] == "finished":
                return dict(found["summary"])
        time.sleep(EACH_SECONDS)
    pytest.fail(f"the receiver has no end of run {number}: {json.dumps(runs)}")
