"""What the tests of the relay share: a log that is kept, and one forge's passing between two sockets."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from jobmeter.gateway.evidence import Referee
from jobmeter.gateway.figures.events import Event, TaskEnded
from jobmeter.gateway.forges import actions
from jobmeter.gateway.forges.port import Identity
from jobmeter.gateway.relay.client import Room
from jobmeter.gateway.relay.options import ForgeOptions
from jobmeter.gateway.relay.passing import Passing
from jobmeter.gateway.relay.relay import Relay
from jobmeter.gateway.relay.upstream import Upstream
from jobmeter.ops.connection import Bounds
from tests.support.forges.raw import RawForge
from tests.support.forges.serving import serving

MIB = 1024 * 1024


class Messages:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.warned: list[dict[str, object]] = []
        self.informed: list[dict[str, object]] = []

    def warn(self, message: str, **fields: object) -> None:
        self.warned.append({"message": message, **fields})

    def info(self, message: str, **fields: object) -> None:
        self.informed.append({"message": message, **fields})

    @property
    def texts(self) -> list[object]:
        return [one["message"] for one in self.warned]


@asynccontextmanager
async def passing(url: str, log: Messages | None = None, **options: Any) -> AsyncIterator[int]:
    """The port at which every request is passed to the forge at ``url``."""
    told = ForgeOptions(name="forge", kind="forgejo", url=url, **options)
    async with Upstream(told) as upstream:
        bytes_between = Passing(upstream, actions, log or Messages(), Room(told.held_bytes), told.read_bytes)

        async def application(scope, receive, send):
            client = await bytes_between.admit(scope, receive, send)
            if client is not None:
                await bytes_between.stream(client)

        async with serving(application, Bounds(request_seconds=60.0)) as port:
            yield port


_Kind = TypeVar("_Kind")


class Told:
    """What the relay tells of runners."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Event]] = []

    def __call__(self, identity: Identity, event: Event) -> None:
        self.events.append((identity.key, event))

    def of(self, kind: type[_Kind]) -> list[_Kind]:
        return [event for _, event in self.events if isinstance(event, kind)]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.0005)


def on_disk(folder: Path, copy: Path) -> Path:
    """A copy of what is there now; a file that is being written has no name of its own yet."""
    return Path(shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(".*.new")))


class Clock:
    """The true one, ahead by as much as a test says."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


class Rig:
    """A relay between a forge and runners; it never rests for long unless it is told to, and holds only reports that
    name a limit."""

    def __init__(
        self,
        forge: RawForge,
        *,
        steady: float = 0.001,
        keeping: Any = None,
        clock: Callable[[], float] = time.monotonic,
        referee: Referee | None = None,
        **options: Any,
    ) -> None:
        told: dict[str, Any] = {"kind": "forgejo", "fetch_interval": steady, "fetch_interval_max": steady}
        told["sign_seconds"] = steady
        told |= {"answer_seconds": 0.0, **options}
        self.told = Told()
        self.log = Messages()
        named = ForgeOptions(name="forge", url=forge.url, **told)
        self.relay = Relay(named, self.log, self.told, keeping, clock, referee=referee)
        self.port = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Rig]:
        """Answering runners."""
        async with self.relay.life(), serving(self.relay.application) as self.port:
            yield self

    async def ready(self) -> None:
        """Wait until the next request for work is asked of the forge."""
        await until(lambda: all(poller.standing in ("ready", "full") for poller in self.relay.pollers))

    @property
    def ended(self) -> list[tuple[str, str]]:
        """Which tasks have ended, and how."""
        return [(event.task_id, event.result) for event in self.told.of(TaskEnded)]

    @property
    def held(self) -> list[str]:
        """Which tasks hold a slot."""
        return [task for one in self.relay.standing() for task in one.tasks]
