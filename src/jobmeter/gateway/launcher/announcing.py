"""How a launched task is announced to those who meter this machine's containers."""

import os
from collections.abc import Mapping

from jobmeter.gateway.faults import fault_of
from jobmeter.gateway.hooks import TaskHooks
from jobmeter.gateway.launcher.kept_runner import KeptRunner, Warn
from jobmeter.gateway.relay.tasks import Known
from jobmeter.model.job import Job
from jobmeter.ops.hooks.events import TaskEvent, TaskWord, moment
from jobmeter.supervise.keeper.end import Kept


class Announcing:
    """Of one task, whose ``runner`` says where it runs; without ``hooks`` nobody hears."""

    def __init__(self, hooks: TaskHooks | None, known: Known, runner: KeptRunner, warn: Warn) -> None:
        self._hooks = hooks
        self._known = known
        self._runner = runner
        self._warn = warn
        self._started = False

    def started(self) -> None:
        """It runs."""
        if self._hooks is None:
            return
        try:
            self._hooks.task_started(_event("on_task_started", self._known, self._runner.kept))
            self._started = True
        except Exception as error:
            # Whatever it is: the job is done all the same.
            self._warn("the start of a job is not told by a fault of ours", **fault_of(error))

    async def ending(self) -> None:
        """Return when its last sample is taken, or after a short time; nobody hears of it twice."""
        if self._started and self._hooks is not None:
            self._started = False
            await self._hooks.task_ending(_event("on_task_destroy", self._known, self._runner.kept))


def _event(word: TaskWord, known: Known, kept: Kept | None) -> TaskEvent:
    """A task with whose it is, and the cgroup in which it runs."""
    return TaskEvent(
        event=word,
        task_id=known.id,
        time=moment(kept.started_at) if kept is not None and word == "on_task_started" else None,
        job=known.job or Job(),
        cgroup=_path(kept.cgroups) if kept is not None else None,
    )


def _path(cgroups: Mapping[str, str]) -> str | None:
    """As in /proc/PID/cgroup: what is below the mount point; the same in each hierarchy of version 1."""
    for directory in cgroups.values():
        top = directory
        while top != "/" and not os.path.ismount(top):
            top = os.path.dirname(top)
        if top != "/":
            return directory.removeprefix(top) or None
    return None
