"""Takes the runs of an export into a database, while receivers may use it.

A run is taken in as a whole or not at all, and one that is there is left as it is unless the export knows more of it.
So an import that was broken off is begun again from its first file, and nothing is stored twice.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from msgspec.structs import asdict
from sqlalchemy import Connection, delete, insert, select, update

from jobmeter.model.errors import StoreError
from jobmeter.receiver.store.backend import Key, backend_of
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.errors import Locked, NotStorable
from jobmeter.receiver.store.evidence import KeptEvidence, keep_evidence
from jobmeter.receiver.store.moving.exporting import Progress
from jobmeter.receiver.store.moving.files import (
    EvidenceRow,
    Manifest,
    PartRow,
    RemovedRow,
    Row,
    RunRow,
    TokenRow,
    held,
    read_manifest,
    rows,
    sha256,
)
from jobmeter.receiver.store.removed_runs import add_removed
from jobmeter.receiver.store.schema import parts, runs, tokens
from jobmeter.receiver.store.usage_tables import NAMES
from jobmeter.receiver.store.usages import Names, look_again

_BATCH_RUNS, _BATCH_BYTES = 200, 4 * 1024 * 1024
_TRIES = 10


@dataclass
class Imported:
    """How many runs are new or newer than they were, were there already, and which cannot be stored."""

    stored: int = 0
    known: int = 0
    tokens: int = 0
    refused: list[str] = field(default_factory=list)


@dataclass
class _Run:
    """A run with its parts and its evidence."""

    row: RunRow
    parts: list[PartRow] = field(default_factory=list)
    evidence: EvidenceRow | None = None

    @property
    def size(self) -> int:
        """Bytes of it."""
        evidence = self.evidence.body if self.evidence else b""
        return len(self.row.summary or b"") + len(evidence) + sum(len(part.body) for part in self.parts)


def import_(
    database: Database, directory: Path, progress: Progress, *, with_tokens: bool = False
) -> Imported:
    """Take all of it in. Raises StoreError."""
    try:
        if not directory.is_dir():
            raise StoreError(f"{directory} is no directory; name the one that was exported to")
        with held(directory, alone=False):
            return _Import(database, directory, progress).run(with_tokens=with_tokens)
    except OSError as error:
        raise StoreError(f"the export in {directory} cannot be read: {error.strerror or error}") from None


class _Import:
    def __init__(self, database: Database, directory: Path, progress: Progress) -> None:
        self._database = database
        self._directory = directory
        self._progress = progress
        self._found = Imported()

    def run(self, *, with_tokens: bool) -> Imported:
        manifest = self._manifest()
        total = sum(file.runs for file in manifest.files)
        for file in manifest.files:
            path = self._directory / file.name
            if not path.is_file() or path.stat().st_size != file.size or sha256(path) != file.sha256:
                raise StoreError(
                    f"{path} is missing, damaged or changed: it is not the file that was exported"
                )
            for batch in _batches(_runs(rows(path))):
                self._take_in(batch)
                self._progress(self._found.stored + self._found.known + len(self._found.refused), total)
            if file.removed:
                removed = (row for row in rows(path) if isinstance(row, RemovedRow))
                while some := list(islice(removed, _BATCH_RUNS)):
                    self._take_in_removed(some)
            if with_tokens:
                self._take_in_tokens([row for row in rows(path) if isinstance(row, TokenRow)])
        return self._found

    def _manifest(self) -> Manifest:
        manifest = read_manifest(self._directory)
        if manifest is None:
            raise StoreError(f"{self._directory} is no export: there is no manifest.json in it")
        if not manifest.complete:
            raise StoreError(
                f"the export in {self._directory} is not complete: jobmeter admin export goes on with it"
            )
        return manifest

    def _take_in(self, batch: Sequence[_Run]) -> None:
        """All of them at once; one by one where one of them cannot be stored."""
        try:
            stored = self._try(lambda connection: _store(connection, batch))
        except NotStorable:
            if len(batch) == 1:
                self._found.refused.append(batch[0].row.run_uid)
                return
            for one in batch:
                self._take_in([one])
            return
        self._found.stored += stored
        self._found.known += len(batch) - stored

    def _take_in_removed(self, found: Sequence[RemovedRow]) -> None:
        """One by one where one of them cannot be stored; that one is no run that anybody would miss."""
        told = [_removed(row) for row in found]
        try:
            self._try(lambda connection: add_removed(connection, told))
        except NotStorable:
            for row in found if len(found) > 1 else ():
                self._take_in_removed([row])

    def _take_in_tokens(self, found: Sequence[TokenRow]) -> None:
        if found:
            self._found.tokens += self._try(lambda connection: _store_tokens(connection, found))

    def _try(self, work: Callable[[Connection], int]) -> int:
        """What it gives, in a transaction of its own; again where a receiver was in the way. Raises StoreError."""
        for tried in range(_TRIES):
            try:
                with self._database.writer.begin() as connection:
                    return work(connection)
            except Exception as error:
                judgement = self._database.backend.judge(error)
                if judgement is None:
                    raise
                again = judgement.clash or isinstance(judgement.error, Locked)
                if not again or tried + 1 == _TRIES:
                    raise judgement.error from None
            time.sleep(0.1 * tried)
        raise AssertionError("unreachable")


def _removed(row: RemovedRow) -> tuple[Names, dict[str, Any]]:
    values = asdict(row)
    names = tuple(values.pop(name) for name in NAMES)
    return names, values


def _runs(found: Iterable[Row]) -> Iterator[_Run]:
    run: _Run | None = None
    for row in found:
        if isinstance(row, PartRow) and run:
            run.parts.append(row)
            continue
        if isinstance(row, EvidenceRow) and run:
            run.evidence = row
            continue
        if run:
            yield run
        run = _Run(row) if isinstance(row, RunRow) else None
    if run:
        yield run


def _batches(found: Iterable[_Run]) -> Iterator[list[_Run]]:
    """As many as one transaction takes."""
    batch: list[_Run] = []
    size = 0
    for run in found:
        batch.append(run)
        size += run.size
        if len(batch) == _BATCH_RUNS or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _store(connection: Connection, batch: Sequence[_Run]) -> int:
    """How many were new or newer; the last of several of the same run is what counts."""
    wanted = {run.row.run_uid: run for run in batch}
    known = _known(connection, wanted)
    newer = {uid: run for uid, run in wanted.items() if uid in known and _is_newer(run.row, known[uid])}
    new = [run for uid, run in wanted.items() if uid not in known]
    for uid, run in newer.items():
        connection.execute(delete(parts).where(parts.c.run == known[uid].key))
        connection.execute(update(runs).where(runs.c.run_uid == uid).values(asdict(run.row)))
    if new:
        connection.execute(insert(runs), [asdict(run.row) for run in new])
        known |= _known(connection, [run.row.run_uid for run in new])
    found = [
        {"run": known[run.row.run_uid].key, **asdict(part)}
        for run in (*newer.values(), *new)
        for part in run.parts
    ]
    if found:
        connection.execute(insert(parts), found)
    for uid, run in wanted.items():
        if run.evidence:
            # That of a run which is there may have come since it was heard of last.
            keep_evidence(connection, known[uid].key, KeptEvidence(**asdict(run.evidence)))
    if newer or new:
        look_again(connection, min(run.row.heard_at for run in (*newer.values(), *new)))
    return len(newer) + len(new)


class _Known(NamedTuple):
    key: Key
    heard_at: int
    next_sequence: int


def _known(connection: Connection, run_uids: Iterable[str]) -> dict[str, _Known]:
    """Locked, so that no receiver changes them meanwhile."""
    columns = (
        runs.c.run_uid,
        backend_of(connection).run_key.label("key"),
        runs.c.heard_at,
        runs.c.next_sequence,
    )
    query = select(*columns).where(runs.c.run_uid.in_(list(run_uids))).with_for_update()
    return {uid: _Known(*values) for uid, *values in connection.execute(query)}


def _is_newer(run: RunRow, known: _Known) -> bool:
    return run.heard_at > known.heard_at and run.next_sequence >= known.next_sequence


def _store_tokens(connection: Connection, found: Sequence[TokenRow]) -> int:
    """Those whose digest is not there; of a name that is in use the token that is there stays.

    One that was revoked since it was moved is revoked here too.
    """
    for token in found:
        if token.revoked_at is not None:
            valid = tokens.c.digest == token.digest, tokens.c.revoked_at.is_(None)
            connection.execute(update(tokens).where(*valid).values(revoked_at=token.revoked_at))
    digests = set(connection.execute(select(tokens.c.digest)).scalars())
    in_use = set(connection.execute(select(tokens.c.name).where(tokens.c.revoked_at.is_(None))).scalars())
    new = [
        token
        for token in found
        if token.digest not in digests and (token.revoked_at is not None or token.name not in in_use)
    ]
    if new:
        connection.execute(insert(tokens), [asdict(token) for token in new])
    return len(new)
