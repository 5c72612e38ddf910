"""What sizing asks of the store: what the newest runs of a job told, and what its days tell together."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from msgspec.structs import asdict
from sqlalchemy import delete, event, text

from jobmeter.model.exits import Exit
from jobmeter.model.sizing import period
from jobmeter.model.sizing.advise_period import advise_period
from jobmeter.model.sizing.observation import Observation, observe
from jobmeter.model.summary import Summary
from jobmeter.receiver.bookkeeping import Bookkeeping
from jobmeter.receiver.store import sizing
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.schema import runs
from jobmeter.receiver.store.sizing import days_of, newest_observations
from jobmeter.receiver.store.usage_days import DAY
from jobmeter.receiver.store.usage_tables import NAMES as COLUMNS
from jobmeter.receiver.store.usage_tables import jobs
from jobmeter.receiver.store.writer import Writer
from tests.model.budgets.runs import GIB, MIB, box
from tests.receiver.store.support import part, summary, with_writer
from tests.receiver.store.test_usages import START, Changing, Quiet, build, sent

NAMES = ("acme", "engine", "ci.yaml", "build")
FIRST_DAY = START // DAY


async def _kept(writer: Writer, database: Database, *changes: Any) -> None:
    """Make changes, and have the tables keep up."""
    keeping = Bookkeeping(database, writer, Quiet())
    await asyncio.gather(*map(writer.submit, changes))
    await keeping.forget("")
    await keeping.catch_up()


def newest(place: str, *changes: Any, limit: int = 100) -> list[Observation]:
    """What is found after changes, twice: nothing is left open on the connection by the first time."""

    async def work(writer: Writer, database: Database) -> list[Observation]:
        await _kept(writer, database, *changes)
        return await database.read(
            lambda asked: [newest_observations(asked, NAMES, limit) for _ in range(2)][1]
        )

    found: list[Observation] = with_writer(place, work)
    return found


@pytest.mark.parametrize("limit, found", [(1, [4]), (3, [4, 2, 0]), (100, [4, 2, 0])])
def test_the_newest_of_one_job_come_first(place: str, limit: int, found: list[int]) -> None:
    """Whichever form their repository has, and in whatever order they came."""
    builds = [build(4), build(0), build(1, job="test"), build(2, repository="engine")]

    assert newest(place, *sent(*builds), limit=limit) == [
        observe(one) for number in found for one in builds if one.run_uid == f"run-{number:04}"
    ]


def test_what_is_no_summary_tells_nothing(place: str) -> None:
    """Nor does a run that goes on."""
    odd = [
        summary(uid, body)._replace(organization="acme", repository="engine", workflow="ci.yaml", job="build")
        for uid, body in (("a", b"{}"), ("b", b'{"containers":7}'), ("c", b"x" * 2**21))
    ]

    assert [run.containers for run in newest(place, *odd, part("d", 0, 2))] == [()]


def test_it_reads_no_more_than_is_bounded(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of much the newest is taken."""
    monkeypatch.setattr(sizing, "MAX_BYTES", 500)

    found = newest(place, *sent(*(build(number) for number in range(9))))

    assert 0 < len(found) < 9
    assert found[0] == observe(build(8))


def test_it_is_found_by_the_index_of_jobs(tmp_path) -> None:
    """Neither other jobs nor summaries are read for the order."""
    statements: list[tuple[str, Any]] = []
    database = Database.open(str(tmp_path / "db"))
    with database.writer.begin() as connection:
        connection.execute(jobs.insert().values(dict(zip(COLUMNS, NAMES, strict=True))))

    @event.listens_for(database.reader, "before_cursor_execute")
    def said(_connection, _cursor, statement, parameters, *_):
        if statement.startswith("SELECT"):
            statements.append((statement, parameters))

    def plans(connection) -> list[str]:
        newest_observations(connection, NAMES, 10)
        days_of(connection, NAMES, 0)
        return [
            str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all())
            for statement, parameters in list(statements)
        ]

    _, runs_plan, _, days_plan = database.read_here(plans)
    database.close()
    assert "USING INDEX usages_by_job (job=? AND gone=?)" in runs_plan
    assert "sizing_days USING PRIMARY KEY" in days_plan or "sqlite_autoindex_sizing_days" in days_plan
    assert "B-TREE" not in runs_plan + days_plan


def test_no_name_has_a_nul(place: str) -> None:
    """PostgreSQL would refuse the question."""
    names = ("o", "r\0", "w", "j")
    database = Database.open(place)
    found = database.read_here(
        lambda asked: (newest_observations(asked, names, 10), days_of(asked, names, 0))
    )
    assert (found, database.read_here(lambda asked: asked.execute(text("SELECT 1")).scalar_one())) == (
        ([], {}),
        1,
    )
    database.close()


def _version(number: int, draw: random.Random) -> Summary:
    """One of the things that a run may say of itself; of its names, its day is another one at times."""
    boxes = [box(name=name, memory_working_set_peak_bytes=draw.randrange(1, 900) * MIB) for name in "ab"]
    reason = draw.choice(["success", "success", "failure", "oom"])
    made = build(
        number + draw.choice([0, 0, 40]), run_uid=f"run-{number:04}", exit=Exit(reason=reason, code=None)
    )
    made.containers = boxes[: draw.choice([1, 2])]
    return made


def _comparable(parts: period.Parts) -> dict[Any, Any]:
    """Sums of floats depend on their order by what is rounded."""
    found: dict[Any, Any] = {}
    for key, one in parts.items():
        fields = asdict(one)
        sketches = [fields.pop("memory")]
        told = [
            (each.bins, each.zeros, each.least, each.most, pytest.approx(each.total)) for each in sketches
        ]
        found[key] = fields, told
    return found


def test_days_tell_of_all_runs_there_ever_were(place: str) -> None:
    """In whatever order they come, change, are removed and come again: as all of them say last, by brute force."""
    draw = random.Random(7)
    said: dict[str, Summary] = {}

    async def work(writer: Writer, database: Database) -> dict[int, period.Parts]:
        for _ in range(12):
            some = [_version(draw.randrange(60), draw) for _ in range(12)]
            said.update({one.run_uid: one for one in some})
            await _kept(writer, database, *sent(*some))
            gone = draw.sample(sorted(said), 3)
            await _kept(writer, database, Changing(delete(runs).where(runs.c.run_uid.in_(gone))))
        return await database.read(lambda asked: days_of(asked, NAMES, FIRST_DAY))

    found: dict[int, period.Parts] = with_writer(place, work)

    by_day: dict[str, list[Observation]] = {}
    for one in said.values():
        by_day.setdefault(one.start_time[:10], []).append(observe(one))
    expected = {day: period.parts_of(runs) for day, runs in by_day.items()}
    assert [FIRST_DAY + int(day[-2:]) - 1 for day in sorted(expected)] == sorted(found)
    for day, parts in expected.items():
        assert _comparable(found[FIRST_DAY + int(day[-2:]) - 1]) == _comparable(parts)
    by_store = advise_period({str(day): parts for day, parts in found.items()})
    by_runs = advise_period({str(day): parts for day, parts in expected.items()})
    assert (by_store.containers, by_store.total) == (by_runs.containers, by_runs.total)


def test_a_day_does_not_depend_on_how_it_came_to_be(place: str) -> None:
    """Of runs whose containers have new names, one at a time or made anew: bounded, the heaviest need in it."""
    told = [_boxes(0, "a"), _boxes(1, "b"), _boxes(2, "c", first=8 * GIB)]
    again = _boxes(0, "a", first=301 * MIB)

    async def work(writer: Writer, database: Database) -> list[period.Parts]:
        found = []
        for one in (*told, again):
            await _kept(writer, database, *sent(one))
            ((_, parts),) = (await database.read(lambda asked: days_of(asked, NAMES, FIRST_DAY))).items()
            found.append(parts)
        return found

    *_, before, after = with_writer(place, work)
    for parts, runs_of_day in ((before, told), (after, [again, *told[1:]])):
        assert _comparable(parts) == _comparable(period.parts_of(map(observe, runs_of_day)))
        assert len(parts) <= period.MAX_PARTS
        assert max(one.need_bytes or 0 for one in parts.values()) == 8 * GIB


def _boxes(number: int, prefix: str, *, first: int = 300 * MIB) -> Summary:
    """A run with two hundred containers that no other run has."""
    made = build(number, run_uid=f"run-{number}")
    made.containers = [
        box(name=f"{prefix} {place}", memory_working_set_peak_bytes=300 * MIB if place else first)
        for place in range(200)
    ]
    return made


def test_only_the_days_that_are_asked_for_are_read(place: str) -> None:
    """From one on."""
    builds = [build(24 * number) for number in range(5)]

    async def work(writer: Writer, database: Database) -> list[int]:
        await _kept(writer, database, *sent(*builds))
        return sorted(await database.read(lambda asked: days_of(asked, NAMES, FIRST_DAY + 3)))

    assert with_writer(place, work) == [FIRST_DAY + 3, FIRST_DAY + 4]
