"""The last runs of a job with no more than its levels are found by, for a list of many jobs."""

from sqlalchemy import Connection, false, select

from jobmeter.model.history.digest import PastRun
from jobmeter.model.summarize import rfc3339_of
from jobmeter.receiver.store.usage_tables import usages

_ABOUT = (
    usages.c.run_uid, usages.c.begun_at, usages.c.exit_reason, usages.c.ref, usages.c.leg, usages.c.lower_bounds,
    usages.c.duration_seconds, usages.c.cpu_seconds, usages.c.memory_bytes, usages.c.network_bytes,
)  # fmt: skip


def last_runs(connection: Connection, job: int, most: int) -> list[PastRun]:
    """At most ``most`` runs, newest first; of each its end, its branch and leg, and what is followed over runs."""
    query = (
        select(*_ABOUT)
        .where(usages.c.job == job, usages.c.gone == false())
        .order_by(usages.c.begun_at.desc(), usages.c.run_uid.desc())
        .limit(most)
    )
    return [
        PastRun(
            run_uid=run_uid,
            began_at=rfc3339_of(begun_at / 1000),
            exit_reason=exit_reason,
            ref=ref,
            leg=leg,
            lower_bounds=tuple(lower_bounds.split(",")) if lower_bounds else (),
            duration_seconds=seconds,
            cpu_seconds=cpu_seconds,
            memory_bytes=memory,
            network_bytes=network,
        )
        for run_uid, begun_at, exit_reason, ref, leg, lower_bounds, seconds, cpu_seconds, memory, network
        in connection.execute(query).all()
    ]  # fmt: skip
