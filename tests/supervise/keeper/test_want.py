"""What is known of a job's want of memory while it runs."""

from __future__ import annotations

import asyncio

from jobmeter.supervise.keeper.spec import Limits
from tests.e2e.support.components import require_root
from tests.support import launches
from tests.support.launches import running, spec, written

EATS = "echo begun > begun; while [ ! -e go ]; do sleep 0.02; done; head -c 200M /dev/zero | tail; echo lost > lost"


def test_a_job_that_has_lost_a_process() -> None:
    """It is known as soon as the kernel has killed one; of a job that has enough, and of one that is over, nothing."""
    require_root("a cgroup of the test's own")

    async def main() -> None:
        with launches.place() as place:
            async with running() as keepers:
                task = spec(place, f"{EATS}; exec sleep 1000", limits=Limits(memory_bytes=32 << 20))
                work_dir = place / f"{task.task_id}.work"
                kept = await keepers.start(task)
                await written(work_dir / "begun")
                before = keepers.want(kept)
                (work_dir / "go").touch()
                await written(work_dir / "lost")
                told = keepers.want(kept)
                keepers.stop(kept)
                await keepers.gone(task.folder)
                assert before is None
                assert told == (
                    "The kernel killed a process of the job for want of memory, whose limit is 32 MiB; "
                    "it has used at most 32 MiB of memory."
                )
                assert keepers.want(kept) is None

    asyncio.run(main())
