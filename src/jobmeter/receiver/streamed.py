"""The jobs whose runs are streamed to the receiver now, for `/debug/jobs/list`."""

from collections.abc import Iterable, Mapping
from functools import partial

from jobmeter.receiver.api.answers import list_runs
from jobmeter.receiver.api.readings import Readings
from jobmeter.receiver.api.types import RunItem
from jobmeter.receiver.store.queries import RunFilter

_MOST = 1000


class StreamedJobs:
    """Asks the store, newest first."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings

    async def jobs(self) -> Iterable[Mapping[str, str]]:
        """At most 1,000 of them; what is not known of one is left out."""
        running = partial(list_runs, wanted=RunFilter(state="running"), before=None, limit=_MOST)
        return [_described(item) for item in (await self._readings.read(running)).runs]


def _described(item: RunItem) -> dict[str, str]:
    job = item.job
    placed = job.server_url and job.repository
    known = {
        "url": f"{(job.server_url or '').rstrip('/')}/{job.repository}" if placed else None,
        "state": item.state,
        "duration": None if item.duration_seconds is None else f"{item.duration_seconds:.0f}s",
        "run_uid": item.run_uid,
        "repository": job.repository,
        "workflow": job.workflow,
        "job": job.job,
        "run_id": job.run_id,
    }
    return {key: value for key, value in known.items() if value is not None}
