"""Keeps the course of a long run that is over, as it is drawn: beside its parts, with which it goes.

It is the part before the first one, which no record is in: whoever reads records asks for those from 0 on.
"""

from sqlalchemy import Connection, delete, insert, select

from jobmeter.receiver.store.backend import Key
from jobmeter.receiver.store.schema import parts

_PLACE = -1


def keep_course(connection: Connection, key: Key, course: bytes) -> None:
    """Keep it instead of any that was kept before."""
    connection.execute(delete(parts).where(parts.c.run == key, parts.c.first_sequence == _PLACE))
    connection.execute(
        insert(parts).values(run=key, first_sequence=_PLACE, next_sequence=_PLACE + 1, body=course)
    )


def kept_course(connection: Connection, key: Key) -> bytes | None:
    """What was kept of a run (``Run.key``); records may have come since."""
    query = select(parts.c.body).where(parts.c.run == key, parts.c.first_sequence == _PLACE)
    found: bytes | None = connection.execute(query).scalar()
    return found
