"""`POST /api/v1/runs/{run_uid}/parts`: takes the records of a run while it runs, and finishes it."""

import asyncio
import re
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Struct
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from jobmeter.model import wire
from jobmeter.model.errors import JournalError, StoreError
from jobmeter.model.summarize import RunFold
from jobmeter.receiver.bodies import Body, read_body
from jobmeter.receiver.figures import Figures
from jobmeter.receiver.ingest import RunUid, encoded_job
from jobmeter.receiver.problems import Problem
from jobmeter.receiver.routing import Content, Parameter, Route, endpoint
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.queries import find_run, records
from jobmeter.receiver.store.streams import (
    Ending,
    Finish,
    Gap,
    Heard,
    Outdated,
    Part,
    Progress,
    merged,
    silent_runs,
)
from jobmeter.receiver.store.writer import Writer
from jobmeter.receiver.times import milliseconds

MAX_RECORDS = 100_000
MAX_SEQUENCE = 2**53
_UID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TRIES = 5
_SWEEP_SECONDS = (0.2, 30.0)


class PartAnswer(Struct):
    """What the receiver has of a run."""

    run_uid: Annotated[str, Meta(description="The run's key.")]
    next_sequence: Annotated[
        int, Meta(description="The first record that is not on disk; everything below it is safe.")
    ]
    ended: Annotated[bool, Meta(description="Whether the end of the run is there.")]


class _Key(Struct):
    v: int
    kind: str
    run_uid: str
    sequence: Annotated[int, Meta(ge=0, lt=MAX_SEQUENCE)]


_KEY = msgspec.json.Decoder(_Key)


class Parsed(NamedTuple):
    """A part and its records; records of kinds that are not known here are left out."""

    part: Part
    records: tuple[wire.AnyRecord, ...]


class Streams:
    """Takes parts of runs, and finishes those that fell silent."""

    def __init__(
        self, database: Database, writer: Writer, figures: Figures, *, lost_after_seconds: float
    ) -> None:
        self._database = database
        self._writer = writer
        self._figures = figures
        self._lost_after_seconds = lost_after_seconds
        self._tasks: set[asyncio.Task[None]] = set()

    def routes(self) -> tuple[Route, ...]:
        """The route that takes parts."""
        return (
            Route(
                "POST", "/api/v1/runs/{run_uid}/parts", endpoint(self.post), "push",
                "Store records of a run; the answer says which are on disk.",
                (
                    Parameter("run_uid", "path", RunUid, "The key of the run.", required=True),
                    Parameter("gap", "query", bool, "The sender no longer has the records before this part."),
                ),
                Content(None, "Records of a journal, one JSON line each, contiguous; nothing asks for the state "
                        "and keeps a run that is silent from being lost.",
                        "application/x-ndjson"),
                {200: Content(PartAnswer, "How far the run has come.")},
                (400, 409, 413, 415, 503, 507),
            ),
        )  # fmt: skip

    async def post(self, request: Request) -> Response:
        """Store one part."""
        run_uid = request.path_params["run_uid"]
        if not _UID.fullmatch(run_uid):
            raise Problem(
                400, "The path's {run_uid} is not accepted; accepted are 1 to 64 of A-Z a-z 0-9 . _ -"
            )
        gap = _switch(request, "gap")
        body = await read_body(request.scope, request.receive)
        parsed = await asyncio.to_thread(parse, run_uid, body, gap)
        if parsed is None:
            state = await self._writer.submit(Heard(run_uid))
        else:
            state = await self._store(parsed)
        self._figures.records.inc(state.stored_records)
        answer = PartAnswer(run_uid, state.next_sequence, state.ended)
        return Response(msgspec.json.encode(answer), media_type="application/json")

    async def _store(self, parsed: Parsed) -> Progress:
        part = parsed.part
        for _ in range(_TRIES):
            if part.ends:
                part = part._replace(
                    ending=await self._database.read(lambda found: _ending_of(found, parsed))
                )
            try:
                state: Progress = await self._writer.submit(part)
                if part.ends and state.stored_records:
                    self._later(self._merge(part.run_uid))
                return state
            except Outdated:
                continue
            except Gap as gap:
                raise Problem(
                    409,
                    f"The part begins with record {part.first_sequence}, but those from {gap.next_sequence} on are "
                    f"missing; send them first, or this one with ?gap=true if they are gone.",
                    next_sequence=gap.next_sequence,
                ) from None
        raise Problem(503, "Others send the same run; try again.", headers={"Retry-After": "1"})

    async def finish_silent(self) -> None:
        """For ever: finish what was not heard of for too long. Nobody could be heard before we began to listen."""
        shortest, longest = _SWEEP_SECONDS
        await asyncio.sleep(self._lost_after_seconds)
        while True:
            await asyncio.sleep(min(longest, max(shortest, self._lost_after_seconds / 4)))
            with suppress(StoreError):  # Later is early enough.
                await self._finish_all(int((time.time() - self._lost_after_seconds) * 1000))

    async def _finish_all(self, before: int) -> None:
        for run_uid in await self._database.read(lambda connection: silent_runs(connection, before)):
            await self._finish(run_uid, before)

    async def _finish(self, run_uid: str, before: int) -> None:
        ending = await self._database.read(lambda connection: _lost(connection, run_uid))
        if await self._writer.submit(Finish(run_uid, before, ending)):
            self._figures.lost.inc()
            await self._merge(run_uid)

    async def _merge(self, run_uid: str) -> None:
        with suppress(StoreError):  # It saves room; nothing is missing without it.
            merge = await self._database.read(lambda connection: merged(connection, run_uid))
            if merge is not None:
                await self._writer.submit(merge)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """Wait for what goes on after an answer."""
        await asyncio.gather(*self._tasks)


def parse(run_uid: str, body: Body, gap: bool) -> Parsed | None:
    """The part in a body; None for an empty one. Raises a problem 400 that names line and field."""
    content = body.content()
    lines = content.split(b"\n")
    if lines[-1]:
        raise Problem(400, "The last line of the part has no newline: it may have been cut off.")
    lines.pop()
    if not lines:
        return None
    if len(lines) > MAX_RECORDS:
        raise Problem(413, f"The part has {len(lines)} records; at most {MAX_RECORDS} are accepted.")
    keys, found = _checked(run_uid, lines)
    first = keys[0]
    starts = next((record for record in found if isinstance(record, wire.Start)), None)
    if first.sequence == 0 and first.kind != "start" and not gap:
        raise Problem(400, f"Line 1: the record 0 of a run is its start, not {first.kind[:40]!r}.")
    if starts is not None:
        encoded_job(starts.job)  # It is refused when it is too large.
    part = Part(
        run_uid,
        first.sequence,
        tuple(lines),
        body.sent if body.gzipped else None,
        job=starts.job if starts else None,
        start_time=None if starts is None else milliseconds(starts.start_time, "start_time"),
        gap=gap,
        ends=keys[-1].kind == "end",
    )
    return Parsed(part, tuple(found))


def _checked(run_uid: str, lines: Sequence[bytes]) -> tuple[list[_Key], list[wire.AnyRecord]]:
    keys: list[_Key] = []
    found: list[wire.AnyRecord] = []
    for number, line in enumerate(lines, 1):
        try:
            line.decode()
            record = wire.decode(line)
            key = _KEY.decode(line)
            msgspec.json.encode(record)
        except (JournalError, msgspec.DecodeError, UnicodeDecodeError, OverflowError) as error:
            raise Problem(400, f"Line {number} of the part is not accepted: {error}.") from None
        if key.run_uid != run_uid:
            raise Problem(400, f"Line {number}: run_uid is not the path's; accepted is {run_uid}.")
        if keys and key.sequence != keys[-1].sequence + 1:
            raise Problem(
                400,
                f"Line {number}: sequence is {key.sequence}; accepted is {keys[-1].sequence + 1}, the one after the "
                f"line before.",
            )
        keys.append(key)
        if record is not None:
            found.append(record)
    return keys, found


def _switch(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "false")
    if text not in ("true", "false"):
        raise Problem(400, f"The parameter {name} is {text[:40]!r}; accepted are true and false.")
    return text == "true"


def _ending_of(connection: Connection, parsed: Parsed) -> Ending:
    """What the stored records and those of the part say together."""
    run = find_run(connection, parsed.part.run_uid)
    fold = _folded(connection, run.id) if run else _fold()
    for record in parsed.records:
        with suppress(JournalError):
            fold.add(record)
    return Ending(run.next_sequence if run else 0, _summary(fold))


def _lost(connection: Connection, run_uid: str) -> Ending:
    run = find_run(connection, run_uid)
    if run is None:
        return Ending(0, None, "lost")
    return Ending(run.next_sequence, _summary(_folded(connection, run.id)), "lost")


def _folded(connection: Connection, run_id: int) -> RunFold:
    fold = _fold()
    for record in records(connection, run_id):
        with suppress(JournalError):
            fold.add(record)
    return fold


def _fold() -> RunFold:
    """For a summary alone, which has no timeline."""
    return RunFold(timeline_points=2)


def _summary(fold: RunFold) -> bytes | None:
    """None when nothing can be told, as without the start record."""
    try:
        return msgspec.json.encode(fold.summary())
    except (JournalError, OverflowError, ValueError):
        return None
