"""The question of sizing: the newest summaries of one job."""

import heapq
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from sqlalchemy import Connection, func, or_, select

from jobmeter.receiver.store.forms import both_forms
from jobmeter.receiver.store.schema import runs

MAX_SUMMARY_BYTES = 1024 * 1024
"""A larger summary is left out."""
MAX_BYTES = 64 * 1024 * 1024
"""So much is read of all summaries together."""
_ROWS_AT_A_TIME = 50


class JobSummary(NamedTuple):
    """The summary of a run as it was sent; ``received_at`` in milliseconds since 1970."""

    id: int
    run_uid: str
    received_at: int
    summary: bytes


def newest_summaries(
    connection: Connection, organization: str, repository: str, workflow: str, job: str, limit: int
) -> Iterator[JobSummary]:
    """At most ``limit`` summaries of one job, newest first, one at a time; fewer where they are large.

    ``repository`` is the full path, or the name alone below the organization. A run that goes on has no summary that
    holds, whatever was made of it before.
    """
    # No text of the store has a NUL in it, and PostgreSQL takes none.
    if any("\0" in name for name in (organization, repository, workflow, job)):
        return
    # One question a form: of both at once, all rows of the job would be read and sorted.
    found = (
        _of_one_form(connection, (organization, name, workflow, job), limit)
        for name in both_forms(organization, repository)
    )
    size = 0
    for row in islice(heapq.merge(*found, key=lambda one: one.id, reverse=True), limit):
        size += len(row.summary)
        if size > MAX_BYTES:
            return
        yield row


def _of_one_form(
    connection: Connection, names: tuple[str, str, str, str], limit: int
) -> Iterator[JobSummary]:
    columns = (runs.c.organization, runs.c.repository, runs.c.workflow, runs.c.job)
    query = (
        select(runs.c.id, runs.c.run_uid, runs.c.received_at, runs.c.summary)
        .where(*(column == name for column, name in zip(columns, names, strict=True)))
        .where(func.length(runs.c.summary) <= MAX_SUMMARY_BYTES)
        .where(or_(runs.c.state != "running", runs.c.pushed))
        .order_by(runs.c.id.desc())
        .limit(limit)
    )
    with connection.execute(query.execution_options(yield_per=_ROWS_AT_A_TIME)) as rows:
        yield from map(JobSummary._make, rows)
