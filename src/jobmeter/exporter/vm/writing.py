"""What a machine tells of its containers, as one message of the stream.

A peer that knows ephemerd's part alone finds under `stats` what it expects: running containers that lie in no other,
each with a repository that does not change any more. All others are under `more`, which it passes over.
"""

import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from jobmeter.exporter.container import Identity, Row
from jobmeter.exporter.dialects.dialect import one_of_each_id
from jobmeter.exporter.vm import schema
from jobmeter.model.account import Account, Bounds
from jobmeter.model.job import Job
from jobmeter.model.sample import Limit

MAX_IDENTITY_BYTES = 8 * 1024
"""Of one container; a reader takes no more. One with too many labels is sent without them."""
MAX_TEXT_CHARACTERS = 300
"""Of what is known of a container beside its id."""
SETTLED_SECONDS = 30.0
"""So long a container may be without a repository before a peer that takes its first word for good is told of it."""
_NANOS = 10**9
_MAX_UINT64 = 2**64 - 1


class _Known(NamedTuple):
    """A container as it was written last: the row and its repository as it is told, and in which list it went."""

    row: Row
    repo: str | None
    identity: bytes
    written: bytes


class Writer:
    """Writes rows; what is as before is not written anew. For several threads.

    ``clock`` is of the times of the rows.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}

    def batch(self, rows: Sequence[Row], interval_seconds: int) -> bytes:
        """All of them. ``interval_seconds`` is when the next batch will come."""
        with self._lock:
            now = self._clock()
            known: dict[str, _Known] = {}
            for row in one_of_each_id(rows):
                known[row.path] = self._written(row, now)
            self._known = known
        message = _message(known.values(), now, interval_seconds)
        while message.ByteSize() > schema.MAX_MESSAGE_BYTES:
            # More than a peer takes: those without a place are still there, and not told of.
            left_out = message.more if message.more else message.stats
            half = len(left_out) // 2
            message.unread.extend(schema.Stats.FromString(one).id for one in left_out[half:])
            del left_out[half:]
        return bytes(message.SerializeToString())

    def _written(self, row: Row, now: float) -> _Known:
        before = self._known.get(row.path)
        repo = before.repo if before is not None else None
        if repo is None and (row.identity.resolved or _age(row, now) >= SETTLED_SECONDS):
            repo = (row.identity.job and row.identity.job.repository) or ""
        if before is not None and before.row is row and before.repo == repo:
            return before
        if before is not None and before.row.identity is row.identity:
            identity = before.identity
        else:
            identity = written_identity(row)
        return _Known(row, repo, identity, written(row, repo or "", identity))


def _message(known: Iterable[_Known], now: float, interval_seconds: int) -> Any:
    message = schema.Batch(
        timestamp_unix_nano=_unix_nano(now), format=schema.FORMAT, interval_seconds=interval_seconds
    )
    for one in known:
        row = one.row
        if row.account.cpu_seconds is None and row.account.memory_usage_bytes is None:
            message.unread.append(row.id)
        elif row.ended is None and row.parent is None and one.repo is not None:
            message.stats.append(one.written)
        else:
            message.more.append(one.written)
    return message


def _age(row: Row, now: float) -> float:
    return now - row.started if row.started is not None else math.inf


def written(row: Row, repo: str, identity: bytes) -> bytes:
    """One container; ``repo`` is what a peer of ephemerd is told."""
    account, bounds = row.account, row.bounds
    received, sent = _all_interfaces(account)
    fields: dict[str, int | None] = {
        "cpu_usage_nanos": _nano(account.cpu_seconds),
        "memory_bytes": account.memory_usage_bytes,
        "memory_anon_bytes": account.memory_anon_bytes,
        "network_rx_bytes": received,
        "network_tx_bytes": sent,
        **_limits(bounds),
        **{name: getattr(account, name) for name in schema.ACCOUNT_COUNTS},
        **{schema.nanos(name): _nano(getattr(account, name)) for name in schema.ACCOUNT_TIMES},
    }
    message = schema.Stats(
        id=row.id, repo=repo, identity=identity, parent=row.parent,
        started_unix_nano=_unix_nano(row.started), ended_unix_nano=_unix_nano(row.ended),
        **{name: min(max(value, 0), _MAX_UINT64) for name, value in fields.items() if value is not None},
    )  # fmt: skip
    return bytes(message.SerializeToString())


def _limits(bounds: Bounds) -> dict[str, int | None]:
    """0 is none. ephemerd counts whole cores: a part of one is one, as 0 would be no limit."""
    nanos = _limit(bounds.cpu_cores, _NANOS)
    return {
        "cpu_limit": -(-nanos // _NANOS) if nanos is not None else None,
        "cpu_limit_nanos": nanos,
        "memory_limit_bytes": _limit(bounds.memory_bytes),
        "processes_limit": _limit(bounds.processes),
    }


def _limit(value: Limit, unit: int = 1) -> int | None:
    if value is None:
        return None
    return 0 if isinstance(value, str) else max(1, round(value * unit))


def _all_interfaces(account: Account) -> tuple[int | None, int | None]:
    """As ephemerd counts: all but the loopback; what leads outside where each of them was not read."""
    if account.interfaces is None:
        return account.network_received_bytes, account.network_sent_bytes
    return (
        sum(one.received_bytes for one in account.interfaces),
        sum(one.sent_bytes for one in account.interfaces),
    )


def _nano(seconds: float | None) -> int | None:
    return round(seconds * _NANOS) if seconds is not None else None


def _unix_nano(moment: float | None) -> int | None:
    """A moment in seconds is good for microseconds."""
    return round(moment * 1e6) * 1000 if moment is not None else None


def written_identity(row: Row) -> bytes:
    """What is known of a container beside its numbers."""
    identity = row.identity
    message = schema.Identity(
        engine=row.engine, pod=row.pod, job=_job(identity.job) if identity.job is not None else None,
        **_texts(identity, schema.IDENTITY_TEXTS),
    )  # fmt: skip
    plain = bytes(message.SerializeToString())
    message.labels.extend(
        schema.Label(key=_valid(key), value=_valid(value)) for key, value in identity.labels.items()
    )
    whole = bytes(message.SerializeToString())
    return whole if len(whole) <= MAX_IDENTITY_BYTES else plain


def _job(job: Job) -> Any:
    attempt = job.attempt if job.attempt is not None and 0 <= job.attempt < 2**32 else None
    return schema.Job(attempt=attempt, **_texts(job, schema.JOB_TEXTS))


def _texts(of: Identity | Job, names: Iterable[str]) -> dict[str, str]:
    known = {name: getattr(of, name) for name in names}
    return {name: _valid(text) for name, text in known.items() if text is not None}


def _valid(text: str) -> str:
    """As a message takes it: no half of a character, and not too long."""
    return text[:MAX_TEXT_CHARACTERS].encode("utf-8", "replace").decode()
