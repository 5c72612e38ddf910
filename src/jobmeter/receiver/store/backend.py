"""The port behind which a database stands: what differs between SQLite and PostgreSQL, and nothing else.

Whatever both understand is written once, with SQLAlchemy, by who asks for it: `with_for_update` locks the row of a
run on PostgreSQL and is nothing on SQLite, whose writers have the whole database to themselves.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Column, Connection, Engine

from jobmeter.model.errors import StoreError
from jobmeter.receiver.store.summaries import NewSummary

READERS = 4
"""So many connections a receiver reads with."""
BUSY_SECONDS = 4.0
"""So long a change waits for a lock: who comes during one wait waits for the next one too, senders give up at 10 s."""

Key = int | str
"""What the parts of a run name it by; ``Backend.run_key`` is the column of it in the table of runs."""


class Judgement(NamedTuple):
    """What an error of a database or its library means."""

    error: StoreError
    concerns_all: bool = False
    """It would have met any other change too, as a lock of the whole database and a full disk do."""
    clash: bool = False
    """Another receiver was in the way; the same succeeds when it is tried again."""
    stale: bool = False
    """The connection is of no more use."""


class Dropped(NamedTuple):
    """What was removed at once: so many runs, and so many timelines of runs that stay."""

    runs: int = 0
    timelines: int = 0


class Backend(Protocol):
    """One database, open: its tables are there and up to date."""

    place: str
    """The database as it may be shown: no secret is in it."""
    writer: Engine
    reader: Engine
    """Its connections see one state of the database from begin to end, and change nothing."""
    run_key: Column[Any]
    seed_rows: str
    """The rows of `queries.SeedRow`, newest first, of a job by its four names, below an id, and at most so many."""
    trial: str
    """Needs all that a change needs, and changes nothing."""

    def insert_alone(
        self, connection: Connection, summaries: Sequence[NewSummary], now: int
    ) -> Sequence[int] | None:
        """Store summaries by a transaction of its own that is as short as can be, and give the ids of their runs.

        None when it is not for that: then ``store_summaries`` may have to store again what is stored already, which
        changes nothing. ``now`` is in milliseconds since 1970, here and below.
        """
        ...

    def store_summaries(
        self, connection: Connection, summaries: Sequence[NewSummary], now: int
    ) -> Sequence[int | StoreError]:
        """Store each once and give the id of each run; a run that is known keeps its id and has the newest summary.

        Foreign stands for the id where a sender may not store that run.
        """
        ...

    def last_begins(self, connection: Connection, key: Key, count: int, size: int) -> list[bytes]:
        """The first bytes of the last bodies of a run, without reading the rest of them."""
        ...

    def judge(self, error: Exception) -> Judgement | None:
        """What an error means; None when it is not of the database or its library."""
        ...

    def check_in_place(self) -> None:
        """Raises StoreError when what is stored now would not be found: asked for before each commit."""
        ...

    def probe(self) -> str | None:
        """Why it cannot be read now, by a connection that is made for the question; None when it can."""
        ...

    def keep_up(self, now: int) -> None:
        """Have ready what will be needed soon; asked for at the start and each hour. Raises StoreError."""
        ...

    def alone_at_removing(self) -> AbstractContextManager[bool]:
        """Whether no other receiver of the database removes what is old, and none begins to until the end."""
        ...

    def drop_months(self, timelines_before: int | None, runs_before: int | None) -> Dropped:
        """Remove at once what lies together and was last heard of before, where it does. Raises StoreError."""
        ...

    def give_back(self, connection: Connection) -> bool:
        """Give some of the space that is free back to the file system; whether there is more to give."""
        ...


def backend_of(connection: Connection) -> Backend:
    """The database behind a connection of one of its engines."""
    backend: Backend = connection.get_execution_options()["backend"]
    return backend
