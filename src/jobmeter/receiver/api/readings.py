"""Asks the store for the pages and the API; of what reads a whole run only so much may wait."""

from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection

from jobmeter.ops.problems import Unavailable
from jobmeter.receiver.api import answers
from jobmeter.receiver.api.answers import Found
from jobmeter.receiver.api.types import RunTimeline
from jobmeter.receiver.store.database import Answer, Database
from jobmeter.receiver.store.queries import find_run
from jobmeter.receiver.store.scopes import Scopes

_MAX_LONG = 16


class Readings:
    """Questions to one database, of which not too many long ones may wait."""

    def __init__(self, database: Database) -> None:
        self.read = database.read
        self._read_long = database.read_long
        self._asked = 0

    async def read_long(self, question: Callable[[Connection], Answer]) -> Answer:
        """Ask what may take long. Raises a problem 503 when too many wait for that already."""
        if self._asked == _MAX_LONG:
            raise Unavailable("Too many ask for whole runs at once; try again soon.", 5)
        self._asked += 1
        try:
            return await self._read_long(question)
        finally:
            self._asked -= 1

    async def describe(self, run_uid: str, scopes: Scopes = None) -> Found | None:
        """One run with its summary; None when there is none within the scopes."""
        run = await self.read(partial(find_run, run_uid=run_uid, scopes=scopes))
        if run is None:
            return None
        # What is not summed up yet is made from all that has come.
        read = self.read_long if run.summary is None or run.state == "running" else self.read
        return await read(partial(answers.describe_run, run_uid=run_uid, scopes=scopes))

    async def show(
        self, run_uid: str, *, points: int, resolution_seconds: float | None = None, scopes: Scopes = None
    ) -> tuple[Found, RunTimeline] | None:
        """One run with its summary and its course; None when there is none within the scopes."""
        return await self.read_long(
            partial(
                answers.show_run,
                run_uid=run_uid,
                points=points,
                resolution_seconds=resolution_seconds,
                scopes=scopes,
            )
        )

    async def course(
        self, run_uid: str, *, points: int, resolution_seconds: float | None = None, scopes: Scopes = None
    ) -> RunTimeline | None:
        """The course of one run; None when there is none within the scopes."""
        return await self.read_long(
            partial(
                answers.course_of,
                run_uid=run_uid,
                points=points,
                resolution_seconds=resolution_seconds,
                scopes=scopes,
            )
        )
