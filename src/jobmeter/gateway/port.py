"""What the daemon needs of who stands between one forge and its runners."""

from collections.abc import Collection, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from starlette.types import ASGIApp

from jobmeter.gateway.polling.loop import Poller, Standing

STILL_ASKED = "a request is still held at the forge; a job that it brings is still taken"
"""What is said of runners for which nothing more is to be fetched."""


class RunnerState(Protocol):
    """One runner now; ``tasks`` are the ids of those that it has."""

    @property
    def key(self) -> str:
        """What tells it from any other."""
        ...

    @property
    def name(self) -> str | None:
        """What it is called, if it said so."""
        ...

    @property
    def standing(self) -> Standing:
        """What asking for it waits for."""
        ...

    @property
    def draining(self) -> bool:
        """Whether it gets no more tasks."""
        ...

    @property
    def capacity(self) -> int | None:
        """So many tasks it may have; None: nothing bounds it."""
        ...

    @property
    def tasks(self) -> tuple[str, ...]:
        """What it works on."""
        ...

    @property
    def silent_seconds(self) -> float | None:
        """How long ago it was last heard of; None of one that the gateway launches."""
        ...

    @property
    def unregistered(self) -> str | None:
        """What the forge said, if it does not know it any more."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why the forge gave no answer the last time."""
        ...


class Front(Protocol):
    """One forge as its runners see it."""

    @property
    def application(self) -> ASGIApp:
        """Answers runners, and whoever else comes, while its ``life`` lasts."""
        ...

    @property
    def pollers(self) -> Collection[Poller]:
        """Those that ask now."""
        ...

    def life(self) -> AbstractAsyncContextManager[None]:
        """From before it is asked for anything until nothing is asked any more."""
        ...

    def drain(self, name: str, on: bool) -> int:
        """The runners of this name, or with this key, get no more tasks, or do again: how many there are."""
        ...

    def pause(self, on: bool) -> None:
        """Fetch nothing for whomever, or do again; what runs goes on."""
        ...

    def stop(self) -> None:
        """Fetch nothing any more, and hold nobody's request: the end has begun."""
        ...

    async def cancel_tasks(self) -> None:
        """Have the forge cancel what runs, whoever runs it; each is tried once."""
        ...

    def standing(self) -> Iterable[RunnerState]:
        """All runners that the forge knows."""
        ...
