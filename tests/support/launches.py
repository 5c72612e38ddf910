"""Runners that real keepers start, for tests: each in a folder of its own, which any account may enter."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from jobmeter.apps.keeper import starter_command
from jobmeter.supervise.keeper.end import Ended
from jobmeter.supervise.keeper.keepers import RealKeepers
from jobmeter.supervise.keeper.spec import Spec

PATIENCE_SECONDS = 60.0
PATH = "/usr/local/bin:/usr/bin:/bin"
PREFIX = f"jobmeter-test-{os.getpid()}-"
"""Of the names of all cgroups that tests of this process make."""


@contextmanager
def place() -> Iterator[Path]:
    """A folder outside of pytest's own, which no other account may enter."""
    folder = Path(tempfile.mkdtemp(prefix="jobmeter-launches-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def spec(place: Path, argv: Sequence[str] | str, **fields: Any) -> Spec:
    """A task of its own whose runner is `argv`, or a script of the shell."""
    task = uuid4().hex[:8]
    folder, work_dir = place / task, place / f"{task}.work"
    folder.mkdir(mode=0o700)
    work_dir.mkdir(mode=0o777)
    words = ("sh", "-c", argv) if isinstance(argv, str) else tuple(argv)
    told: dict[str, Any] = {
        "task_id": task, "name": PREFIX + task, "folder": str(folder), "work_dir": str(work_dir), "argv": words,
        "environ": {"PATH": PATH}, "journal": str(place / "journals" / f"{task}.jsonl"),
        "grace_seconds": 5.0,
    }  # fmt: skip
    return Spec(**told | fields)


@asynccontextmanager
async def running() -> AsyncIterator[RealKeepers]:
    """Keepers of this machine; at the end nothing of them is left."""
    keepers = RealKeepers(starter_command())
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield keepers
        assert keepers.left(PREFIX) == []
    finally:
        for name in keepers.left(PREFIX):
            await keepers.clear(name)
        await keepers.close()


async def kept(keepers: RealKeepers, task: Spec) -> Ended:
    """How a runner ended, after its keeper is gone."""
    await keepers.start(task)
    ended = await keepers.ended(task.folder)
    assert ended is not None
    await keepers.gone(task.folder)
    return ended


def output(task: Spec) -> str:
    """What the runner wrote."""
    return (Path(task.folder) / task.output).read_text()


async def written(path: Path) -> str:
    """What a runner writes into a file of its work directory, once it has."""
    while not path.exists() or not path.read_text().endswith("\n"):
        await asyncio.sleep(0.01)
    return path.read_text()
