"""`POST /api/v1/runs/{run_uid}/parts`: takes the records of a run while it runs."""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from jobmeter.model import wire
from jobmeter.model.errors import JournalError
from jobmeter.ops.problems import Problem
from jobmeter.ops.routing import Content, Parameter, Route, endpoint
from jobmeter.receiver.access.grant import Grant, grant_of
from jobmeter.receiver.bodies import Body, Handling, read_body
from jobmeter.receiver.endings import Endings
from jobmeter.receiver.figures import Figures
from jobmeter.receiver.jobs import RunUid, encoded_job, path_uid
from jobmeter.receiver.store.streams import Gap, Heard, Outdated, Part, Progress
from jobmeter.receiver.store.writer import Writer
from jobmeter.receiver.times import milliseconds

MAX_RECORDS = 100_000
MAX_SEQUENCE = 2**53
_TRIES = 5


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


class Parts:
    """Takes parts of runs."""

    def __init__(self, writer: Writer, handling: Handling, endings: Endings, figures: Figures) -> None:
        self._writer = writer
        self._handling = handling
        self._endings = endings
        self._figures = figures

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
                (400, 403, 409, 413, 415, 503, 507),
            ),
        )  # fmt: skip

    async def post(self, request: Request) -> Response:
        """Store one part."""
        run_uid = path_uid(request.path_params["run_uid"])
        gap = _switch(request, "gap")
        body = await read_body(request.scope, request.receive)
        state = await self.store(run_uid, body, grant_of(request), gap)
        self._figures.records.inc(state.stored_records)
        answer = PartAnswer(run_uid, state.next_sequence, state.ended)
        return Response(msgspec.json.encode(answer), media_type="application/json")

    async def store(self, run_uid: str, body: Body, grant: Grant, gap: bool = False) -> Progress:
        """Store the records of a body; of an empty one only that its sender lives. Raises Problem."""
        compressed = body.sent if body.gzipped else None

        async def stored(parsed: Parsed | None) -> Progress:
            if parsed is None:
                heard: Progress = await self._writer.submit(Heard(run_uid, grant.scopes))
                return heard
            if not parsed.part.ends:
                return await self._store(parsed)
            async with self._endings.alone(run_uid):
                return await self._store(parsed)

        return await self._handling.handle(
            body, lambda content: _limited(parse(run_uid, content, gap, compressed), grant), stored
        )

    async def _store(self, parsed: Parsed) -> Progress:
        part = parsed.part
        for _ in range(_TRIES):
            if part.ends:
                part = part._replace(ending=await self._endings.of_part(part, parsed.records))
            try:
                state: Progress = await self._writer.submit(part)
                if part.ends and state.stored_records:
                    self._endings.merge_later(part.run_uid)
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


def parse(run_uid: str, content: bytes, gap: bool, compressed: bytes | None = None) -> Parsed | None:
    """The part in the content of a body, which may have been sent ``compressed``; None for an empty one.

    Raises a problem 400 that names line and field.
    """
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
        encoded_job(starts.job)  # Refuses what a list of runs cannot show.
    part = Part(
        run_uid,
        first.sequence,
        tuple(lines),
        compressed,
        job=starts.job if starts else None,
        start_time=None if starts is None else milliseconds(starts.start_time, "start_time"),
        gap=gap,
        ends=keys[-1].kind == "end",
    )
    return Parsed(part, tuple(found))


def _limited(parsed: Parsed | None, grant: Grant) -> Parsed | None:
    """The same, for runs that the sender may store. Raises a problem 403 for the start of another one."""
    if parsed is None or grant.scopes is None:
        return parsed
    for record in parsed.records:
        if isinstance(record, wire.Start):
            job = record.job
            grant.check_covers(job.organization, job.repository, job.workflow, job.job)
    return parsed._replace(part=parsed.part._replace(scopes=grant.scopes))


def _checked(run_uid: str, lines: Sequence[bytes]) -> tuple[list[_Key], list[wire.AnyRecord]]:
    keys: list[_Key] = []
    found: list[wire.AnyRecord] = []
    for number, line in enumerate(lines, 1):
        try:
            line.decode()  # What msgspec skips it does not look at.
            record = wire.decode(line)
            key = _KEY.decode(line)
            msgspec.json.encode(record)  # What cannot be written again is refused now.
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
