"""Keepers without processes: a test says how each runner ends. And runners that a test plays itself."""

from __future__ import annotations

import asyncio
from collections import deque
from pathlib import Path
from typing import Any, Literal

from msgspec.structs import replace

from jobmeter.model.errors import LaunchError
from jobmeter.model.exits import Survivor
from jobmeter.supervise.keeper.end import Ended, Kept
from jobmeter.supervise.keeper.spec import Spec
from tests.support.forges import actions, gitlab
from tests.support.forges.serving import Got

Kind = Literal["forgejo", "gitea", "gitlab"]
COMMAND = ("runner", "{url}", "{uuid}", "{token}")
"""So that a test finds in the command's words what a runner is given."""
EXITED = Ended(reason="exit", code=0, detail="The runner ended with exit code 0.", at=0.0)


class FakeKeepers:
    """``refusals`` are taken one after the other, for a start each; ``survivors`` are found by each clearing.

    While it is ``stuck`` no start comes to an end. ``faults`` are raised by the calls of these names, each once.
    """

    def __init__(self) -> None:
        self.specs: dict[str, list[Spec]] = {}
        self.refusals: list[str] = []
        self.faults: dict[str, deque[BaseException]] = {}
        self.stuck = False
        self.wants: dict[str, str] = {}
        self.survivors: tuple[Survivor, ...] = ()
        self.stopped: list[str] = []
        self.cleared: list[str] = []
        self.cgroups: set[str] = set()
        self._overdue: set[str] = set()
        self._kept: dict[str, Kept] = {}
        self._ends: dict[str, Ended | None] = {}
        self._change = asyncio.Event()

    # --- the port

    def open(self) -> None:
        pass

    async def start(self, spec: Spec) -> Kept:
        self._fail("start")
        if self.stuck:
            await asyncio.Event().wait()
        if self.refusals:
            raise LaunchError(self.refusals.pop(0))
        assert spec.name not in self.cgroups
        assert Path(spec.work_dir).is_dir()
        self.cgroups.add(spec.name)
        self.specs.setdefault(spec.task_id, []).append(spec)
        self._ends.pop(spec.folder, None)
        self._overdue.discard(spec.folder)
        kept = Kept(pid=2, start_ticks=1, name=spec.name, cgroups={}, run_uid="r", started_at=1.0)
        self._kept[spec.folder] = kept
        self._tell()
        return kept

    def kept(self, folder: str) -> Kept | None:
        self._fail("kept")
        return self._kept.get(folder)

    def alive(self, kept: Kept) -> bool:
        return kept.name in self.cgroups

    def end(self, folder: str) -> Ended | None:
        return self._ends.get(folder)

    def overdue(self, folder: str) -> bool:
        return folder in self._overdue

    def want(self, kept: Kept) -> str | None:
        self._fail("want")
        return self.wants.get(kept.name)

    async def ended(self, folder: str) -> Ended | None:
        while folder not in self._ends:
            self._fail("ended")
            await self._change.wait()
        return self._ends[folder]

    async def gone(self, folder: str) -> str | None:
        if folder in self._kept:
            await self.ended(folder)
        return None

    def stop(self, kept: Kept) -> None:
        self._fail("stop")
        self.stopped.append(kept.name)
        folder = next(one for one, found in self._kept.items() if found is kept)
        self._over(folder, replace(EXITED, reason="stopped", detail="The runner was told to end."))

    async def clear(self, name: str, kept: Kept | None = None) -> tuple[Survivor, ...]:
        self._fail("clear")
        self.cleared.append(name)
        self.cgroups.discard(name)
        return self.survivors

    def left(self, prefix: str) -> list[str]:
        return [name for name in self.cgroups if name.startswith(prefix)]

    async def close(self) -> None:
        pass

    # --- for a test

    async def runner(self, task: int, kind: Kind, attempt: int = 1) -> PlayedRunner:
        """That which is started for a task, the first time or a later one."""
        async with asyncio.timeout(10):
            while len(self.specs.get(str(task), ())) < attempt:
                await self._change.wait()
        return PlayedRunner(self.specs[str(task)][attempt - 1], kind)

    def runner_ends(self, task: int, ended: Ended = EXITED) -> None:
        """In this way."""
        spec = self.specs[str(task)][-1]
        self.cgroups.discard(spec.name)
        self._over(spec.folder, ended)

    def runner_is_overdue(self, task: int) -> None:
        """It will be asked to end."""
        self._overdue.add(self.specs[str(task)][-1].folder)

    def job_wants_memory(self, task: int, sentence: str) -> None:
        """The kernel has killed a process of it, of which the runner knows nothing."""
        self.wants[self.specs[str(task)][-1].name] = sentence

    def keeper_is_killed(self, task: int) -> None:
        """Its cgroup is left."""
        self._over(self.specs[str(task)][-1].folder, None)

    def fails(self, call: str, *faults: BaseException) -> None:
        """The next calls with this name do, also those that wait already."""
        self.faults[call] = deque(faults)
        self._tell()

    def _fail(self, call: str) -> None:
        if self.faults.get(call):
            raise self.faults[call].popleft()

    def _over(self, folder: str, ended: Ended | None) -> None:
        self._ends.setdefault(folder, ended)
        if ended is not None:
            self.cgroups.discard(self._kept[folder].name)
        self._tell()

    def _tell(self) -> None:
        self._change.set()
        self._change = asyncio.Event()


class PlayedRunner:
    """One for a task; what it says is said with the credentials that it was started with."""

    def __init__(self, spec: Spec, kind: Kind) -> None:
        _, url, uuid, token = spec.argv
        port = int(url.rstrip("/").rpartition(":")[2])
        self.spec, self.kind, self.task = spec, kind, int(spec.task_id)
        self.actions = actions.Runner(port, uuid, token)
        self.gitlab = gitlab.Runner(port, token)
        self.sent = 0

    async def takes(self) -> bool:
        """Ask for its task; whether there is one."""
        if self.kind == "gitlab":
            return (await self.gitlab.fetch()).status == 201
        return await self.actions.fetch() == [self.task]

    async def prints(self, line: str) -> Got:
        """One more line of the log."""
        if self.kind == "gitlab":
            text = f"{line}\n".encode()
            got = await self.gitlab.trace(self.task, self.sent, text)
            self.sent += len(text)
            return got
        got = await self.actions.log(self.task, self.sent, line)
        self.sent += 1
        return got

    async def reports(self, result: Literal["success", "failure"]) -> Got:
        """How it ended."""
        if self.kind == "gitlab":
            state = {"success": "success", "failure": "failed"}[result]
            return await self.gitlab.update(self.task, state)
        await self.actions.log(self.task, self.sent, last=True)
        return await self.actions.state(self.task, actions.RESULTS.index(result))

    async def asks(self, call: str, **fields: Any) -> Got:
        """Any other call of Forgejo's and Gitea's runners."""
        return await self.actions.call(call, **fields)
