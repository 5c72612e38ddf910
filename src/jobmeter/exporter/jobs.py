"""The jobs whose containers are there now, for `/debug/jobs/list`."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from jobmeter.exporter.container import Identity, Row


class RunningJobs:
    """Reads the ``rows`` that are shown."""

    def __init__(self, rows: Callable[[], Sequence[Row]], clock: Callable[[], float] = time.time) -> None:
        self._rows = rows
        self._clock = clock

    async def jobs(self) -> Iterable[Mapping[str, str]]:
        """One for each execution, the oldest first; what is not known of one is left out."""
        first: dict[object, Row] = {}
        count: dict[object, int] = {}
        for row in sorted(self._rows(), key=lambda row: row.started or 0.0):
            if row.ended is None and row.identity.job is not None:
                key = _execution(row.identity)
                first.setdefault(key, row)
                count[key] = count.get(key, 0) + 1
        return [self._described(row, count[key]) for key, row in first.items()]

    def _described(self, row: Row, containers: int) -> dict[str, str]:
        job = row.identity.job
        assert job is not None
        placed = job.server_url and job.repository
        known = {
            "url": f"{(job.server_url or '').rstrip('/')}/{job.repository}" if placed else None,
            "state": "running",
            "duration": f"{max(0.0, self._clock() - row.started):.0f}s" if row.started is not None else None,
            "containers": str(containers),
            "forge": job.forge,
            "repository": job.repository,
            "workflow": job.workflow,
            "job": job.job,
            "run_id": job.run_id,
            "task_id": row.identity.task_id,
        }
        return {key: value for key, value in known.items() if value is not None}


def _execution(identity: Identity) -> object:
    """What tells executions apart: the forge's own id, else all that is known."""
    job = identity.job
    if job is not None and identity.task_id is not None:
        return job.forge, job.server_url, identity.task_id
    return msgspec.json.encode(job)
