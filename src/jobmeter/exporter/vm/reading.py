"""What another machine tells of its containers, as rows of this host. Nothing in it is trusted.

Its clock is used for one thing: how long before its own word something was.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, get_args

from google.protobuf.message import DecodeError

from jobmeter.exporter.container import Attribution, Identity, Row
from jobmeter.exporter.elsewhere import MAX_CONTAINERS, path_of
from jobmeter.exporter.vm import schema
from jobmeter.exporter.vm.writing import MAX_IDENTITY_BYTES
from jobmeter.model.account import Account, Bounds, Interface
from jobmeter.model.job import Job
from jobmeter.model.sample import ByteLimit

MAX_ID_CHARACTERS = 512
MAX_LABELS = 64
MAX_INTERVAL_SECONDS = 3600
_NANOS = 10**9
_OLDEST_SECONDS = 10 * 365 * 86400.0
_ATTRIBUTIONS = frozenset(get_args(Attribution))
_COUNTS = {number: name for name, number in schema.ACCOUNT_COUNTS.items()}
_TIMES = {number: name for name, number in schema.ACCOUNT_TIMES.items()}
_ID, _REPO, _CPU, _MEMORY, _ANON, _CORES, _LIMIT, _RECEIVED, _SENT = range(1, 10)
_IDENTITY, _PARENT, _STARTED, _ENDED, _NANO_CORES, _PROCESSES = range(1001, 1007)


class Unreadable(Exception):
    """This is no batch."""


class Told(NamedTuple):
    """One batch. ``still`` are ids of those that are there and could not be read.

    ``refused`` entries were none that can be shown. ``interval_seconds`` is when the next one will come, None where
    nobody said.
    """

    rows: Sequence[Row]
    still: frozenset[str]
    refused: int
    interval_seconds: int | None


class _Known(NamedTuple):
    """A container as it was told last: the bytes, what they were read as, and when it began by the other's clock."""

    told: bytes
    row: Row
    identity: bytes | None
    started: int | None


class Reader:
    """Reads what one machine tells; what is told as before is not read anew. ``clock`` is this host's."""

    def __init__(self, machine: str, runtime: str, *, clock: Callable[[], float]) -> None:
        self._machine = machine
        self._runtime = runtime
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._by_bytes: dict[bytes, _Known] = {}

    def read(self, told: bytes) -> Told:
        """The batch. Raises Unreadable."""
        try:
            batch = schema.Batch.FromString(told)
        except DecodeError:
            raise Unreadable from None
        ours = batch.HasField("format")
        known: dict[str, _Known] = {}
        refused = max(0, len(batch.stats) + len(batch.more) - MAX_CONTAINERS)
        ahead = self._clock() - batch.timestamp_unix_nano / _NANOS
        for entry in _first(batch, MAX_CONTAINERS):
            one = self._by_bytes.get(entry) or self._read(entry, ahead, ours=ours)
            if one is None:
                refused += 1
            else:
                known[one.row.id] = one
        self._known = known
        self._by_bytes = {one.told: one for one in known.values()}
        still = frozenset(text for text in batch.unread[:MAX_CONTAINERS] if len(text) <= MAX_ID_CHARACTERS)
        interval = min(batch.interval_seconds, MAX_INTERVAL_SECONDS) or None
        return Told([one.row for one in known.values()], still, refused, interval)

    def _read(self, entry: bytes, ahead: float, *, ours: bool) -> _Known | None:
        """None for one that cannot be shown."""
        try:
            fields = {field.number: value for field, value in schema.Stats.FromString(entry).ListFields()}
        except DecodeError:
            return None
        container_id = fields.get(_ID, "")
        if not 0 < len(container_id) <= MAX_ID_CHARACTERS:
            return None
        before = self._known.get(container_id)
        started = fields.get(_STARTED)
        is_known = before is not None and before.started == started
        began = before.row.started if before is not None and is_known else self._moment(started, ahead)
        told_identity = fields.get(_IDENTITY) if ours else fields.get(_REPO, "").encode()
        engine = pod = None
        if before is not None and before.identity == told_identity:
            identity, engine, pod = before.row.identity, before.row.engine, before.row.pod
        elif ours:
            identity, engine, pod = self._identity(told_identity or b"")
        else:
            identity = _named(container_id, fields.get(_REPO, ""))
        row = Row(
            id=container_id, path=path_of(self._machine, container_id), parent=_id_or_none(fields.get(_PARENT)),
            engine=engine, pod=pod, identity=identity, account=_account(fields), bounds=_bounds(fields, ours=ours),
            started=began, ended=self._moment(fields.get(_ENDED), ahead), runtime=self._runtime, machine=self._machine,
        )  # fmt: skip
        return _Known(entry, row, told_identity, started)

    def _moment(self, unix_nano: int | None, ahead: float) -> float | None:
        """When it was by this host's clock, which is so far ahead; None for what cannot be."""
        if unix_nano is None:
            return None
        now = self._clock()
        moment = min(now, round(unix_nano / _NANOS + ahead, 3))
        return moment if now - moment < _OLDEST_SECONDS else None

    def _identity(self, told: bytes) -> tuple[Identity, str | None, str | None]:
        """With engine and pod; nothing where it is more than anyone should say."""
        try:
            message = schema.Identity.FromString(told if len(told) <= MAX_IDENTITY_BYTES else b"")
        except DecodeError:
            message = schema.Identity()
        texts = _texts(message, schema.IDENTITY_TEXTS)
        if texts.get("attribution") not in _ATTRIBUTIONS:
            texts.pop("attribution", None)
        if "execution" in texts:
            texts["execution"] = f"{self._machine} {texts['execution']}"
        labels = {label.key: label.value for label in message.labels[:MAX_LABELS]}
        job = None
        if message.HasField("job"):
            attempt = message.job.attempt if message.job.HasField("attempt") else None
            job = Job(attempt=attempt, **_texts(message.job, schema.JOB_TEXTS))
        engine, pod = message.engine or None, message.pod or None
        return Identity(labels=labels, job=job, **texts), engine, pod


def _first(batch: Any, most: int) -> Iterator[bytes]:
    yield from batch.stats[:most]
    yield from batch.more[: max(0, most - len(batch.stats))]


def _texts(message: Any, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(message, name) for name in names if message.HasField(name)}


def _named(container_id: str, repo: str) -> Identity:
    """Of a peer that tells an id, which is a name there, and a repository."""
    job = Job(repository=repo[:MAX_ID_CHARACTERS]) if repo else None
    return Identity(name=container_id, job=job, attribution="machine" if job else None)


def _id_or_none(text: str | None) -> str | None:
    return text if text and len(text) <= MAX_ID_CHARACTERS else None


def _account(fields: dict[int, Any]) -> Account:
    """What was not sent is missing: a peer of ephemerd sends no 0."""
    known: dict[str, Any] = {_COUNTS[number]: value for number, value in fields.items() if number in _COUNTS}
    for number, value in fields.items():
        if number in _TIMES:
            known[_TIMES[number]] = value / _NANOS
    received, sent = fields.get(_RECEIVED), fields.get(_SENT)
    if "network_received_bytes" in known and received is not None and sent is not None:
        # Of all interfaces together, for who shows them so; our peers alone tell apart what leads outside.
        known["interfaces"] = (Interface("", received, 0, 0, 0, sent, 0, 0, 0),)
    known.setdefault("network_received_bytes", received)
    known.setdefault("network_sent_bytes", sent)
    cpu = fields.get(_CPU)
    return Account(
        cpu_seconds=cpu / _NANOS if cpu is not None else None,
        memory_usage_bytes=fields.get(_MEMORY),
        memory_anon_bytes=fields.get(_ANON),
        **known,
    )


def _bounds(fields: dict[int, Any], *, ours: bool) -> Bounds:
    """0 is no limit; a peer of ephemerd sends none then."""
    cores = fields.get(_NANO_CORES)
    if cores is None and _CORES in fields:
        cores = fields[_CORES] * _NANOS
    return Bounds(
        cpu_cores=_limit(cores, ours=ours) if not cores else cores / _NANOS,
        memory_bytes=_limit(fields.get(_LIMIT), ours=ours),
        processes=_limit(fields.get(_PROCESSES), ours=True),
    )


def _limit(value: int | None, *, ours: bool) -> ByteLimit:
    if value is None and ours:
        return None
    return value or "unlimited"
