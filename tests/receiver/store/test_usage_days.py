"""The sums of days are those of all runs there ever were, on each database."""

from __future__ import annotations

import asyncio
import random
import re
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, select, text

from jobmeter.model.exits import Exit
from jobmeter.model.history.digest import WHOLE
from jobmeter.model.history.usage import Usage, usage_of
from jobmeter.model.summary import Summary
from jobmeter.receiver.bookkeeping import Bookkeeping
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.moving.exporting import export
from jobmeter.receiver.store.moving.importing import import_
from jobmeter.receiver.store.schema import runs
from jobmeter.receiver.store.usage_days import DAY, MOST_SETS, REST, begun_within
from jobmeter.receiver.store.usage_tables import COUNTS, SUMS, jobs, usage_days, usages
from jobmeter.receiver.store.usages import TakeIn, changed_runs, reopened_runs
from jobmeter.receiver.store.writer import Writer
from jobmeter.receiver.times import begin_of
from tests.model.budgets.runs import GIB, MIB, box
from tests.receiver.store.support import part, with_writer
from tests.receiver.store.test_history import plan
from tests.receiver.store.test_usages import Changing, Quiet, build, kept, rows, sent

_UNREAD = {"memory_working_set_peak_bytes": None, "memory_high_water_bytes": None}


def removal(*run_uids: str) -> Changing:
    """What retention does."""
    return Changing(delete(runs).where(runs.c.run_uid.in_(run_uids)))


async def forgotten(keeping: Bookkeeping) -> None:
    last: str | None = ""
    while last is not None:
        last = await keeping.forget(last, 7)


def test_a_day_does_not_shrink_when_one_more_run_of_it_comes(place: str) -> None:
    """After some of its runs were removed; nor what its job tells."""

    async def work(writer: Writer, database: Database) -> Any:
        keeping = Bookkeeping(database, writer, Quiet())
        await asyncio.gather(*map(writer.submit, sent(*map(build, range(5)))))
        await keeping.catch_up()
        await writer.submit(removal("run-0001", "run-0003", "run-0004"))
        await forgotten(keeping)
        await asyncio.gather(*map(writer.submit, sent(build(2, run_uid="late"))))
        await keeping.catch_up()
        return await database.read(rows)

    found = with_writer(place, work)

    ((day,), (job,)) = found["days"], found["jobs"]
    assert (day["runs"], day["core_seconds"], day["reserved_core_seconds"]) == (6, 6 * 90.0, 6 * 120.0)
    assert (job["runs"], job["last_begun_at"]) == (6, max(run["begun_at"] for run in found["usages"]))


def test_a_burst_of_one_run_hides_no_waste_of_another(place: str) -> None:
    """A run that wastes 2 cores for a minute, and one that uses 3 more than its own."""
    idle = build(0, cpu_seconds=0.0)
    idle.containers[0].cpu_seconds = 0.0
    burst = build(1)
    burst.containers[0].cpu_seconds = 300.0

    (day,) = kept(place, sent(idle, burst))["days"]

    assert day["reserved_core_seconds"] == 240.0
    assert day["reserved_used_core_seconds"] == 300.0
    assert day["reserved_unused_core_seconds"] == 120.0


def test_what_was_read_in_part_is_told_as_a_part(place: str) -> None:
    """Of two containers one could be read."""
    dark = build(0)
    dark.containers = [box(memory_request_bytes=GIB), box("dark", memory_request_bytes=3 * GIB, **_UNREAD)]

    (day,) = kept(place, sent(dark, build(1)))["days"]

    assert (day["memory_told_runs"], day["memory_partial_runs"]) == (2, 1)
    assert (day["byte_lower_bounds"], day["core_lower_bounds"], day["cores_partial_runs"]) == (1, 0, 0)
    assert day["reserved_byte_seconds"] == 2 * GIB * 60


@pytest.mark.parametrize(
    "labels, expected",
    [
        ([("gpu", f"run-id={n}") for n in range(60)], {f"gpu,{REST}": 60 - MOST_SETS}),
        ([(f"run-id={n}", "big", "gpu") for n in range(30)], {f"big,gpu,{REST}": 30 - MOST_SETS}),
        ([(f"r{n}",) for n in range(30)], {REST: 30 - MOST_SETS}),
        ([("gpu",)] * 5 + [("x", f"r{n}") for n in range(30)], {"gpu": 5, f"x,{REST}": 31 - MOST_SETS}),
        ([(f"a{n}",) for n in range(MOST_SETS)], {"a0": 1}),
        ([()] * 2 + [(REST,), (f"a{REST}", "b,c")], {"": 2, " ": 1, "a ,b c": 1}),
    ],
)  # fmt: skip
def test_a_label_that_is_new_in_each_run_makes_no_row_of_each(
    place: str, labels: list[tuple[str, ...]], expected: dict[str, int]
) -> None:
    """The others share a row, under the labels that all of them have; and nothing is lost."""
    made = [
        build(number % 10, run_uid=f"run-{number}", runner_labels=own) for number, own in enumerate(labels)
    ]

    days = kept(place, sent(*made), sent(*made[:3]))["days"]

    found = {day["labels"]: day["runs"] for day in days}
    assert len(found) <= MOST_SETS + 1
    assert sum(found.values()) == len(labels)
    assert expected.items() <= found.items()
    assert sum(day["core_seconds"] for day in days) == 90.0 * len(labels)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_sums_are_those_of_all_runs_whatever_happened_in_which_order(
    place: str, tmp_path: Path, seed: int
) -> None:
    """Runs come, change, are removed and forgotten, come again or by an import; batches are stored twice."""
    chance = random.Random(seed)
    ever: dict[str, tuple[Any, ...]] = {}

    async def work(writer: Writer, database: Database) -> None:
        keeping = Bookkeeping(database, writer, Quiet())
        stale: list[TakeIn] = []

        async def come() -> None:
            await asyncio.gather(*map(writer.submit, sent(*(some_run(chance) for _ in range(8)))))
            batch = await database.read(partial(changed_runs, since=0, limit=chance.choice([3, 100])))
            stale.append(TakeIn(batch, 0))

        async def remove() -> None:
            there = sorted(uid for (uid,) in await database.read(read_uids))
            await writer.submit(removal(*chance.sample(there, len(there) // 2)))
            if chance.random() < 0.7:
                await forgotten(keeping)

        async def bring_back() -> None:
            directory = tmp_path / "export"
            if not directory.exists():
                await asyncio.to_thread(moved, export, place, directory)
            else:
                await asyncio.to_thread(moved, import_, place, directory)

        async def store_twice() -> None:
            if stale:
                await writer.submit(chance.choice(stale))

        for _ in range(25):
            await chance.choice([come, come, remove, bring_back, store_twice])()
            if chance.random() < 0.8:
                await keeping.catch_up()
                ever.update(await database.read(as_stored))
                assert await database.read(told_sums) == pytest.approx(expected_sums(ever))
                assert not await database.read(not_told)

    with_writer(place, work)
    assert len(ever) > 20


def moved(how: Any, place: str, directory: Path) -> None:
    database = Database.open(place)
    try:
        how(database, directory, lambda *_: None)
    finally:
        database.close()


def some_run(chance: random.Random) -> Summary:
    """One of forty, over three days, as it may be when it comes again."""
    number = chance.randrange(40)
    made = build(
        chance.choice([number % 30, number % 7]),
        run_uid=f"run-{number:04}",
        job=chance.choice(["build", "build", "test"]),
        runner_labels=chance.choice([(), ("big",)]),
        duration_seconds=chance.choice([30.0, 61.5]),
        exit=Exit(reason=chance.choice(["success", "failure", "lost"])),
        cpu_complete=chance.random() < 0.7,
    )
    made.containers = [
        box(
            cpu_seconds=chance.choice([1.0, 300.0]),
            memory_request_bytes=chance.choice([None, 100 * MIB, GIB]),
            cpu_request_cores=chance.choice([None, 2.0]),
        ),
        box("dark", memory_request_bytes=GIB, **_UNREAD) if chance.random() < 0.3 else box("side"),
    ]
    return made


def read_uids(connection: Connection) -> list[Any]:
    return list(connection.execute(text("SELECT run_uid FROM runs")).all())


def not_told(connection: Connection) -> list[Any]:
    """Runs that are there, and not in lists."""
    told = select(usages.c.run_uid).where(usages.c.gone.is_(False))
    return list(connection.execute(select(runs.c.run_uid).where(runs.c.run_uid.not_in(told))).all())


def as_stored(connection: Connection) -> dict[str, tuple[Any, ...]]:
    """The job, the day and the numbers of each run that is there."""
    columns = (
        runs.c.run_uid,
        runs.c.job,
        runs.c.start_time,
        runs.c.received_at,
        runs.c.heard_at,
        runs.c.job_json,
    )
    return {
        uid: (job, begin_of(start, received, heard) // DAY, usage_of(summary, about))
        for uid, job, start, received, heard, about, summary in connection.execute(
            select(*columns, runs.c.summary)
        )
    }


def expected_sums(ever: dict[str, tuple[Any, ...]]) -> dict[str, float]:
    """Added up run by run."""
    found: defaultdict[str, float] = defaultdict(float)
    for job, day, usage in ever.values():
        for name, value in told(usage).items():
            found[f"{job} {day} {','.join(usage.runner_labels)} {name}"] += value
    return {key: value for key, value in found.items() if value}


def told(usage: Usage) -> dict[str, float]:
    seconds = usage.duration_seconds or 0.0
    made = {
        "runs": 1.0,
        "failed_runs": float(usage.exit_reason not in WHOLE),
        "core_lower_bounds": float("cpu_seconds" in usage.lower_bounds),
        "byte_lower_bounds": float("memory" in usage.lower_bounds),
        "duration_seconds": seconds,
        "core_seconds": usage.cpu_seconds or 0.0,
        "byte_seconds": (usage.memory_total_bytes or 0) * seconds,
    }
    for kind, unit, reserved in (
        ("cores", "core", usage.reserved_cores),
        ("memory", "byte", usage.reserved_memory_bytes),
    ):
        if reserved.amount is not None and reserved.used is not None:
            made |= {
                f"{kind}_told_runs": 1.0,
                f"{kind}_partial_runs": float(reserved.partial),
                f"reserved_{unit}_seconds": reserved.amount * seconds,
                f"reserved_used_{unit}_seconds": reserved.used * seconds,
                f"reserved_unused_{unit}_seconds": (reserved.unused or 0.0) * seconds,
            }
    return made


def told_sums(connection: Connection) -> dict[str, float]:
    """The same, as the tables tell it."""
    columns = [usage_days.c[name] for name in (*COUNTS, *SUMS)]
    query = select(jobs.c.job, usage_days.c.day, usage_days.c.labels, *columns)
    return {
        f"{job} {day} {labels} {name}": float(value)
        for job, day, labels, *values in connection.execute(query.join(jobs, jobs.c.id == usage_days.c.job))
        for name, value in zip((*COUNTS, *SUMS), values, strict=True)
        if value
    }


_MANY = """
    INSERT INTO usages
        (run_uid, job, begun_at, heard_at, gone, lower_bounds, leg, labels, cores_partial, memory_partial)
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 20000)
    SELECT 'run-' || n, 1, 3600000 * CAST(n AS bigint), 0, n % 2 = 0, '', '', '', false, false FROM numbers
"""


def test_runs_that_go_on_again_are_found_by_an_index(place: str) -> None:
    """However many there are that are over."""

    async def work(writer: Writer, database: Database) -> str:
        await asyncio.gather(
            *map(writer.submit, sent(*(build(n % 24, run_uid=f"run-{n}") for n in range(500))))
        )
        await writer.submit(part("going", 0, 1))
        await Bookkeeping(database, writer, Quiet()).catch_up()
        await writer.submit(Changing(text("ANALYZE")))
        return str(await database.read(lambda asking: plan(asking, lambda one: reopened_runs(one, 10))))

    found = with_writer(place, work)
    assert "SCAN usages" not in found, found
    assert "Seq Scan on usages" not in found, found
    assert "runs_running" in found or "heard_at_idx" in found, found


def test_the_runs_of_a_day_are_found_by_an_index(place: str) -> None:
    """Both those that are there and those that were removed, however many others the job has."""

    def question(connection: Connection) -> str:
        day = select(usages.c.run_uid).where(*begun_within(1, 100 * DAY, 101 * DAY))
        return plan(connection, lambda asking: asking.execute(day).all())

    async def work(writer: Writer, database: Database) -> str:
        await writer.submit(Changing(text(_MANY), text("ANALYZE")))
        return str(await database.read(question))

    found = with_writer(place, work)

    assert "usages_by_job" in found, found
    assert re.search(r"gone ?= ?(ANY|\?).*begun_at ?>", found), found
