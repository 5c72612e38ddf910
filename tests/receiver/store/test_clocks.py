"""What history tells by clocks that are wrong, on each database."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from jobmeter.receiver.bookkeeping import Bookkeeping
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.usage_days import DAY
from jobmeter.receiver.store.writer import Writer
from tests.receiver.store.support import with_writer
from tests.receiver.store.test_usages import Quiet, build, rows, sent


@pytest.mark.parametrize("hours", [1, 50])
def test_a_receiver_whose_clock_is_behind_tells_all_runs(
    place: str, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """A run that begins in its future is of the day on which it is heard of; when the clock is right, all goes on."""
    right, behind = time.time, hours * 3600

    async def work(writer: Writer, database: Database) -> Any:
        keeping, told = Bookkeeping(database, writer, Quiet()), []
        for late, uid in ((behind, "one"), (behind, "two"), (0, "three")):
            monkeypatch.setattr(time, "time", lambda late=late: right() - late)
            began = datetime.fromtimestamp(right() - 60, UTC).isoformat(timespec="milliseconds")
            await asyncio.gather(*map(writer.submit, sent(build(0, run_uid=uid, start_time=began))))
            await keeping.catch_up()
            told.append({run["run_uid"]: run for run in (await database.read(rows))["usages"]})
        return told, await database.read(rows)

    began = right()
    (first, second, third), found = with_writer(place, work)

    assert [len(first), len(second), len(third)] == [1, 2, 3]
    assert (
        first["one"]["begun_at"]
        == first["one"]["heard_at"]
        == pytest.approx((began - behind) * 1000, abs=60_000)
    )
    assert third["one"] == first["one"]
    assert found["jobs"][0]["last_begun_at"] == third["three"]["begun_at"] < third["three"]["heard_at"]
    assert {day["day"] for day in found["days"]} == {run["begun_at"] // DAY for run in third.values()}


@pytest.mark.parametrize("hours, by_another", [(1, True), (50, False)])
def test_what_a_receiver_stored_whose_clock_is_behind_is_found_by_itself(
    place: str, monkeypatch: pytest.MonkeyPatch, hours: int, by_another: bool
) -> None:
    """And by another one whose clock is right, where it is no more than a day."""
    right = time.time

    async def work(writer: Writer, database: Database) -> Any:
        def keeping() -> Bookkeeping:
            return Bookkeeping(database, writer, Quiet())

        async def told() -> int:
            return len((await database.read(rows))["usages"])

        await asyncio.gather(*map(writer.submit, sent(build(0))))
        await keeping().catch_up()
        monkeypatch.setattr(time, "time", lambda: right() - hours * 3600)
        await asyncio.gather(*map(writer.submit, sent(build(1))))
        monkeypatch.setattr(time, "time", right)
        await keeping().catch_up()
        at_once = await told()
        await keeping().look_back()
        looked_back = await told()
        monkeypatch.setattr(time, "time", lambda: right() - hours * 3600)
        await keeping().catch_up()
        return at_once, looked_back, await told()

    assert with_writer(place, work) == (1, 1 + by_another, 2)
