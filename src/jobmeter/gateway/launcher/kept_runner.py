"""A task's runner by its keeper: watched, ended, cleared away; what fails at that is said, and tried again."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol, TypeVar

from jobmeter.gateway.faults import reason_of
from jobmeter.gateway.launcher.site import Site
from jobmeter.model.exits import Survivor
from jobmeter.supervise.keeper.end import Ended, Kept
from jobmeter.supervise.keeper.port import Keepers
from jobmeter.supervise.keeper.spec import Spec

AGAIN_SECONDS = 1.0
MOST_LOOKS = 30
"""So often a runner is looked at that cannot be watched, as without descriptors: it works on meanwhile."""
STOPPED_SECONDS = 10.0
"""So long a keeper may take to end its runner; then it is done for it."""
_NAMED = 10
"""So many processes that a job left are named in a line of the log."""

_Seen = TypeVar("_Seen")


class Warn(Protocol):
    """Tells the log of one task."""

    def __call__(self, message: str, **fields: object) -> None:
        """Something that needs the operator."""
        ...


class KeptRunner:
    """That of one task; ``kept`` is its keeper, None while there is none."""

    def __init__(self, keepers: Keepers, site: Site, task_id: str, warn: Warn) -> None:
        self._keepers = keepers
        self._site = site
        self._task_id = task_id
        self._warn = warn
        self._stopping: asyncio.TimerHandle | None = None
        self.kept: Kept | None = None

    @property
    def name(self) -> str:
        """Its cgroup's. Raises OSError for an id that no forge gives."""
        return self._site.name(self._task_id)

    @property
    def folder(self) -> str:
        """Its launch's own. Raises OSError as ``name`` does."""
        return str(self._site.folder(self._task_id))

    @property
    def overdue(self) -> bool:
        """Whether it is being ended for having taken too long."""
        return self.kept is not None and self._keepers.overdue(self.folder)

    async def want(self) -> str | None:
        """One sentence if its job has lost processes for want of memory, and goes on; None if that is not known."""
        if self.kept is None:
            return None
        try:
            return await asyncio.to_thread(self._keepers.want, self.kept)
        except Exception as error:
            # Whatever it is: what the runner says for itself counts more.
            self._warn("whether a job had memory enough cannot be told", error=reason_of(error))
            return None

    async def find(self) -> bool:
        """Whether a former process has started one, at work or not. Raises OSError as ``ended`` does."""

        async def look() -> Kept | None:
            return self._keepers.kept(self.folder)

        self.kept = await self._patiently(look)
        return self.kept is not None

    def say_elsewhere(self, given: str, address: str) -> None:
        """Tell if it works still, and was ``given`` an address that is not ours any more."""
        if given in ("", address) or self.kept is None:
            return
        works = False
        with suppress(OSError):  # It works on all the same.
            works = self._keepers.alive(self.kept) and self._keepers.end(self.folder) is None
        if works:
            self._warn(
                "a job's runner knows the gateway by a former address: unless that is served too, the job fails",
                former=given,
                address=address,
            )

    async def start(self, spec: Spec) -> None:
        """Raises LaunchError."""
        self.kept = await self._keepers.start(spec)

    async def ended(self) -> Ended | None:
        """Wait for its end; None where its keeper was killed. Raises OSError if it cannot be watched for long."""
        return await self._patiently(lambda: self._keepers.ended(self.folder))

    def stop(self) -> None:
        """Have it ended; its keeper does that within seconds."""
        self.leave()
        if self.kept is None:
            return
        try:
            self._keepers.stop(self.kept)
        except OSError as error:
            self._warn("a job's runner cannot be ended now", error=reason_of(error))
            self._stopping = asyncio.get_running_loop().call_later(AGAIN_SECONDS, self.stop)

    def leave(self) -> None:
        """Try no more to end it."""
        if self._stopping is not None:
            self._stopping.cancel()
            self._stopping = None

    async def end(self) -> None:
        """End it, if there is one: by its keeper, or else without. What resists is said."""
        with suppress(Exception):  # Whatever it is: its cgroup has the same name all the same.
            self.kept = self.kept or self._keepers.kept(self.folder)
            self.stop()
            if self.kept is not None:
                async with asyncio.timeout(STOPPED_SECONDS):
                    await self._keepers.ended(self.folder)
        await self.clear()
        self.leave()

    async def clear(self) -> None:
        """End what is in its cgroup, as a keeper that was killed would have done. What resists is said."""
        try:
            survivors = await self._keepers.clear(self.name, self.kept)
        except Exception as error:
            # Whatever it is: its job needs a result no less.
            self._warn("what is left of a job cannot be ended", error=reason_of(error))
            return
        self.survived(survivors)

    async def _patiently(self, look: Callable[[], Awaitable[_Seen]]) -> _Seen:
        """What it gives, as soon as it can be done."""
        for count in range(MOST_LOOKS):
            try:
                return await look()
            except OSError as error:
                if count == 0:
                    self._warn("a job's runner cannot be watched now", error=reason_of(error))
                await asyncio.sleep(AGAIN_SECONDS)
        return await look()

    def survived(self, survivors: tuple[Survivor, ...]) -> None:
        """Name processes of it that were ended."""
        if survivors:
            named = [f"{one.name} ({one.pid})" for one in survivors[:_NAMED]]
            if len(survivors) > _NAMED:
                named.append(f"and {len(survivors) - _NAMED} more")
            self._warn("a job left processes behind, which were ended", processes=named)
