"""Who asks for whole runs does not keep others waiting."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from jobmeter.ops.problems import Problem
from jobmeter.receiver.api.readings import Readings
from jobmeter.receiver.store.database import Database


def test_long_questions_leave_readers_for_others(tmp_path: Path) -> None:
    """Two are read at once and some wait; what is too much is refused, and afterwards there is room again."""
    database, release = Database.open(str(tmp_path / "db")), threading.Event()
    begun: list[str] = []

    def long(_: object) -> None:
        begun.append(threading.current_thread().name)
        release.wait(30)

    async def work() -> None:
        readings = Readings(database)
        waiting = [asyncio.create_task(readings.read_long(long)) for _ in range(16)]
        async with asyncio.timeout(20):
            while len(begun) < 2:
                await asyncio.sleep(0.01)
            await readings.read(lambda connection: connection.exec_driver_sql("SELECT 1").one())
            with pytest.raises(Problem, match="Too many") as raised:
                await readings.read_long(long)
        assert raised.value.status == 503
        assert len(begun) == 2
        release.set()
        await asyncio.gather(*waiting)
        await readings.read_long(long)

    try:
        asyncio.run(work())
    finally:
        release.set()
        database.close()
    assert len(begun) == 17
