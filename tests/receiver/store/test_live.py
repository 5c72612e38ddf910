"""What happens now, read from both kinds of database: what is told of a run, and how often it is read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec import structs

from jobmeter.model import wire
from jobmeter.model.errors import StoreError
from jobmeter.model.job import Job
from jobmeter.model.sample import ContainerInfo, ContainerSample, Sample
from jobmeter.ops.problems import Problem
from jobmeter.receiver import live as live_module
from jobmeter.receiver.live import MOST_LISTENERS, RECENT_POINTS, Live, RunningJob
from jobmeter.receiver.pages.events import NowEvents, run_events
from jobmeter.receiver.parts import parse
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.live import declared as all_declared
from jobmeter.receiver.store.live import stage_of
from jobmeter.receiver.store.scopes import Scope
from jobmeter.receiver.store.streams import Ending
from jobmeter.receiver.store.writer import Writer
from tests.receiver.store.support import ndjson, with_writer

MIB = 1024**2
START_SECONDS = 1_795_305_600.0
START = "2026-11-22T00:00:00.000Z"


class Run:
    """A run of one top container of 2 cores and 1 GiB, and one nested in it; a sample each second."""

    def __init__(self, run_uid: str, **names: Any) -> None:
        self.uid = run_uid
        self.sequence = 0
        self._job = Job(**names)

    def start(self) -> list[wire.AnyRecord]:
        """The first records."""
        top = ContainerInfo(
            key="top", name="job", began=True, cpu_limit_cores=2.0, memory_limit_bytes=1024 * MIB
        )
        nested = ContainerInfo(key="nested", name="db", parent="top", began=True)
        return [
            wire.Start(
                v=1, run_uid=self.uid, sequence=self._next(), start_time=START, monotonic_seconds=0.0,
                boot_id=None, interval_seconds=1.0, version="0", meter="run", job=self._job,
            ),
            self.declare(top),
            self.declare(nested),
        ]  # fmt: skip

    def declare(self, info: ContainerInfo) -> wire.Declare:
        """A container."""
        return wire.Declare(v=1, run_uid=self.uid, sequence=self._next(), elapsed_seconds=0.0, container=info)

    def tick(self, second: int, cores: float = 1.5, *, more: tuple[ContainerSample, ...] = ()) -> wire.Tick:
        """A sample: 300 MiB are used, and a tenth of the time is throttled."""
        top = ContainerSample(
            key="top",
            cpu_seconds=cores * second,
            memory_bytes=300 * MIB,
            throttled_seconds=0.1 * second,
        )
        nested = ContainerSample(key="nested", cpu_seconds=0.5 * second, memory_bytes=100 * MIB)
        sample = Sample(
            elapsed_seconds=float(second),
            due_seconds=float(second),
            containers=(top, nested, *more),
            unattributed_cpu_seconds=0.0,
            cpu_complete=True,
        )
        return wire.Tick(v=1, run_uid=self.uid, sequence=self._next(), sample=sample)

    def _next(self) -> int:
        self.sequence += 1
        return self.sequence - 1


class Scene:
    """A database with a writer, and a reader of what happens now whose clocks are the test's."""

    def __init__(self, writer: Writer, database: Database) -> None:
        self._writer = writer
        self.monotonic, self.wall = 100.0, START_SECONDS
        self.asked = 0
        read = database.read

        async def counted(question: Any) -> Any:
            self.asked += 1
            return await read(question)

        database.read = counted  # type: ignore[method-assign]
        self.live = Live(database, clock=lambda: self.monotonic, wall_clock=lambda: self.wall)

    async def store(self, *records: wire.AnyRecord) -> None:
        """Store records of one run as a part."""
        parsed = parse(records[0].run_uid, ndjson(records), gap=False)
        assert parsed is not None
        part = parsed.part
        if part.ends:
            part = part._replace(ending=Ending(part.first_sequence, None))
        await self._writer.submit(part)

    async def look(self, seconds: float = 2.5) -> list[RunningJob]:
        """The jobs, that much later."""
        self.monotonic += seconds
        return (await self.live.now(None)).jobs


def staged(place: str, work: Callable[[Scene], Awaitable[None]]) -> None:
    """Do that on a database of its own."""
    with_writer(place, lambda writer, database: work(Scene(writer, database)))


def test_a_running_job_is_told_with_its_use_and_its_lag(place: str) -> None:
    """Cores and memory of the container at the top, its limits, throttling, and how old the newest sample is."""

    async def work(scene: Scene) -> None:
        run = Run("a", organization="acme", repository="acme/engine", workflow="ci", job="build")
        await scene.store(*run.start(), *(run.tick(second) for second in range(1, 11)))
        scene.wall = START_SECONDS + 12.0
        (job,) = await scene.look()
        assert (job.run_uid, job.job.job, job.start_time) == ("a", "build", START)
        assert job.running_seconds == 10.0
        assert job.cpu_cores == pytest.approx(1.5)
        assert (job.cpu_limit_cores, job.container) == (2.0, None)
        assert (job.memory_bytes, job.memory_limit_bytes) == (300 * MIB, 1024 * MIB)
        assert job.throttled_ratio == pytest.approx(0.1)
        assert job.sample_age_seconds == 2.0
        assert job.recent.elapsed_seconds == [float(second) for second in range(1, 11)]
        assert job.recent.cpu_cores[0] is None
        assert job.recent.cpu_cores[1:] == [pytest.approx(1.5)] * 9

        await scene.store(run.tick(11, 1.6))
        (job,) = await scene.look()
        assert job.cpu_cores == pytest.approx(1.6 * 11 - 1.5 * 10)
        assert job.running_seconds == 11.0

    staged(place, work)


def test_of_a_long_run_its_last_samples_are_read_alone(place: str) -> None:
    """They have their names and limits, also of a container that was declared in the middle."""

    async def work(scene: Scene) -> None:
        run = Run("a", job="build")
        await scene.store(*run.start())
        for first in range(1, 400, 50):
            await scene.store(*(run.tick(second) for second in range(first, first + 50)))
            if first == 101:
                await scene.store(run.declare(ContainerInfo(key="late", name="late", began=True)))
        late = ContainerSample(key="late", cpu_seconds=1.0, memory_bytes=900 * MIB)
        await scene.store(run.tick(500, more=(late,)))
        (job,) = await scene.look()
        assert len(job.recent.elapsed_seconds) <= RECENT_POINTS
        assert job.recent.elapsed_seconds[-1] == 500.0
        assert job.recent.elapsed_seconds[0] > 200.0
        # It has no limit, so that it cannot be near one.
        assert (job.container, job.memory_limit_bytes) == ("job", 1024 * MIB)

    staged(place, work)


@pytest.mark.parametrize("declared", [0, 3], ids=["undeclared", "more than there may be"])
def test_what_was_looked_for_in_vain_is_not_looked_for_again(
    place: str, monkeypatch: pytest.MonkeyPatch, declared: int
) -> None:
    """All parts are read through once; a container of which nobody hears the name counts for nothing."""
    monkeypatch.setattr(live_module, "MAX_CONTAINERS", 3)
    read: list[int] = []

    def counted(*known: Any) -> list[wire.Declare]:
        read.append(1)
        return all_declared(*known)

    monkeypatch.setattr(live_module, "declared", counted)

    async def work(scene: Scene) -> None:
        run = Run("a")
        boxes = [ContainerInfo(key=f"box-{number}", name="box", began=True) for number in range(declared)]
        await scene.store(*run.start())
        for first in range(0, 300, 50):
            await scene.store(*(run.tick(second) for second in range(first, first + 50)))
            if first == 150 and boxes:
                await scene.store(*map(run.declare, boxes))
        for second in range(300, 305):
            more = ContainerSample(key=f"box-{second % 3}", cpu_seconds=9.0 * second, memory_bytes=MIB)
            await scene.store(run.tick(second, more=(more,)))
            (job,) = await scene.look()
            assert job.cpu_cores == pytest.approx(1.5)
        assert read == [1]
        await scene.store(run.declare(ContainerInfo(key="top", name="job", cpu_limit_cores=4.0)))
        (job,) = await scene.look()
        assert (job.cpu_limit_cores, read) == (4.0, [1])

    staged(place, work)


def test_what_was_read_serves_everyone_for_two_seconds(place: str) -> None:
    """A hundred readers ask the database once; nothing is read of runs that have no news."""

    async def work(scene: Scene) -> None:
        first, second = Run("a"), Run("b")
        for run in (first, second):
            await scene.store(*run.start(), run.tick(1), run.tick(2))
        before = scene.asked
        found = await asyncio.gather(*(scene.live.now(None) for _ in range(100)))
        assert scene.asked - before == 2
        assert all(one is found[0] for one in found)
        await scene.look(1.9)
        assert scene.asked - before == 2
        await scene.look(0.2)
        assert scene.asked - before == 3

    staged(place, work)


def test_who_may_see_some_sees_those_alone(place: str) -> None:
    """The newest of an organization are found even among very many of others."""

    async def work(scene: Scene) -> None:
        for name in ("a", "b"):
            run = Run(f"run-{name}", organization=name, repository=f"{name}/r", workflow="w", job="j")
            await scene.store(*run.start())
        found = await scene.live.now((Scope(organization="a"),))
        assert [job.run_uid for job in found.jobs] == ["run-a"]
        assert (await scene.live.now(())).jobs == []
        assert [job.run_uid for job in (await scene.live.now(None)).jobs] == ["run-b", "run-a"]

    staged(place, work)


def test_a_run_that_is_over_is_no_longer_told(place: str) -> None:
    """Nor one that was never there."""

    async def work(scene: Scene) -> None:
        run = Run("a")
        await scene.store(*run.start(), run.tick(1))
        assert len(await scene.look()) == 1
        with scene.live.listening("a"):
            begun = await scene.live.stage("a")
            assert begun is not None
            assert begun[:2] == ("running", 4)
            end = wire.End(v=1, run_uid="a", sequence=4, elapsed_seconds=2.0)
            await scene.store(end)
            scene.monotonic += 3.0
            found = await scene.live.stage("a")
            assert found is not None
            assert found.next_sequence == 5
        assert await scene.live.stage("b") is None

    staged(place, work)


@pytest.mark.parametrize("number", [2**80, -1, float("1e308")])
def test_numbers_with_which_nobody_can_calculate_are_left_out(place: str, number: float) -> None:
    """Whatever a sender says, everyone else still sees the other jobs."""

    async def work(scene: Scene) -> None:
        run = Run("a")
        odd = ContainerSample(key="odd", cpu_seconds=float(number), memory_bytes=int(number))
        info = ContainerInfo(
            key="odd", name="x", cpu_limit_cores=float(number), memory_limit_bytes=int(number)
        )
        await scene.store(*run.start(), run.declare(info), run.tick(1, more=(odd,)), run.tick(2, more=(odd,)))
        (job,) = await scene.look()
        assert job.memory_bytes == 300 * MIB
        assert job.cpu_cores == pytest.approx(1.5)

    staged(place, work)


def test_a_run_of_another_time_or_without_a_sample_is_told_too(place: str) -> None:
    """A clock that is ahead makes no negative age; what is not known is null."""

    async def work(scene: Scene) -> None:
        early, empty = Run("early"), Run("empty")
        await scene.store(*early.start(), early.tick(1), early.tick(5))
        await scene.store(*empty.start())
        scene.wall = START_SECONDS - 100.0
        none, ahead = await scene.look()
        assert ahead.sample_age_seconds == 0.0
        assert (none.sample_age_seconds, none.cpu_cores, none.memory_bytes) == (None, None, None)

    staged(place, work)


def test_nul_is_the_name_of_no_run(place: str) -> None:
    """PostgreSQL would not even take the question."""

    async def work(scene: Scene) -> None:
        assert await scene.live._database.read(lambda one: stage_of(one, "a\0", None)) is None

    staged(place, work)


def test_listeners_are_bounded(place: str) -> None:
    """Who comes when there are as many as may be is told so; who goes makes room."""

    async def work(scene: Scene) -> None:
        held = [scene.live.listening(f"run-{number}") for number in range(MOST_LISTENERS)]
        for one in held:
            scene.live.check_room()
            one.__enter__()
        with pytest.raises(Problem, match="Too many watch"):
            scene.live.check_room()
        for one in held:
            one.__exit__(None, None, None)
        scene.live.check_room()
        assert not scene.live._watched

    staged(place, work)


def test_events_say_what_has_changed_and_end_with_the_receiver(place: str) -> None:
    """First all rows, then those that are new; a run says when it has news."""

    async def work(scene: Scene) -> None:
        run = Run("a", job="<script>alert(1)</script>")
        await scene.store(*run.start(), run.tick(1))
        rows, news = NowEvents(scene.live).stream(None), run_events(scene.live, "a")
        assert await anext(rows) == await anext(news) == b"retry: 3000\n\n"
        first = (await anext(rows)).decode()
        assert first.startswith('data: {"lead":"1 job')
        assert '"rows":["<tr data-uid=\\"a\\">' in first
        assert "<script" not in first
        assert "&lt;script&gt;" in first
        assert await anext(news) == b'data: {"running":true,"next_sequence":4}\n\n'
        scene.live.stop()
        for stream in (rows, news):
            with pytest.raises(StopAsyncIteration):
                await anext(stream)

    staged(place, work)


def test_who_listens_waits_until_the_database_can_be_read_again(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No stream ends for a moment's trouble."""
    monkeypatch.setattr("jobmeter.receiver.live._REFRESH_SECONDS", 0.01)

    async def work(scene: Scene) -> None:
        run = Run("a")
        await scene.store(*run.start(), run.tick(1))
        database = scene.live._database
        read, broken = database.read, True

        async def troubled(question: Any) -> Any:
            if broken:
                raise StoreError("gone")
            return await read(question)

        monkeypatch.setattr(database, "read", troubled)
        rows, news = NowEvents(scene.live).stream(None), run_events(scene.live, "a")
        for stream in (rows, news):
            await anext(stream)
        waiting = [asyncio.ensure_future(anext(stream)) for stream in (rows, news)]
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in waiting)
        broken = False
        first, second = await asyncio.gather(*waiting)
        assert b'data: {"lead":"1 job' in first
        assert b'"running":true' in second

    staged(place, work)


def test_an_order_of_records_that_is_not_ours_is_read_as_well(place: str) -> None:
    """A restarted collector goes on: its counters begin anew, and no rate is made up."""

    async def work(scene: Scene) -> None:
        run = Run("a")
        await scene.store(*run.start(), run.tick(1), run.tick(2))
        resumed = wire.Resume(v=1, run_uid="a", sequence=run.sequence, elapsed_seconds=60.0, version="0")
        run.sequence += 1
        fresh = structs.replace(run.tick(61), sample=run.tick(1).sample)
        fresh = structs.replace(
            fresh, sample=structs.replace(fresh.sample, elapsed_seconds=61.0), sequence=resumed.sequence + 1
        )
        await scene.store(resumed, fresh)
        (job,) = await scene.look()
        assert job.running_seconds == 61.0
        assert job.cpu_cores is None

    staged(place, work)
