"""What is taken in is for history to look at, however far the import came."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, update

from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.moving import importing
from jobmeter.receiver.store.moving.exporting import export
from jobmeter.receiver.store.moving.importing import import_
from jobmeter.receiver.store.schema import runs
from jobmeter.receiver.store.usage_tables import usage_progress
from tests.receiver.store.support import stored, summary


class Killed(Exception):
    pass


def test_an_import_that_is_broken_off_has_history_look_at_what_it_stored(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else would: the next one finds these runs there."""
    monkeypatch.setattr(importing, "_BATCH_RUNS", 2)
    source = str(tmp_path / "source.db")
    stored(source, *(summary(f"run-{number}") for number in range(6)))
    with closing(Database.open(source)) as database:
        export(database, tmp_path / "files", lambda done, total: None)

    def kill(done: int, total: int) -> None:
        raise Killed

    with closing(Database.open(place)) as database:
        with database.writer.begin() as connection:
            connection.execute(update(usage_progress).values(heard_at=10**15))
        with pytest.raises(Killed):
            import_(database, tmp_path / "files", kill)

        def oldest_and_known(connection: Connection) -> tuple[int, ...]:
            return tuple(
                connection.execute(select(time)).scalar_one()
                for time in (
                    select(runs.c.heard_at).order_by("heard_at").limit(1).scalar_subquery(),
                    usage_progress.c.heard_at,
                )
            )

        oldest, known = database.read_here(oldest_and_known)
    assert known == oldest
