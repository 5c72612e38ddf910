"""What a launch leaves on this machine when it is over: taken away, or kept for who looks for the cause."""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from jobmeter.gateway.faults import fault_of, reason_of
from jobmeter.gateway.launcher import work_dir
from jobmeter.gateway.launcher.kept_runner import Warn
from jobmeter.gateway.launcher.removals import Removals, patiently
from jobmeter.gateway.launcher.site import Record, Site
from jobmeter.model.errors import JobmeterError
from jobmeter.supervise.keeper.port import Keepers


class Remains:
    """Those of one launch."""

    def __init__(self, keepers: Keepers, site: Site, removals: Removals, record: Record, warn: Warn) -> None:
        self._keepers = keepers
        self._site = site
        self._removals = removals
        self._record = record
        self._warn = warn

    async def clear(self, *, keep: bool, sent: bool, kept: Callable[[], Awaitable[None]]) -> None:
        """Take it away, but for the work dir if it is to ``keep``; what resists is said, and what may pass tried again.

        ``sent``: there is a receiver for what was metered. ``kept`` waits until the task's end is on disk.
        """
        try:
            await patiently(partial(self._clear_work_dir, keep=keep), self._warn)
            await kept()
            await patiently(partial(self._clear_folder, sent=sent), self._warn)
        except (JobmeterError, OSError) as error:
            self._warn("what is left of a job cannot be removed", error=reason_of(error))
        except Exception as error:
            self._warn("what is left of a job cannot be removed by a fault of ours", **fault_of(error))

    async def _clear_work_dir(self, *, keep: bool) -> None:
        """What a runner wrote is kept beside its work dir."""
        if not self._record.work_dir:
            return
        path = Path(self._record.work_dir)
        if not keep:
            await self._removals.run(work_dir.remove, path)
            return
        kept = self._site.kept_work_dir(path)
        await self._removals.run(work_dir.keep, path, kept)
        await self._removals.run(work_dir.keep_output, self._site.output(self._record.task_id), kept)

    async def _clear_folder(self, *, sent: bool) -> None:
        """Once its keeper is gone; what that should have sent and has not is named."""
        folder, journal = self._site.folder(self._record.task_id), self._site.journal(self._record.task_id)
        unsent = await self._keepers.gone(str(folder))
        if unsent is not None:
            self._warn("not all that was metered of a job has arrived", why=unsent)
        elif sent and journal.exists() and self._keepers.end(str(folder)) is None:
            self._warn(
                "what was metered of a job was not sent, as its keeper was killed; "
                "`jobmeter report FILE --receiver URL` sends it",
                file=str(journal),
            )
        if folder.exists():
            await self._removals.run(self._site.remove, self._record.task_id)
