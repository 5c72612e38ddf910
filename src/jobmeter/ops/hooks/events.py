"""What is said over a hook socket: values, and the lines of JSON that they are.

A client says ``{"listen": […]}`` or announces ``{"event": "on_task_started", "task_id": …}``, which is answered by
``{"ok": true}`` or ``{"ok": false, "error": …}``. Fields that are not known are passed over, so that each side may be
the older one; but in an announcement without its schema, as only people write it, they are misspelt.
"""

from datetime import UTC, datetime
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from jobmeter.identity.containers import bounded_job
from jobmeter.model.errors import UsageError
from jobmeter.model.job import Job

SCHEMA = "jobmeter.hook/1"
MAX_LINE_BYTES = 256 * 1024
"""Of a client, with the line's end; a longer one is not accepted. No job that is bounded needs as much."""
MAX_TEXT = 4096
"""Characters of a path or an id."""

TaskWord = Literal["on_task_started", "on_task_destroy"]
ContainerWord = Literal["container_started", "container_ended"]
TASK_WORDS: tuple[TaskWord, ...] = ("on_task_started", "on_task_destroy")
WORDS: tuple[str, ...] = (*TASK_WORDS, "container_started", "container_ended")


class TaskEvent(Struct, frozen=True, kw_only=True):
    """A task has started, at ``time``, or is about to end.

    ``task_id`` is the forge's: the task of Gitea and Forgejo, the job of GitLab. Where it runs is told as far as it is
    known: the engine's id of a container, or the first 12 characters of it; a cgroup as in /proc/PID/cgroup, with all
    below; a process in a container.
    """

    event: TaskWord
    task_id: str
    schema: str = SCHEMA
    time: datetime | None = None
    job: Job = Job()
    container_id: str | None = None
    cgroup: str | None = None
    pid: int | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What tells the task from any other: two servers count alike."""
        return self.job.server_url or self.job.forge or "", self.task_id


class Used(Struct, frozen=True, kw_only=True):
    """What a container has used, in seconds, bytes and pieces; None for what could not be read."""

    cpu_seconds: float | None = None
    memory_charged_peak_bytes: int | None = None
    network_received_bytes: int | None = None
    network_sent_bytes: int | None = None
    io_read_bytes: int | None = None
    io_written_bytes: int | None = None
    oom_kills: int | None = None


class ContainerEvent(Struct, frozen=True, kw_only=True):
    """A container is there since ``started``, or has ended; ``used`` is what it had used when it was read last.

    ``parent`` is the id of the one around it, ``machine`` the name of the other machine that it is on, empty for the
    host; ``attribution`` is how its job is known, None if it is not.
    """

    event: ContainerWord
    schema: str = SCHEMA
    time: datetime
    id: str
    name: str
    engine: str | None
    image: str | None
    parent: str | None
    machine: str
    runtime: str
    cgroup: str | None
    started: datetime | None
    ended: datetime | None
    task_id: str | None
    attribution: str | None
    job: Job | None
    used: Used


Event = TaskEvent | ContainerEvent


class Listen(NamedTuple):
    """A client wants to hear of these."""

    words: frozenset[str]


class Answer(Struct, frozen=True, omit_defaults=True):
    """Whether what was announced has been acted upon, and why not."""

    ok: bool
    error: str | None = None


class _Said(Struct, frozen=True):
    """Any line of a client; which fields belong together is told by ``read_line``."""

    schema: str | None = None
    listen: list[str] | None = None
    event: str | None = None
    task_id: str | int | None = None
    time: datetime | None = None
    job: Job | None = None
    container_id: str | None = None
    cgroup: str | None = None
    pid: int | None = None


_FORMS = '{"listen": []} or {"event": "on_task_started", "task_id": "12", "job": {"repository": "org/name"}}'
_said = msgspec.json.Decoder(_Said)
_answer = msgspec.json.Decoder(Answer)
_encoder = msgspec.json.Encoder()


def write_line(one: Event | Answer) -> bytes:
    """One object on a line."""
    return _encoder.encode(one) + b"\n"


def listen_line(words: tuple[str, ...] = ()) -> bytes:
    """What asks for events of these names, without any for all."""
    return _encoder.encode({"schema": SCHEMA, "listen": words}) + b"\n"


def read_answer(line: bytes) -> Answer:
    """What a daemon says to an announcement. Raises UsageError."""
    try:
        return _answer.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"the answer is not understood: {error}") from None


def read_line(line: bytes) -> Listen | TaskEvent:
    """What a client says. Raises UsageError with a sentence for whoever wrote the client."""
    try:
        said = _said.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"the line is not understood: {error}; accepted is {_FORMS}") from None
    if said.schema not in (None, SCHEMA):
        raise UsageError(f"the schema {said.schema[:60]!r} is not known; accepted is {SCHEMA!r}")
    if said.listen is not None and said.event is not None:
        raise UsageError("listen and event are on one line; each has its own")
    if said.listen is not None:
        return Listen(_words(said.listen))
    task = _task_event(said)
    if said.schema is None:
        _refuse_strange(line)
    return task


def completed(event: TaskEvent, known: TaskEvent) -> TaskEvent:
    """The later word of a task, with the earlier one for what it leaves open of its job and its place."""
    return replace(
        event,
        job=filled(event.job, known.job),
        container_id=event.container_id or known.container_id,
        cgroup=event.cgroup or known.cgroup,
        pid=event.pid or known.pid,
    )


def filled(job: Job, other: Job | None) -> Job:
    """The job, with the other's word for what is not known of it."""
    if other is None:
        return job
    open_fields = [name for name in Job.__struct_fields__ if getattr(job, name) in (None, ())]
    return replace(job, **{name: getattr(other, name) for name in open_fields})


def moment(seconds: float) -> datetime:
    """Seconds since 1970 as a time of day, with milliseconds."""
    return datetime.fromtimestamp(round(seconds, 3), UTC)


def _words(listen: list[str]) -> frozenset[str]:
    strange = next((word for word in listen if word not in WORDS), None)
    if strange is not None:
        raise UsageError(f"there is no event {strange[:60]!r}; accepted are {', '.join(WORDS)}")
    return frozenset(listen or WORDS)


def _task_event(said: _Said) -> TaskEvent:
    if said.event is None:
        raise UsageError(f"the line has neither listen nor event; accepted is {_FORMS}")
    word = next((one for one in TASK_WORDS if one == said.event), None)
    if word is None:
        raise UsageError(
            f"the event {said.event[:60]!r} is not accepted; accepted are {', '.join(TASK_WORDS)}"
        )
    task_id = str(said.task_id).strip() if said.task_id is not None else ""
    if not task_id or len(task_id) > MAX_TEXT:
        raise UsageError(f"task_id is missing or too long: {said.event} names a task by the forge's id of it")
    _check_place(said)
    if said.time is not None and said.time.tzinfo is None:
        raise UsageError("time has no offset; accepted is RFC 3339, as 2026-01-31T12:00:00Z")
    return TaskEvent(
        event=word,
        task_id=task_id,
        time=said.time,
        job=bounded_job(said.job or Job()),
        container_id=said.container_id,
        cgroup=said.cgroup,
        pid=said.pid,
    )


def _refuse_strange(line: bytes) -> None:
    """Nobody would find out why what a misspelt field says has no effect."""
    told = msgspec.json.decode(line)
    for place, kind, fields in (("", TaskEvent, told), ("job: ", Job, told.get("job") or {})):
        known = kind.__struct_fields__
        strange = next((name for name in fields if name not in known), None)
        if strange is not None:
            raise UsageError(f"{place}there is no field {strange[:60]!r}; accepted are {', '.join(known)}")


def _check_place(said: _Said) -> None:
    """Nothing that would name the containers of others."""
    if said.container_id is not None and not 12 <= len(said.container_id) <= MAX_TEXT:
        raise UsageError("container_id is too short; accepted is an engine's id, or its first 12 characters")
    if said.cgroup is not None and not _is_cgroup(said.cgroup):
        raise UsageError(
            f"the cgroup {said.cgroup[:100]!r} is not accepted; accepted is a path as in /proc/PID/cgroup, but not /"
        )
    if said.pid is not None and not 1 < said.pid < 2**31:
        raise UsageError(f"the pid {said.pid} is not accepted; accepted is that of a process in a container")


def _is_cgroup(path: str) -> bool:
    parts = path.split("/")
    return (
        path.startswith("/") and len(path) <= MAX_TEXT and any(parts) and not {"..", "."}.intersection(parts)
    )
