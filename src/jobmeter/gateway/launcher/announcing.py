"""How a launched task is announced to those who meter this machine's containers."""

import os
from collections.abc import Mapping

from jobmeter.gateway.relay.tasks import Known
from jobmeter.model.job import Job
from jobmeter.ops.hooks.events import TaskEvent, TaskWord, moment
from jobmeter.supervise.keeper.end import Kept


def task_event(word: TaskWord, known: Known, kept: Kept | None) -> TaskEvent:
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
