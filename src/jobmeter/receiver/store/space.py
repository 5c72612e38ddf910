"""Gives the space of what was removed back to the file system."""

from typing import NamedTuple

from sqlalchemy import Connection

from jobmeter.receiver.store.backend import backend_of


class GiveBack(NamedTuple):
    """Gives some of it back; the result is whether there is more to give."""

    size: int = 0

    def apply(self, connection: Connection, now: int) -> bool:
        """As the database can."""
        return backend_of(connection).give_back(connection)
