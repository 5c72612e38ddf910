"""Writes the runs of a database to files while receivers go on.

A round takes the runs in their order, each as it is when it is read, with its parts and its evidence at that same
moment. A round that was broken off is gone on with; after one that came to its end the next one takes what was heard
of since, so that the last one, with no receiver running, is short. Each ends with the numbers of all runs that were
removed.
"""

import contextlib
import errno
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, exists, func, or_, select

from jobmeter.model.errors import StoreError, StoreFull
from jobmeter.receiver.store.backend import Key, backend_of
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.moving.files import (
    EvidenceRow,
    FileWriter,
    Manifest,
    PartRow,
    RemovedRow,
    RunRow,
    TokenRow,
    held,
    read_manifest,
    write_manifest,
)
from jobmeter.receiver.store.schema import evidence, parts, runs, tokens
from jobmeter.receiver.store.usage_tables import NAMES, jobs, usages

_FILE_BYTES = 64 * 1024 * 1024
_PAGE = 100
# Of receivers that store at once one may commit a lower id later, and clocks differ.
_SETTLED_MILLISECONDS = 120_000

Progress = Callable[[int, int], None]
"""Is told how many runs of how many are done."""


def export(database: Database, directory: Path, progress: Progress, *, with_tokens: bool = False) -> Manifest:
    """Go on with the round that was broken off, or begin the next one. Raises StoreError."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with held(directory, alone=True):
            return _Round(database, directory, progress).run(with_tokens=with_tokens)
    except OSError as error:
        kind = StoreFull if error.errno == errno.ENOSPC else StoreError
        raise kind(
            f"the export to {directory} is not complete, the same command goes on with it: {error.strerror or error}"
        ) from None


class _Round:
    def __init__(self, database: Database, directory: Path, progress: Progress) -> None:
        self._database = database
        self._directory = directory
        self._progress = progress
        self._manifest = self._next_round(read_manifest(directory))
        self._done = 0
        self._total = 0

    def _next_round(self, before: Manifest | None) -> Manifest:
        """Raises StoreError where the directory has something else."""
        now = int(time.time() * 1000)
        if before is None:
            others = [one.name for one in self._directory.iterdir() if not one.name.startswith(".")]
            if others and not all(one.startswith("runs-") for one in others):
                raise StoreError(
                    f"{self._directory} has other files in it, such as {min(others)!r}; name a new one"
                )
            return Manifest(source=self._database.place, begun_at=now, until_id=self._newest())
        if before.source != self._database.place:
            raise StoreError(
                f"{self._directory} has an export of {before.source}; name a new directory for {self._database.place}"
            )
        if before.complete:
            before.since, before.begun_at = before.begun_at - _SETTLED_MILLISECONDS, now
            before.after_id, before.until_id, before.complete = 0, self._newest(), False
            before.after_removed = ""
        return before

    def _newest(self) -> int:
        """The last run of the round: one that comes later is one of the next round, however busy receivers are."""
        newest = select(func.coalesce(func.max(runs.c.id), 0))
        found: int = self._database.read_here(lambda connection: connection.execute(newest).scalar_one())
        return found

    def run(self, *, with_tokens: bool) -> Manifest:
        """To its end."""
        manifest = self._manifest
        self._total = self._database.read_here(self._count)
        more = True
        while more:
            writer = FileWriter(self._directory, f"runs-{len(manifest.files) + 1:06d}.gz")
            try:
                more = self._fill(writer)
                if not more and with_tokens:
                    for token in self._database.read_here(_tokens):
                        writer.add(token)
                self._keep(writer, complete=not more)
            except BaseException:
                with contextlib.suppress(OSError):
                    writer.give_up()
                raise
        return manifest

    def _keep(self, writer: FileWriter, *, complete: bool) -> None:
        if writer.rows:
            self._manifest.files.append(writer.close())
        else:
            writer.give_up()
        self._manifest.complete = complete
        write_manifest(self._directory, self._manifest)

    def _fill(self, writer: FileWriter) -> bool:
        """Write runs, then what was removed, until there is none or the file is full; whether there may be more."""
        while True:
            last = self._database.read_here(lambda connection: self._page(connection, writer))
            self._progress(self._done, max(self._done, self._total))
            if last is None:
                return self._fill_with_removed(writer)
            self._manifest.after_id = last
            if writer.size >= _FILE_BYTES:
                return True

    def _fill_with_removed(self, writer: FileWriter) -> bool:
        while True:
            found = self._database.read_here(
                lambda connection: _removed(connection, self._manifest.after_removed)
            )
            if not found:
                return False
            for row in found:
                writer.add(row)
            self._manifest.after_removed = found[-1].run_uid
            if writer.size >= _FILE_BYTES:
                return True

    def _page(self, connection: Connection, writer: FileWriter) -> int | None:
        """Write some runs with what is of them, all as they are at one moment; the last id, None without any."""
        key = backend_of(connection).run_key
        columns = [runs.c[name] for name in RunRow.__struct_fields__]
        query = select(runs.c.id, key, *columns).where(*self._wanted()).order_by(runs.c.id).limit(_PAGE)
        last = None
        for number, run, *values in connection.execute(query.execution_options(yield_per=10)):
            writer.add(RunRow(**dict(zip(RunRow.__struct_fields__, values, strict=True))))
            self._write_parts(connection, run, writer)
            _write_evidence(connection, run, writer)
            last = number
            self._done += 1
            if writer.size >= _FILE_BYTES:
                break
        return last

    def _write_parts(self, connection: Connection, run: Key, writer: FileWriter) -> None:
        query = select(parts.c.first_sequence, parts.c.next_sequence, parts.c.body).where(parts.c.run == run)
        with connection.execute(
            query.order_by(parts.c.first_sequence).execution_options(yield_per=1)
        ) as found:
            for first, following, body in found:
                writer.add(PartRow(first_sequence=first, next_sequence=following, body=body))

    def _count(self, connection: Connection) -> int:
        return connection.execute(select(func.count()).select_from(runs).where(*self._wanted())).scalar_one()

    def _wanted(self) -> Iterator[ColumnElement[bool]]:
        yield runs.c.id > self._manifest.after_id
        yield runs.c.id <= self._manifest.until_id
        if self._manifest.since is not None:
            yield runs.c.heard_at >= self._manifest.since


def _write_evidence(connection: Connection, run: Key, writer: FileWriter) -> None:
    names = EvidenceRow.__struct_fields__
    query = select(*(evidence.c[name] for name in names)).where(evidence.c.run == run)
    for values in connection.execute(query):
        writer.add(EvidenceRow(**dict(zip(names, values, strict=True))))


def _removed(connection: Connection, after: str) -> list[RemovedRow]:
    """Some of the runs that are not there any more, whether they are forgotten already or not; without a text."""
    names = RemovedRow.__struct_fields__
    gone = or_(usages.c.gone, ~exists().where(runs.c.run_uid == usages.c.run_uid))
    query = (
        select(*(jobs.c[name] if name in NAMES else usages.c[name] for name in names))
        .join(jobs, jobs.c.id == usages.c.job)
        .where(gone, usages.c.run_uid > after)
        .order_by(usages.c.run_uid)
        .limit(_PAGE)
    )
    return [
        RemovedRow(**dict(zip(names, values, strict=True)) | {"leg": ""})
        for values in connection.execute(query)
    ]


def _tokens(connection: Connection) -> list[TokenRow]:
    names = TokenRow.__struct_fields__
    found = connection.execute(select(*(tokens.c[name] for name in names)).order_by(tokens.c.id)).all()
    return [TokenRow(**dict(zip(names, values, strict=True))) for values in found]
