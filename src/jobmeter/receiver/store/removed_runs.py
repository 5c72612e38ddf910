"""What stays told of runs that were removed: their numbers, for the sums of their days."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, case, select, update

from jobmeter.receiver.store.schema import runs
from jobmeter.receiver.store.usage_days import new_version
from jobmeter.receiver.store.usage_tables import jobs, usage_progress, usages
from jobmeter.receiver.store.usages import (
    Before,
    Names,
    job_ids,
    replace_rows,
    row_of,
    stored,
    these_runs,
)


def gone_runs(connection: Connection, after: str, limit: int) -> tuple[list[str], str | None]:
    """Of ``limit`` runs in the tables with keys above one those that were removed since; and the last key looked at."""
    page = (
        select(usages.c.run_uid, usages.c.gone)
        .where(usages.c.run_uid > after)
        .order_by(usages.c.run_uid)
        .limit(limit)
        .subquery()
    )
    query = (
        select(page.c.run_uid, page.c.gone, runs.c.run_uid)
        .outerjoin(runs, runs.c.run_uid == page.c.run_uid)
        .order_by(page.c.run_uid)
    )
    found = connection.execute(query).all()
    gone = [run_uid for run_uid, known, there in found if there is None and not known]
    return gone, found[-1][0] if len(found) == limit else None


class Forget:
    """Has runs that were removed not be told any more; their numbers stay, so that the sums of their days do."""

    def __init__(self, run_uids: Sequence[str]) -> None:
        self._run_uids = run_uids
        self.size = 100 * len(run_uids)

    def apply(self, connection: Connection, now: int) -> None:
        """Empty their texts, but for those that came again; what sizing learns of a run says of which leg it was."""
        # Nobody takes runs in meanwhile.
        connection.execute(select(usage_progress.c.heard_at).with_for_update())
        there = select(runs.c.run_uid).where(runs.c.run_uid == usages.c.run_uid).exists()
        connection.execute(
            update(usages)
            .where(usages.c.run_uid.in_(self._run_uids), ~there)
            .values(gone=True, ref=None, sha=None, run_id=None, leg="")
        )
        of_these = select(usages.c.job).where(usages.c.run_uid.in_(self._run_uids))
        connection.execute(update(jobs).where(jobs.c.id.in_(of_these)).values(version=new_version()))


def add_removed(connection: Connection, found: Sequence[tuple[Names, Mapping[str, Any]]]) -> int:
    """Store the numbers of runs that were removed from another database, where they are of a later state: how many.

    Each has the names of its job and the columns of ``usages`` but for the id of its job. A run that is there in an
    earlier state stays, and is told by these numbers.
    """
    # Nobody takes runs in meanwhile.
    connection.execute(select(usage_progress.c.heard_at).with_for_update())
    told = {values["run_uid"]: (names, values) for names, values in found}
    there, before = _heard_at(connection, list(told)), stored(connection, told)
    later = {
        uid: (names, values)
        for uid, (names, values) in told.items()
        if _is_later(values["heard_at"], there.get(uid), before.get(uid))
    }
    ids = job_ids(connection, {names for names, _ in later.values()})
    texts = {one.run_uid: one for one in these_runs(connection, later.keys() & there.keys())}
    rows = []
    for uid, (names, values) in later.items():
        row = {**_NO_TEXTS, **values, "job": ids[names], "gone": uid not in there}
        if uid in there:
            _have_ended(connection, uid, values["heard_at"])
            known = row_of(texts[uid], ids[names])
            row |= {name: known[name] for name in (*_NO_TEXTS, "leg")}
        rows.append(row)
    replace_rows(connection, {uid: before[uid] for uid in later.keys() & before.keys()}, rows)
    return len(rows)


_NO_TEXTS = {"ref": None, "sha": None, "run_id": None}


def _heard_at(connection: Connection, run_uids: Sequence[str]) -> dict[str, int]:
    """Of those that are there, which nobody changes until the end of the transaction."""
    query = select(runs.c.run_uid, runs.c.heard_at).where(runs.c.run_uid.in_(run_uids)).with_for_update()
    return dict(connection.execute(query).all())


def _is_later(heard_at: int, there: int | None, before: Before | None) -> bool:
    """What the tables have of a run that is there is made of it again, whatever it is."""
    if there is not None:
        return heard_at > there
    return before is None or heard_at > before.heard_at


def _have_ended(connection: Connection, run_uid: str, heard_at: int) -> None:
    """What was heard of it elsewhere was its end, so that its numbers are not made of what is here."""
    state = case((runs.c.state == "running", "lost"), else_=runs.c.state)
    connection.execute(update(runs).where(runs.c.run_uid == run_uid).values(heard_at=heard_at, state=state))
