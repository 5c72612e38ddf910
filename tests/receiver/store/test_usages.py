"""The tables of what runs used keep up with the runs, on each database."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from datetime import date, timedelta
from functools import partial
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, select, text, update

from jobmeter.model.errors import StoreError
from jobmeter.model.exits import Exit
from jobmeter.model.sizing.observation import decode
from jobmeter.model.summary import Summary
from jobmeter.receiver import bookkeeping
from jobmeter.receiver.bookkeeping import BATCH, Bookkeeping
from jobmeter.receiver.ingest import parse
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.queries import RunFilter, newest_runs
from jobmeter.receiver.store.removed_runs import Forget
from jobmeter.receiver.store.schema import runs
from jobmeter.receiver.store.streams import Ending, Finish
from jobmeter.receiver.store.usage_days import DAY
from jobmeter.receiver.store.usage_tables import jobs, sizing_days, usage_days, usage_progress, usages
from jobmeter.receiver.store.usages import TakeIn, Taken, changed_runs, names_of
from jobmeter.receiver.store.writer import Writer
from tests.model.budgets.runs import GIB, JOB, MIB, box, run_of
from tests.receiver.store.support import part, summary, with_writer

START = 1_761_998_400_000  # 2025-11-01T12:00:00Z


class Removing:
    """Does what retention does."""

    size = 0

    def apply(self, connection: Connection, now: int) -> None:
        connection.execute(text("DELETE FROM runs WHERE run_uid IN ('run-0001', 'run-0003', 'run-0004')"))


class Changing:
    """Statements as one change."""

    size = 0

    def __init__(self, *statements: Any) -> None:
        self.statements = statements

    def apply(self, connection: Connection, now: int) -> None:
        for statement in self.statements:
            connection.execute(statement)


class Quiet:
    def warn(self, message: str, **fields: object) -> None:
        raise AssertionError(message, fields)


def build(number: int, **fields: Any) -> Summary:
    """A run of a minute that began ``number`` hours after the first."""
    day, hour = divmod(12 + number, 24)
    container = box(cpu_seconds=90.0, memory_request_bytes=GIB, cpu_request_cores=2.0)
    job = replace(
        JOB,
        **{
            name: fields.pop(name) for name in ("repository", "job", "runner_labels", "ref") if name in fields
        },
    )
    known = {
        "run_uid": f"run-{number:04}",
        "start_time": f"2025-11-{1 + day:02}T{hour:02}:00:00.000Z",
        "job": job,
    }
    return run_of(container, **(known | fields))


def sent(*summaries: Summary) -> list[Any]:
    return [parse(msgspec.json.encode(summary)) for summary in summaries]


def kept(place: str, *rounds: list[Any]) -> dict[str, list[Any]]:
    """The rows of the tables after changes in rounds, history being told after each."""

    async def work(writer: Writer, database: Database) -> dict[str, list[Any]]:
        keeping = Bookkeeping(database, writer, Quiet())
        for changes in rounds:
            await asyncio.gather(*map(writer.submit, changes))
            await keeping.catch_up()
        return await database.read(rows)

    found: dict[str, list[Any]] = with_writer(place, work)
    return found


def rows(connection) -> dict[str, list[Any]]:
    return {
        "jobs": list(connection.execute(select(jobs).order_by(jobs.c.id)).mappings()),
        "usages": list(connection.execute(select(usages).order_by(usages.c.run_uid)).mappings()),
        "sizing": list(connection.execute(select(sizing_days)).mappings()),
        "days": list(
            connection.execute(select(usage_days).order_by(usage_days.c.day, usage_days.c.job)).mappings()
        ),
    }


def test_a_run_is_told_by_its_numbers_its_day_and_its_job(place: str) -> None:
    """Each as the summary says."""
    found = kept(place, sent(build(0)))

    (job,), (run,), (day,) = found["jobs"], found["usages"], found["days"]
    assert (job["organization"], job["repository"], job["workflow"], job["job"]) == (
        "acme",
        "engine",
        "ci.yaml",
        "build",
    )
    assert (job["runs"], job["last_begun_at"]) == (1, START)
    assert (run["run_uid"], run["begun_at"], run["memory_bytes"]) == ("run-0000", START, 300 * MIB)
    assert (run["cores_reserved"], run["cores_reserved_used"]) == (2.0, 1.5)
    assert (day["day"], day["runs"], day["failed_runs"], day["cores_told_runs"]) == (START // DAY, 1, 0, 1)
    assert (day["core_seconds"], day["reserved_core_seconds"]) == (90.0, 120.0)
    assert (day["byte_seconds"], day["reserved_byte_seconds"]) == (300 * MIB * 60, GIB * 60)


def test_a_run_that_cannot_be_read_did_not_fail(place: str) -> None:
    """How it ended is not known."""
    found = kept(place, [summary("run", b'{"exit":7}')])

    assert [(run["whole"], run["exit_reason"]) for run in found["usages"]] == [(None, None)]
    assert [(day["runs"], day["failed_runs"]) for day in found["days"]] == [(1, 0)]


def test_a_start_in_the_future_is_not_believed(place: str) -> None:
    """The run would be the newest one for ever; it began when it was heard of."""
    found = kept(place, sent(build(0, start_time="2106-01-01T00:00:00Z")))

    (run,) = found["usages"]
    assert abs(run["begun_at"] - run["heard_at"]) < DAY
    assert found["jobs"][0]["last_begun_at"] == run["begun_at"]
    assert [day["day"] for day in found["days"]] == [run["begun_at"] // DAY]


def test_both_forms_of_a_repository_are_one_job(place: str) -> None:
    """The full path and the name alone."""
    found = kept(place, sent(build(0), build(1, repository="engine"), build(2, repository="other/engine")))

    assert [(job["repository"], job["runs"]) for job in found["jobs"]] == [("engine", 2), ("other/engine", 1)]
    assert names_of(None, "a/b", None, "j") == ("", "a/b", "", "j")


def test_a_run_that_changes_counts_once(place: str) -> None:
    """With what it says last, on the day and for the job that it says last."""
    found = kept(
        place,
        sent(build(0), build(1)),
        sent(build(1, exit=Exit(reason="failure", code=1))),
        sent(build(0, job="test", start_time="2025-12-01T00:00:00Z")),
        [],
    )

    assert [(job["job"], job["runs"]) for job in found["jobs"]] == [("build", 1), ("test", 1)]
    assert [(day["runs"], day["failed_runs"]) for day in found["days"]] == [(1, 1), (1, 0)]
    assert len(found["usages"]) == 2


def test_a_run_that_changes_after_the_clock_went_back_is_told_anew(place: str) -> None:
    """What is stored last counts, whatever time it says."""

    async def work(writer: Writer, database: Database) -> Any:
        keeping = Bookkeeping(database, writer, Quiet())
        for duration_seconds, ahead in (60.0, 3_600_000), (5.0, 0):
            await asyncio.gather(*map(writer.submit, sent(build(0, duration_seconds=duration_seconds))))
            await writer.submit(Changing(update(runs).values(heard_at=runs.c.heard_at + ahead)))
            await keeping.catch_up()
        return await database.read(rows)

    found = with_writer(place, work)

    assert [run["duration_seconds"] for run in found["usages"]] == [5.0]


def test_a_streamed_run_is_told_when_it_is_over(place: str) -> None:
    """Not while it runs; one that is told of a summary that is none tells nothing."""
    assert kept(place, [part("run", 0, 2)])["usages"] == []
    (run,) = kept(place, [part("run", 2, 1, ends_after=2)])["usages"]
    assert (run["run_uid"], run["whole"], run["duration_seconds"]) == ("run", True, None)


@pytest.mark.parametrize("days_ago", [0, 3])
def test_a_run_that_is_given_up_is_told(place: str, days_ago: int) -> None:
    """Though it was last heard of before others that are known; after a weekend without a receiver too."""

    async def work(writer: Writer, database: Database) -> Any:
        keeping = Bookkeeping(database, writer, Quiet())
        await writer.submit(part("run", 0, 2))
        heard_at = int(time.time() * 1000) - 60_000 - days_ago * DAY
        await writer.submit(Changing(update(runs).values(heard_at=heard_at)))
        await asyncio.gather(*map(writer.submit, sent(build(0))))
        await keeping.look_back()
        before = await database.read(rows)
        await writer.submit(Finish("run", heard_at + 1, Ending(2, None, "lost")))
        await Bookkeeping(database, writer, Quiet()).catch_up()
        (known,) = await database.read(lambda asked: asked.execute(select(usage_progress.c.heard_at)).all())
        assert time.time() * 1000 - known[0] < 60_000, "all since would be looked at again and again"
        return before, await database.read(rows)

    before, after = with_writer(place, work)

    assert [run["run_uid"] for run in before["usages"]] == ["run-0000"]
    assert [run["run_uid"] for run in after["usages"]] == ["run", "run-0000"]


def test_a_run_that_goes_on_again_is_not_told_until_it_is_over(place: str) -> None:
    """It was given up, and its sender comes back: it has not failed, nor has its day."""

    def failed(connection: Connection) -> list[str]:
        return [run.run_uid for run in newest_runs(connection, RunFilter(ended="failed"), None, 10)]

    async def work(writer: Writer, database: Database) -> list[Any]:
        keeping, found = Bookkeeping(database, writer, Quiet()), []
        await asyncio.gather(*map(writer.submit, sent(build(0))))
        told_so = msgspec.json.encode(build(1, exit=Exit(reason="lost")))
        lost = Finish("run", 2**62, Ending(2, told_so, "lost"))
        for change in part("run", 0, 2), lost, part("run", 2, 1), part("run", 3, 1, ends_after=3):
            await writer.submit(change)
            at_once = await database.read(failed)
            await keeping.catch_up()
            found.append(await database.read(rows) | {"failed": (at_once, await database.read(failed))})
        return found

    told = with_writer(place, work)

    assert [[run["run_uid"] for run in each["usages"]] for each in told] == [
        ["run-0000"], ["run", "run-0000"], ["run-0000"], ["run", "run-0000"],
    ]  # fmt: skip
    assert [sum(day["runs"] for day in each["days"]) for each in told] == [1, 2, 1, 2]
    assert [len(each["jobs"]) for each in told] == [1, 2, 1, 2]
    assert [each["failed"] for each in told] == [([], []), ([], ["run"]), ([], []), ([], [])]


def test_a_job_whose_runs_are_of_another_one_now_is_there_no_more(place: str) -> None:
    """Nor what sizing learnt of it."""
    found = kept(place, sent(build(0), build(1, job="other")), sent(build(0, job="right"), build(1)))

    assert sorted((job["job"], job["runs"]) for job in found["jobs"]) == [("build", 1), ("right", 1)]
    assert {day["job"] for day in found["sizing"]} == {job["id"] for job in found["jobs"]}


def test_what_an_import_sets_back_before_a_look_back_is_taken_in(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though where to look back to was read before."""

    async def work(writer: Writer, database: Database) -> Any:
        await asyncio.gather(*map(writer.submit, sent(build(0), build(1))))
        old = update(runs).where(runs.c.run_uid == "run-0000").values(heard_at=START)
        await writer.submit(Changing(old, update(usage_progress).values(heard_at=START)))
        monkeypatch.setattr(bookkeeping, "_position", lambda connection: (START, START + 20 * DAY))
        await Bookkeeping(database, writer, Quiet()).look_back()
        return await database.read(rows)

    assert len(with_writer(place, work)["usages"]) == 2


def test_what_an_import_sets_back_stays_so(place: str) -> None:
    """Though a batch was read before, and is stored after it."""

    async def work(writer: Writer, database: Database) -> tuple[Any, ...]:
        def stored(connection: Connection) -> int | None:
            return connection.execute(select(usage_progress.c.heard_at)).scalar()

        await asyncio.gather(*map(writer.submit, sent(*map(build, range(2)))))
        taken = await database.read(partial(changed_runs, since=0, limit=10))
        known = await writer.submit(TakeIn(taken[:1], 0))
        await writer.submit(Changing(update(usage_progress).values(heard_at=START)))
        gone_on = await writer.submit(TakeIn(taken[1:], known))
        back = await database.read(stored)
        await Bookkeeping(database, writer, Quiet()).catch_up()
        return known, gone_on, back, await database.read(rows)

    known, gone_on, back, found = with_writer(place, work)

    assert (gone_on, back) == (None, START)
    assert known > START
    assert len(found["usages"]) == 2


def test_it_is_looked_back_again_and_again(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at the start alone."""
    monkeypatch.setattr(bookkeeping, "_LOOK_BACK_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(bookkeeping, "_EVERY_SECONDS", 0.01)

    async def work(writer: Writer, database: Database) -> None:
        keeping = asyncio.create_task(Bookkeeping(database, writer, Quiet()).keep())
        for number in range(2):
            before_all_others = update(runs).where(runs.c.run_uid == f"run-{number:04}")
            heard_at = runs.c.heard_at - 60_000 * (number + 1)
            await asyncio.gather(
                writer.submit(sent(build(number))[0]),
                writer.submit(Changing(before_all_others.values(heard_at=heard_at))),
            )
            async with asyncio.timeout(20):
                while len((await database.read(rows))["usages"]) <= number:
                    await asyncio.sleep(0.01)
        keeping.cancel()

    with_writer(place, work)


def test_days_are_kept_by_the_labels_of_runners(place: str) -> None:
    """Runners cost differently."""
    found = kept(
        place,
        sent(build(0, runner_labels=("big", "x,y")), build(1, runner_labels=("big", "x,y")), build(2)),
    )

    assert sorted((day["labels"], day["runs"]) for day in found["days"]) == [("", 1), ("big,x y", 2)]


def test_texts_of_any_size_are_taken_in(place: str) -> None:
    """Cut to what fits into an index, where random letters do not become smaller."""
    draw = random.Random(1)
    labels = tuple("".join(chr(draw.randrange(0x4E00, 0x9FFF)) for _ in range(64)) for _ in range(16))
    ref = "".join(draw.choices("abcdefghijklmnopqrstuvwxyz0123456789-_", k=2600))
    found = kept(place, sent(build(0, runner_labels=labels), build(1, ref=ref), build(2)))

    assert [len(run["labels"].encode()) for run in found["usages"]] == [2047, 0, 0]
    assert [run["ref"] for run in found["usages"]][1:] == [ref[:2048], JOB.ref]
    assert all(len(name.encode()) == 600 for name in names_of("o" * 999, "é" * 999, "w" * 999, "j" * 999))


def test_a_run_that_the_database_does_not_take_stops_no_other(place: str) -> None:
    """It is told with its job and its times; and the writer is not in trouble for it."""

    async def work(writer: Writer, database: Database) -> tuple[Any, ...]:
        await asyncio.gather(*map(writer.submit, sent(*map(build, range(3)))))
        taken = await database.read(partial(changed_runs, since=0, limit=10))
        taken[1] = taken[1]._replace(usage=replace(taken[1].usage, memory_bytes=2**70))
        done = await writer.submit(TakeIn(taken, 0))
        return (
            done,
            writer.trouble(),
            await database.read(rows),
            await database.read(partial(changed_runs, since=0, limit=10)),
        )

    done, trouble, found, left = with_writer(place, work)

    assert (done is None, trouble, left) == (False, None, [])
    assert [run["memory_bytes"] for run in found["usages"]] == [300 * MIB, None, 300 * MIB]
    assert sum(day["runs"] for day in found["days"]) == 3


def test_sums_equal_those_of_all_runs_whatever_came_in_which_order(place: str) -> None:
    """A thousand changes in rounds, of runs that come again with other numbers."""
    chance = random.Random(3)
    newest: dict[int, Summary] = {}

    def some() -> Iterator[Summary]:
        for number in chance.sample(range(300), 250):
            newest[number] = build(
                number % 240, run_uid=f"run-{number}", duration_seconds=chance.choice([30.0, 60.0])
            )
            yield newest[number]

    found = kept(place, *(sent(*some()) for _ in range(4)))

    hours: dict[str, float] = {}
    for one in newest.values():
        day = one.start_time[:10]
        hours[day] = hours.get(day, 0.0) + one.duration_seconds
    told = {text_of(day["day"]): day["duration_seconds"] for day in found["days"]}
    assert told == hours
    assert sum(job["runs"] for job in found["jobs"]) == len(newest)


def text_of(day: int) -> str:
    return str(date(1970, 1, 1) + timedelta(days=day))


def test_more_than_a_batch_is_taken_in(place: str) -> None:
    """One after the other."""
    found = kept(
        place, sent(*(build(number % 24, run_uid=f"run-{number}") for number in range(2 * BATCH + 1)))
    )

    assert found["jobs"][0]["runs"] == 2 * BATCH + 1


@pytest.mark.postgresql
def test_who_finds_another_at_it_leaves_it(postgresql_url: str) -> None:
    """And what was read before the other was done does not undo it."""

    async def work(writer: Writer, database: Database) -> tuple[Any, Any]:
        async def read(duration_seconds: float) -> list[Taken]:
            await asyncio.gather(*map(writer.submit, sent(build(0, duration_seconds=duration_seconds))))
            return await database.read(partial(changed_runs, since=0, limit=10))

        old, new = await read(60.0), await read(5.0)
        other = Database.open(postgresql_url)
        with other.writer.begin() as connection:
            connection.execute(select(usage_progress).with_for_update())
            refused = await writer.submit(TakeIn(new, 0))
        other.close()
        assert [await writer.submit(TakeIn(taken, 0)) for taken in (new, old)] != [None, None]
        return refused, await database.read(rows)

    refused, found = with_writer(postgresql_url, work)

    assert refused is None
    assert found["usages"][0]["duration_seconds"] == 5.0


def test_a_database_that_cannot_be_changed_tells_what_it_has(place: str) -> None:
    """Who asks is not told of the trouble: reading needs no room."""

    async def work(writer: Writer, database: Database) -> None:
        class Refusing:
            def submit(self, change: object) -> None:
                raise StoreError("no room")

        await asyncio.gather(*map(writer.submit, sent(build(0))))
        await Bookkeeping(database, Refusing(), Quiet()).catch_up()  # type: ignore[arg-type]

    with_writer(place, work)


def test_changed_runs_are_found_by_an_index(place: str) -> None:
    """However many there are that did not change."""

    async def work(writer: Writer, database: Database) -> str:
        await asyncio.gather(
            *map(writer.submit, sent(*(build(n % 24, run_uid=f"run-{n}") for n in range(500))))
        )
        await Bookkeeping(database, writer, Quiet()).catch_up()

        def plan(connection) -> str:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SET enable_seqscan = off"))
            statements: list[Any] = []
            original = connection.execute

            def execute(query, *args, **kwargs):
                statements.append(query)
                return original(query, *args, **kwargs)

            connection.execute = execute
            changed_runs(connection, 5, 10)
            connection.execute = original
            compiled = statements[0].compile(connection.engine, compile_kwargs={"literal_binds": True})
            words = "EXPLAIN" if connection.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
            return "\n".join(map(str, connection.exec_driver_sql(f"{words} {compiled}").all()))

        return await database.read(plan)

    plan = with_writer(place, work)
    assert "hearing" in plan or "heard_at_idx" in plan, plan


def test_sizing_knows_the_leg_of_a_run_that_was_removed(place: str) -> None:
    """Advice is given by it; the run itself is not told."""
    leg = build(0)
    leg.job = replace(JOB, matrix={"os": "linux"})

    async def work(writer: Writer, database: Database) -> Any:
        keeping = Bookkeeping(database, writer, Quiet())
        await writer.submit(sent(leg)[0])
        await keeping.catch_up()
        await writer.submit(Changing(text("DELETE FROM runs")))
        await keeping.forget("")
        await asyncio.gather(*map(writer.submit, sent(build(1), build(1, duration_seconds=5.0))))
        await keeping.catch_up()
        return await database.read(rows)

    found = with_writer(place, work)

    assert [(run["gone"], run["leg"]) for run in found["usages"]] == [(True, ""), (False, "")]
    assert decode(found["usages"][0]["observation"]).leg == "os=linux"
    assert b"os=linux" in found["sizing"][0]["told"]


def test_runs_that_were_removed_are_forgotten_and_their_days_are_not(place: str) -> None:
    """Page by page; one that came again stays."""

    async def work(writer: Writer, database: Database) -> Any:
        keeping = Bookkeeping(database, writer, Quiet())
        await asyncio.gather(*map(writer.submit, sent(*map(build, range(5)))))
        await keeping.catch_up()
        await writer.submit(Removing())
        await asyncio.gather(writer.submit(sent(build(4))[0]))
        last: str | None = ""
        while last is not None:
            last = await keeping.forget(last, 2)
        await writer.submit(Forget(["run-0000"]))
        return await database.read(rows)

    found = with_writer(place, work)

    gone = {run["run_uid"] for run in found["usages"] if run["gone"]}
    assert gone == {"run-0001", "run-0003"}
    assert all(run["ref"] is None for run in found["usages"] if run["gone"])
    assert sum(day["runs"] for day in found["days"]) == 5
    assert found["jobs"][0]["last_begun_at"] == START + 4 * 3_600_000
