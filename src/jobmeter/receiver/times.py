"""Times as they are sent, in RFC 3339, and as they are stored, in milliseconds since 1970."""

from datetime import UTC, datetime, timedelta

from jobmeter.ops.problems import Problem

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def milliseconds(text: str, field: str) -> int:
    """The time in a text; one without a zone is UTC. Raises a problem 400 that names the field."""
    try:
        moment = datetime.fromisoformat(text.upper())
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        # Its year in UTC may be one that there is not, 0 or 10000.
        return (aware.astimezone(UTC) - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError):
        raise Problem(
            400, f"{field} is {text[:60]!r}; accepted is a time in RFC 3339, as 2026-11-21T12:00:00Z."
        ) from None


def begin_of(start_time: int | None, received_at: int, heard_at: int) -> int:
    """When a run began, in milliseconds: its start, or when it was first heard of where that is later or not told.

    Nothing is heard of a run before its start, but by a clock that is wrong.
    """
    return received_at if start_time is None or start_time > heard_at else start_time
