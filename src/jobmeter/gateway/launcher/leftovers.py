"""What a former process has left of jobs that nobody takes up: each is ended, told, removed; what resists is said."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from jobmeter.gateway.faults import fault_of, reason_of
from jobmeter.gateway.forges.own import Registration
from jobmeter.gateway.launcher import work_dir
from jobmeter.gateway.launcher.deaths import Cause, Deaths
from jobmeter.gateway.launcher.kept_runner import KeptRunner
from jobmeter.gateway.launcher.port import Shared
from jobmeter.gateway.launcher.removals import patiently
from jobmeter.gateway.launcher.site import Record
from jobmeter.gateway.relay.tasks import Known
from jobmeter.model.errors import JobmeterError

_UNKNOWN_RUNNER = Cause("The gateway does not know the runner of this job any more.")


_Item = TypeVar("_Item")


class Found(NamedTuple):
    """Tasks with a folder or a cgroup, and work dirs with the task of each."""

    tasks: frozenset[str]
    work_dirs: tuple[tuple[str, Path], ...]


class Leftovers:
    """Those of one forge's launches."""

    def __init__(self, shared: Shared, deaths: Deaths) -> None:
        self._shared, self._home = shared, shared.home
        self._deaths = deaths

    def find(self, parents: Iterable[str], mine: Collection[str]) -> Found:
        """All but those of tasks that are ``mine``; ``parents`` are where work dirs are made."""
        site, keepers = self._shared.site, self._shared.keepers
        tasks = set(self._listed(site.tasks))
        tasks |= {one for one in map(site.task_of, self._listed(lambda: keepers.left(site.prefix))) if one}
        dirs = [found for parent in parents for found in self._listed(partial(self._work_dirs, parent))]
        return Found(frozenset(tasks.difference(mine)), tuple(one for one in dirs if one[0] not in mine))

    async def clear(self, found: Found, given_up: Iterable[Known]) -> None:
        """End and remove it all; ``given_up`` are tasks that nobody can go on with, which the forge is told."""
        known = {one.id: one for one in given_up}
        tasks = found.tasks | known.keys()
        await asyncio.gather(*(self._guarded(one, self._finish(one, known.get(one))) for one in tasks))
        for task_id, path in found.work_dirs:
            await self._guarded(task_id, self._remove(task_id, work_dir.remove, path))

    def _work_dirs(self, parent: str) -> list[tuple[str, Path]]:
        return list(self._shared.site.work_dirs(parent))

    def _listed(self, listing: Callable[[], list[_Item]]) -> list[_Item]:
        try:
            return listing()
        except (JobmeterError, OSError) as error:
            self._home.log.warn("what is left of former jobs cannot be looked for", error=reason_of(error))
            return []

    async def _guarded(self, task_id: str, step: Awaitable[None]) -> None:
        """What fails for one of them keeps no other one."""
        try:
            await step
        except (JobmeterError, OSError) as error:
            self._warn(task_id, "what is left of a job cannot be removed", error=reason_of(error))
        except Exception as error:
            self._warn(
                task_id, "what is left of a job cannot be removed by a fault of ours", **fault_of(error)
            )

    async def _finish(self, task_id: str, known: Known | None) -> None:
        """A launch whose task is over, or given up: its keeper may still send."""
        site, keepers = self._shared.site, self._shared.keepers
        warn = partial(self._warn, task_id)
        record = await patiently(lambda: asyncio.to_thread(site.read, task_id), warn)
        runner = KeptRunner(keepers, site, task_id, warn)
        await runner.end()
        if known is not None:
            await self._give_up(known, record)
        if record is not None and record.work_dir:
            await self._guarded(task_id, self._remove(task_id, work_dir.remove, Path(record.work_dir)))
        await patiently(partial(keepers.gone, runner.folder), warn)
        if site.folder(task_id).exists():
            await self._remove(task_id, site.remove, task_id)

    async def _remove(self, task_id: str, step: Callable[..., None], *args: object) -> None:
        removals = self._shared.removals
        await patiently(lambda: removals.run(step, *args), partial(self._warn, task_id))

    async def _give_up(self, known: Known, record: Record | None) -> None:
        """A job's own token is all that GitLab asks for; Forgejo and Gitea hear of it by its runner alone."""
        about = self._home.about(known.identity or known.proof, known.id, known)
        if known.result is None and record is not None and record.token is not None:
            self._home.log.warn("a job is given up: its registration is gone", **about)
            nobody = Registration(token="", name=record.runner)
            await self._deaths.report(known, nobody, record.token, _UNKNOWN_RUNNER)
        elif known.result is None:
            self._home.log.warn(
                "a job is given up and the forge cannot be told: its registration is gone", **about
            )
        self._home.memory.drop(known.id)
        self._home.log.info("a job has ended", **about, result=known.result or "unknown")
        await self._home.kept()

    def _warn(self, task_id: str, message: str, **fields: object) -> None:
        self._home.log.warn(message, task=task_id, **fields)
