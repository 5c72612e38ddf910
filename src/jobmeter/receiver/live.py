"""What happens now: the newest samples of the runs that stream, read once for all who look.

Nothing is read while nobody looks. What was found is given to everyone for as long as it is new, so that a hundred
readers cost the database what one costs. The runs are seen in the database, so that those which stream to another
receiver are there too.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct, field
from sqlalchemy import Connection

from jobmeter.model import wire
from jobmeter.model.job import Job
from jobmeter.model.rates import RateWindow, usual_span
from jobmeter.model.sample import ContainerInfo, ContainerSample
from jobmeter.model.summarize import MAX_CONTAINERS, rfc3339_of
from jobmeter.ops.problems import Unavailable
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.live import (
    Going,
    Stage,
    declared,
    first_records,
    going_runs,
    records_since,
    stages_of,
)
from jobmeter.receiver.store.scopes import Scopes

MOST_RUNS = 200
MOST_LISTENERS = 200
RECENT_POINTS = 120
_REFRESH_SECONDS = 2.0
# Looking shall take no more than this share of a core, however many runs there are.
_SHARE = 0.1
_AT_ONCE = 20
_FORGET_SECONDS = 60.0
_THROTTLE_SECONDS = 60.0
_MOST_GROUPS = 64
_MOST = 2**63
Number = TypeVar("Number", int, float)


class Recent(Struct, kw_only=True):
    """The last samples, the oldest first; of containers at the top together."""

    elapsed_seconds: Annotated[list[float], Meta(description="Seconds from the run's start.")] = field(
        default_factory=list
    )
    cpu_cores: Annotated[
        list[float | None], Meta(description="CPU use in cores since the sample before; null where not read.")
    ] = field(default_factory=list)
    memory_bytes: Annotated[list[int | None], Meta(description="Memory in use in bytes.")] = field(
        default_factory=list
    )


class RunningJob(Struct, kw_only=True):
    """A job that runs; what is not known yet is null."""

    run_uid: Annotated[str, Meta(description="The run's key.")]
    job: Annotated[Job, Meta(description="Which job of which forge it is; null where not known.")]
    start_time: Annotated[str | None, Meta(description="RFC 3339, UTC, by the clock of who meters it.")] = (
        None
    )
    running_seconds: Annotated[float | None, Meta(description="From its start to its newest sample.")] = None
    cpu_cores: Annotated[
        float | None, Meta(description="CPU use in cores at its newest sample, of its containers at the top.")
    ] = None
    cpu_limit_cores: Annotated[
        float | None, Meta(description="What they may use; null where one of them has no limit.")
    ] = None
    memory_bytes: Annotated[
        int | None,
        Meta(
            description="Memory in use in bytes, of the container that is nearest to its limit, or the largest."
        ),
    ] = None
    memory_limit_bytes: Annotated[int | None, Meta(description="The limit of that container.")] = None
    container: Annotated[str | None, Meta(description="Its name, where there are several.")] = None
    throttled_ratio: Annotated[
        float | None,
        Meta(
            description="Share of the last minute in which a CPU limit throttled the container it did most, summed "
            "over CPUs, so that it may exceed 1; null where not read."
        ),
    ] = None
    sample_age_seconds: Annotated[
        float | None,
        Meta(description="How old its newest sample is, by the clocks of both machines."),
    ] = None
    delivery_seconds: Annotated[
        float | None, Meta(description="How much of that passed before the sample was stored.")
    ] = None
    silent_seconds: Annotated[float, Meta(description="Since anything of it was stored.")] = 0.0
    recent: Annotated[Recent, Meta(description="Its last minutes.")] = field(default_factory=Recent)


class Now(Struct, kw_only=True):
    """The jobs that run, the newest first."""

    time: Annotated[str, Meta(description="RFC 3339, UTC: when this was read.")]
    jobs: Annotated[list[RunningJob], Meta(description=f"At most {MOST_RUNS} of them.")]
    more: Annotated[bool, Meta(description="Whether there are more.")] = False
    lost_after_seconds: Annotated[
        float | None, Meta(description="After so long a silence a run counts as lost and is here no more.")
    ] = None
    listening_seconds: Annotated[
        float | None,
        Meta(description="Since this receiver was started; silence before that does not count."),
    ] = None


class _Box:
    """The newest readings of one container."""

    def __init__(self, interval_seconds: float) -> None:
        self.cpu = RateWindow(usual_span_seconds=usual_span(interval_seconds))
        self.cores: float | None = None
        self.memory_bytes: int | None = None
        self.throttled: deque[tuple[float, float]] = deque()

    def take(self, elapsed: float, sample: ContainerSample) -> None:
        cpu, throttled = _told(sample.cpu_seconds), _told(sample.throttled_seconds)
        self.cores = None if cpu is None else self.cpu.add(elapsed, cpu)
        self.memory_bytes = _told(sample.memory_bytes)
        if throttled is None:
            return
        if self.throttled and throttled < self.throttled[-1][1]:
            self.throttled.clear()
        self.throttled.append((elapsed, throttled))
        while elapsed - self.throttled[0][0] > _THROTTLE_SECONDS:
            self.throttled.popleft()

    def throttled_ratio(self) -> float | None:
        if len(self.throttled) < 2:
            return None
        (begin, before), (end, after) = self.throttled[0], self.throttled[-1]
        return (after - before) / (end - begin) if end > begin else None


class Follower:
    """Follows one run: takes its records in their order and keeps what the last minutes need."""

    def __init__(self) -> None:
        self.next_sequence = 0
        self.elapsed: float | None = None
        # Until they are read through: from then on every record is seen, so that what was not there is nowhere.
        self._may_have_missed = False
        self._interval = 1.0
        self._infos: dict[str, ContainerInfo] = {}
        self._boxes: dict[str, _Box] = {}
        self._points: deque[tuple[float, float | None, int | None]] = deque(maxlen=RECENT_POINTS)

    def catch_up(self, connection: Connection, run: Going) -> None:
        """Read what is new of the run; of one that is not known yet its start and its last samples."""
        if self.next_sequence == 0:
            for record in first_records(connection, run.key):
                self._take(record)
            begin = max(self.next_sequence, run.next_sequence - RECENT_POINTS)
            self._may_have_missed = begin > self.next_sequence
            self.next_sequence = begin
        found = records_since(connection, run.key, self.next_sequence)
        if self._may_have_missed and any(map(self._is_of_unknown, found)):
            for one in declared(connection, run.key):
                self._know(one.container)
            self._may_have_missed = False
        for record in found:
            self._take(record)

    def _is_of_unknown(self, record: wire.AnyRecord) -> bool:
        return isinstance(record, wire.Tick) and any(
            one.key not in self._infos for one in record.sample.containers
        )

    def _know(self, info: ContainerInfo) -> None:
        """Those that a summary would tell of: the first ones of very many."""
        if info.key in self._infos or len(self._infos) < MAX_CONTAINERS:
            self._infos[info.key] = info

    def describe(self, run: Going, now: float) -> RunningJob:
        """What is to be told of it at a time in seconds since 1970."""
        found = RunningJob(
            run_uid=run.run_uid, job=_job(run), silent_seconds=max(0.0, now - run.heard_at / 1000)
        )
        if run.start_time is not None:
            found.start_time = rfc3339_of(run.start_time / 1000)
        if self.elapsed is None:
            return found
        found.running_seconds = self.elapsed
        if run.start_time is not None:
            sampled = run.start_time / 1000 + self.elapsed
            found.sample_age_seconds = max(0.0, now - sampled)
            found.delivery_seconds = max(0.0, run.heard_at / 1000 - sampled)
        self._describe_use(found)
        return found

    def _describe_use(self, found: RunningJob) -> None:
        top = self._top()
        if self._points:
            found.cpu_cores = self._points[-1][1]
        limits = [self._infos[key].cpu_limit_cores for key in top]
        known = [limit for limit in limits if isinstance(limit, int | float) and 0 < limit <= _MOST]
        if known and len(known) == len(limits):
            found.cpu_limit_cores = float(sum(known))
        if top:
            key = max(top, key=self._nearness)
            info, box = self._infos[key], self._boxes[key]
            found.memory_bytes = box.memory_bytes
            if isinstance(info.memory_limit_bytes, int):
                found.memory_limit_bytes = _told(info.memory_limit_bytes)
            found.container = info.name if len(top) > 1 else None
        ratios = [box.throttled_ratio() for box in self._boxes.values()]
        found.throttled_ratio = max((ratio for ratio in ratios if ratio is not None), default=None)
        found.recent = Recent(
            elapsed_seconds=[point[0] for point in self._points],
            cpu_cores=[point[1] for point in self._points],
            memory_bytes=[point[2] for point in self._points],
        )

    def _nearness(self, key: str) -> tuple[float, int]:
        """How near a container is to its limit, and how large it is."""
        used, limit = self._boxes[key].memory_bytes or 0, self._infos[key].memory_limit_bytes
        known = _told(limit) if isinstance(limit, int) else None
        return (used / known if known else 0.0), used

    def _top(self) -> list[str]:
        """The containers that were read and are nested in no other."""
        return [
            key for key in self._boxes if key in self._infos and self._infos[key].parent not in self._infos
        ]

    def _take(self, record: wire.AnyRecord) -> None:
        self.next_sequence = max(self.next_sequence, record.sequence + 1)
        match record:
            case wire.Start():
                self._interval = record.interval_seconds
            case wire.Declare():
                if record.container.began:
                    self._boxes.pop(record.container.key, None)
                self._know(record.container)
            case wire.Resume():
                self._boxes.clear()
            case wire.Tick():
                self._take_sample(record)

    def _take_sample(self, record: wire.Tick) -> None:
        sample = record.sample
        if self.elapsed is not None and sample.elapsed_seconds <= self.elapsed:
            return
        self.elapsed = sample.elapsed_seconds
        gone = self._boxes.keys() - {one.key for one in sample.containers}
        for key in gone:
            del self._boxes[key]
        for one in sample.containers:
            self._boxes.setdefault(one.key, _Box(self._interval)).take(self.elapsed, one)
        top = [self._boxes[key] for key in self._top()]
        cores = [box.cores for box in top if box.cores is not None]
        memory = [box.memory_bytes for box in top if box.memory_bytes is not None]
        self._points.append((self.elapsed, sum(cores) if cores else None, sum(memory) if memory else None))


class Live:
    """Tells what happens now to any number of readers of one database.

    ``lost_after_seconds`` is how long a run may be silent before the receiver gives it up. What is silence from
    before ``listening_since``, in seconds since 1970, does not count: nobody could be heard.
    """

    def __init__(
        self,
        database: Database,
        *,
        lost_after_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self.lost_after_seconds = lost_after_seconds
        self._clock = clock
        self._wall_clock = wall_clock
        self.listening_since = wall_clock()
        self._alone = asyncio.Lock()
        self._followers: dict[str, tuple[Follower, float]] = {}
        self._nows: dict[Scopes, tuple[Now, float]] = {}
        self._watched: Counter[str] = Counter()
        self._stages: tuple[dict[str, Stage], float] = ({}, 0.0)
        self._listeners = 0
        self._stopped = asyncio.Event()

    async def now(self, scopes: Scopes) -> Now:
        """The jobs that run within the scopes; what was found less than two seconds ago is given again."""
        async with self._alone:
            known = self._nows.get(scopes)
            if known is not None and self._clock() < known[1]:
                return known[0]
            found, seconds = await self._look(scopes)
            begun = self._clock()
            if len(self._nows) >= _MOST_GROUPS:
                self._nows = {key: one for key, one in self._nows.items() if begun < one[1]}
            self._nows[scopes] = found, begun + max(_REFRESH_SECONDS, seconds / _SHARE)
            self._forget(begun)
            return found

    async def stage(self, run_uid: str) -> Stage | None:
        """How far a run that is watched has come; None when it is not there any more."""
        async with self._alone:
            known, until = self._stages
            if self._clock() >= until or run_uid not in known:
                known = await self._database.read(
                    partial(stages_of, run_uids=list(self._watched) or [run_uid])
                )
                self._stages = known, self._clock() + _REFRESH_SECONDS
            return known.get(run_uid)

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return self._listeners

    def check_room(self) -> None:
        """Raises a problem 503 when there are as many listeners as there may be."""
        if self._listeners >= MOST_LISTENERS:
            raise Unavailable("Too many watch live at once; the page can be read without that.", 30)

    @contextmanager
    def listening(self, run_uid: str | None = None) -> Iterator[None]:
        """Be one of the listeners, of a run or of all."""
        self._listeners += 1
        if run_uid is not None:
            self._watched[run_uid] += 1
        try:
            yield
        finally:
            self._listeners -= 1
            if run_uid is not None:
                self._watched[run_uid] -= 1
                self._watched += Counter()  # Without those that nobody watches any more.

    async def pause(self) -> bool:
        """Wait until there may be news; false when the receiver stops."""
        try:
            async with asyncio.timeout(_REFRESH_SECONDS):
                await self._stopped.wait()
        except TimeoutError:
            return True
        return False

    def stop(self) -> None:
        """Let the listeners go: the receiver stops."""
        self._stopped.set()

    async def _look(self, scopes: Scopes) -> tuple[Now, float]:
        """What there is, and the seconds that it took to see."""
        going = await self._database.read(partial(going_runs, scopes=scopes, limit=MOST_RUNS + 1))
        shown = going[:MOST_RUNS]
        new = [run for run in shown if self._follower(run).next_sequence < run.next_sequence]
        seconds = 0.0
        for place in range(0, len(new), _AT_ONCE):
            seconds += await self._database.read(partial(self._catch_up, runs=new[place : place + _AT_ONCE]))
        now = self._wall_clock()
        jobs = [self._follower(run).describe(run, now) for run in shown]
        found = Now(
            time=rfc3339_of(now),
            jobs=jobs,
            more=len(going) > MOST_RUNS,
            lost_after_seconds=self.lost_after_seconds,
            listening_seconds=max(0.0, now - self.listening_since),
        )
        return found, seconds

    def _follower(self, run: Going) -> Follower:
        known = self._followers.get(run.run_uid)
        found = Follower() if known is None else known[0]
        self._followers[run.run_uid] = found, self._clock() + _FORGET_SECONDS
        return found

    def _catch_up(self, connection: Connection, runs: Iterable[Going]) -> float:
        """Runs in a reader's thread."""
        begun = time.thread_time()
        for run in runs:
            self._follower(run).catch_up(connection, run)
        return time.thread_time() - begun

    def _forget(self, now: float) -> None:
        self._followers = {uid: one for uid, one in self._followers.items() if now < one[1]}


def _told(value: Number | None) -> Number | None:
    """A number with which one can calculate; None for any other that somebody sent."""
    return value if value is not None and 0 <= value <= _MOST else None


def _job(run: Going) -> Job:
    try:
        return msgspec.json.decode(run.job_json, type=Job)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Job()
