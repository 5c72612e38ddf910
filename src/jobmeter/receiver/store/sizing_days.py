"""Keeps what the runs of a job's day tell together of its needs, so that a year is as many rows as it has days.

New runs are added to their day; the day of a run that changed is made anew of all its runs, those too that were removed
since. What is read of one row of `usages` is the same either way, so it does not matter which was done.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sqlalchemy import Connection, insert, select, tuple_, update

from jobmeter.model.sizing import observation, period
from jobmeter.model.sizing.payload import observe_payload
from jobmeter.model.summarize import rfc3339_of
from jobmeter.receiver.store.usage_days import DAY, begun_within
from jobmeter.receiver.store.usage_tables import sizing_days, usages

# A larger one has more containers than anybody sizes.
_MAX_OBSERVATION_BYTES = 64 * 1024
_ROWS_AT_A_TIME = 500

Day = tuple[int, int]
"""The id of a job, and days since 1970 (UTC)."""


class Told(NamedTuple):
    """What a run tells, in its stored form: null where that is nothing."""

    run_uid: str
    day: Day
    observation: bytes | None


def observed(run_uid: str, received_at: int, summary: bytes | None) -> bytes | None:
    """What a stored summary tells, None where that is nothing; ``received_at`` in milliseconds since 1970."""
    if not summary:
        return None
    found = observe_payload(summary, run_uid=run_uid, end_time=rfc3339_of(received_at / 1000))
    stored = found and observation.encode(found)
    return stored if stored and len(stored) <= _MAX_OBSERVATION_BYTES else None


def take_in(connection: Connection, before: Iterable[Told], after: Iterable[Told]) -> None:
    """Have days tell of runs as they are in `usages` now; ``before`` is what was there of the same runs."""
    old = {one.run_uid: one for one in before}
    new: defaultdict[Day, list[bytes]] = defaultdict(list)
    changed: set[Day] = set()
    for one in after:
        was = old.get(one.run_uid)
        if was is not None and was.observation is not None:
            changed |= {was.day, one.day} if was != one else set()
        elif one.observation is not None:
            new[one.day].append(one.observation)
    known = _known(connection, changed | new.keys())
    for day in changed:
        _store(connection, day, _parts_of(_stored(connection, day)), known=day in known)
    for day in new.keys() - changed:
        _store(connection, day, period.joined([known.get(day, {}), _parts_of(new[day])]), known=day in known)


def _known(connection: Connection, days: Iterable[Day]) -> dict[Day, period.Parts]:
    columns = sizing_days.c.job, sizing_days.c.day
    query = select(*columns, sizing_days.c.told).where(tuple_(*columns).in_(sorted(days)))
    return {(job, day): period.decode(told) for job, day, told in connection.execute(query)}


def _stored(connection: Connection, day: Day) -> Iterator[bytes]:
    """What all runs of a day tell that there ever were."""
    job, number = day
    query = select(usages.c.observation).where(
        *begun_within(job, number * DAY, (number + 1) * DAY), usages.c.observation.is_not(None)
    )
    with connection.execute(query.execution_options(yield_per=_ROWS_AT_A_TIME)) as found:
        yield from found.scalars()


def _parts_of(observations: Iterable[bytes]) -> period.Parts:
    return period.parts_of(map(observation.decode, observations))


def _store(connection: Connection, day: Day, parts: period.Parts, *, known: bool) -> None:
    job, number = day
    told = period.encode(parts)
    if known:
        of_day = sizing_days.c.job == job, sizing_days.c.day == number
        connection.execute(update(sizing_days).where(*of_day).values(told=told))
    else:
        connection.execute(insert(sizing_days).values(job=job, day=number, told=told))
