"""The referee is asked for launched jobs too, also for those whose runner dies."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.gateway.asked import Asked
from tests.gateway.launcher.keepers import Kind
from tests.gateway.launcher.rig import KINDS, launching
from tests.gateway.relay.rig import until


@pytest.mark.parametrize("kind", KINDS)
def test_a_job_that_reports_its_end(tmp_path: Path, kind: Kind) -> None:
    """Its run is known, as it was metered from here."""

    async def main() -> None:
        asked = Asked()
        async with launching(tmp_path, kind, referee=asked) as (forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, kind)
            assert await runner.takes()
            await runner.reports("success")
            (ended,) = asked.ends
            assert (ended.task_id, ended.run_uid, ended.runner) == ("7", "r", "one")
            rig.keepers.runner_ends(7)
            await rig.nothing_left()
            assert len(asked.ends) == 1

    asyncio.run(main())


@pytest.mark.parametrize("kind", KINDS)
def test_a_job_whose_runner_dies(tmp_path: Path, kind: Kind) -> None:
    """Before the forge hears that it has failed."""

    async def main() -> None:
        asked = Asked(seconds=0.2)
        async with launching(tmp_path, kind, referee=asked) as (forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, kind)
            assert await runner.takes()
            rig.keepers.runner_ends(7)
            await until(lambda: bool(asked.ends))
            assert forge.jobs[7].ending is None
            await until(lambda: forge.jobs[7].ending == "failure")
            (ended,) = asked.ends
            assert (ended.task_id, ended.run_uid) == ("7", "r")
            assert ended.token == ("job-secret-7" if kind == "gitlab" else None)

    asyncio.run(main())
