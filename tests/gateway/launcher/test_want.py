"""The last line of a job's log says that the kernel has killed processes of it, where its runner lives on."""

from __future__ import annotations

import asyncio
import gzip
from collections import deque
from pathlib import Path

import pytest

from jobmeter.gateway.forges import messages
from tests.gateway.launcher.keepers import Kind, PlayedRunner
from tests.gateway.launcher.rig import Forge, LaunchRig, launching
from tests.support.forges.actions import LOST, ActionsForge
from tests.support.forges.serving import Got

WANT = "The kernel killed a process of the job for want of memory, whose limit is 64 MiB."
LINE = f"jobmeter: {WANT}"


async def at_work(forge: Forge, rig: LaunchRig, want: str | None = WANT) -> PlayedRunner:
    """A runner that has its task, and the first line of its log is at the forge."""
    forge.enqueue(7)
    runner = await rig.keepers.runner(7, rig.kind)
    assert await runner.takes()
    await runner.prints("begins")
    if want is not None:
        rig.keepers.job_wants_memory(7, want)
    return runner


def acknowledged(got: Got) -> int:
    """By an answer that is none of an error."""
    assert got.status == 200, got
    return int(messages.decode("runner.v1.UpdateLogResponse", "proto", got.body).ack_index)


@pytest.mark.parametrize("kind", ["forgejo", "gitea"])
@pytest.mark.parametrize("rows", [(), ("exit code 137", "failed")])
def test_it_is_behind_what_the_runner_says_last(tmp_path: Path, kind: Kind, rows: tuple[str, ...]) -> None:
    """The runner hears of its own rows alone, however often it says them; the forge has the line once."""

    async def main() -> None:
        async with launching(tmp_path, kind) as (forge, rig):
            assert isinstance(forge, ActionsForge)
            runner = await at_work(forge, rig)
            for _ in range(2):
                assert acknowledged(await runner.actions.log(7, 1, *rows, last=True)) == 1 + len(rows)
            assert forge.jobs[7].rows == ["begins", *rows, LINE]
            await runner.actions.state(7, 2)
            assert forge.jobs[7].ending == "failure"

    asyncio.run(main())


def test_a_job_that_has_enough(tmp_path: Path) -> None:
    """Its log is its runner's, also if that can be told of nobody."""

    async def main() -> None:
        for number, fault in enumerate((None, OSError(24, "Too many open files"))):
            async with launching(tmp_path / str(number)) as (forge, rig):
                runner = await at_work(forge, rig, None)
                if fault is not None:
                    rig.keepers.fails("want", fault)
                assert acknowledged(await runner.actions.log(7, 1, "ends", last=True)) == 2
                assert forge.jobs[7].text.splitlines() == ["begins", "ends"]
                await runner.actions.state(7, 1)

    for number in range(2):
        (tmp_path / str(number)).mkdir()
    asyncio.run(main())


def test_only_the_last_report_has_it(tmp_path: Path) -> None:
    """What a runner says before is passed as it is."""

    async def main() -> None:
        async with launching(tmp_path) as (forge, rig):
            runner = await at_work(forge, rig)
            assert acknowledged(await runner.prints("goes on")) == 2
            assert forge.jobs[7].text.splitlines() == ["begins", "goes on"]
            await runner.reports("failure")

    asyncio.run(main())


def test_rows_that_the_forge_lacks(tmp_path: Path) -> None:
    """Its answer reaches the runner as it is, which says the missing ones again."""

    async def main() -> None:
        async with launching(tmp_path) as (forge, rig):
            runner = await at_work(forge, rig)
            assert acknowledged(await runner.actions.log(7, 2, "third", last=True)) == 1
            assert acknowledged(await runner.actions.log(7, 1, "second", "third", last=True)) == 3
            assert forge.jobs[7].text.splitlines() == ["begins", "second", "third", LINE]
            await runner.actions.state(7, 2)

    asyncio.run(main())


@pytest.mark.parametrize("fault", [LOST, 503])
def test_a_forge_that_stumbles(tmp_path: Path, fault: str | int) -> None:
    """The report is held, and said again: the line is there once."""

    async def main() -> None:
        async with launching(tmp_path) as (forge, rig):
            assert isinstance(forge, ActionsForge)
            runner = await at_work(forge, rig)
            forge.faults["UpdateLog"] = deque([fault])
            patient = ("Connect-Timeout-Ms", "20000")
            rows = [{"content": "ends"}]
            got = await runner.actions.call("UpdateLog", patient, task_id=7, index=1, rows=rows, no_more=True)
            assert acknowledged(got) == 2
            assert forge.jobs[7].rows == ["begins", "ends", LINE]
            await runner.actions.state(7, 2)

    asyncio.run(main())


def test_a_report_in_a_content_coding(tmp_path: Path) -> None:
    """It reaches the forge without."""

    async def main() -> None:
        async with launching(tmp_path) as (forge, rig):
            runner = await at_work(forge, rig)
            said = messages.MESSAGES["runner.v1.UpdateLogRequest"](
                task_id=7, index=1, rows=[{"content": "ends"}], no_more=True
            )
            got = await runner.actions.post(
                "UpdateLog", gzip.compress(said.SerializeToString()), ("Content-Encoding", "gzip")
            )
            assert acknowledged(got) == 2
            assert forge.jobs[7].text.splitlines() == ["begins", "ends", LINE]
            await runner.actions.state(7, 2)

    asyncio.run(main())


def test_a_trace_of_gitlab_is_its_runners_alone(tmp_path: Path) -> None:
    """At its end the runner says its checksum."""

    async def main() -> None:
        async with launching(tmp_path, "gitlab") as (forge, rig):
            runner = await at_work(forge, rig)
            await runner.reports("failure")
            assert forge.jobs[7].text.splitlines() == ["begins"]

    asyncio.run(main())
