"""The daemon: its forges, its metrics listener, its life and the stages of its end."""

import asyncio
import gc
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple, Self

from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from jobmeter.gateway.figures.runners import short_name
from jobmeter.gateway.gate import Check, Gate
from jobmeter.gateway.polling.shutdown import Shutdown
from jobmeter.gateway.port import STILL_ASKED, Front, RunnerState
from jobmeter.ops.connection import DEFAULT_BOUNDS, Bounds
from jobmeter.ops.health import Health
from jobmeter.ops.log import FullLog
from jobmeter.ops.runtime import runtime_observed
from jobmeter.ops.serving import answering
from jobmeter.ops.tls import Certificate

READY_GRACE_SECONDS = 30.0
"""As Gitea's runner: a forge that fails for a moment is no reason to be taken out of service."""
_AGAIN_SECONDS = 5.0
_OBJECTS_BETWEEN_COLLECTIONS = 200_000
"""A request under way is some 100 of them and leaves no circles; a look for those stops all else for milliseconds."""
_RUN_ON = "they run on, and the next start takes them up"
Work = Callable[[], Awaitable[None]]


class Listener(NamedTuple):
    """Where something is answered."""

    application: ASGIApp
    socket: socket.socket
    bounds: Bounds = DEFAULT_BOUNDS
    certificate: Certificate | None = None


class Gateway:
    """Stands between runners and ``fronts``, by the names of their forges, from ``run`` on.

    While one of the ``checks`` is in trouble nothing is fetched. At the end tasks that run have ``patience_seconds`` to
    finish; those that are left then the forge is told to be cancelled if this ``cancels``.
    """

    def __init__(
        self,
        fronts: Mapping[str, Front],
        checks: Sequence[Check],
        log: FullLog,
        *,
        check_seconds: float,
        patience_seconds: float,
        cancels: bool = False,
    ) -> None:
        self._fronts = fronts
        self._stopping = False
        self._log = log
        self._patience_seconds = patience_seconds
        self._cancels = cancels
        self.gate = Gate(checks, log, check_seconds, lambda why: self._settle())
        self.health = Health(self._trouble, READY_GRACE_SECONDS)

    async def run(
        self,
        listeners: Sequence[Listener],
        registry: CollectorRegistry,
        started: Callable[[], None],
        works: Sequence[Work] = (),
    ) -> bool:
        """Answer until the end that SIGTERM or SIGINT begins; a second one hurries it.

        ``works`` go on in the background meanwhile, and begin again when they fail.
        False if something goes on that cannot be cancelled: then the process must be left without waiting for it.
        """
        async with AsyncExitStack() as stack:
            signals = stack.enter_context(_Signals())
            gc.freeze()  # What was imported stays; there is no need to look at it for garbage again and again.
            gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
            stack.enter_context(runtime_observed(registry))
            for front in self._fronts.values():
                await stack.enter_async_context(front.life())
            await stack.enter_async_context(self._working((self.gate.watch, *works)))
            for one in listeners:
                await stack.enter_async_context(
                    answering(one.application, one.socket, self._log, one.bounds, certificate=one.certificate)
                )
            started()
            await signals.first.wait()
            ended = await self._end(signals)
            if not ended:
                stack.pop_all()  # What is closed in order may wait for what does not end.
        return ended

    async def _end(self, signals: "_Signals") -> bool:
        self.health.stopping()
        self._stopping = True
        self._settle()
        self._tell_still_asked()
        for front in self._fronts.values():
            front.stop()
        pollers = [poller for front in self._fronts.values() for poller in front.pollers]
        shutdown = Shutdown(
            pollers,
            self._log,
            patience_seconds=self._patience_seconds,
            cancel=self._cancel_tasks if self._cancels else None,
            left=self._tell_left,
        )
        signals.again = shutdown.hurry
        if count := sum(len(poller.held) for poller in pollers):
            self._log.info(
                "the gateway stops when the running jobs have ended",
                count=count,
                patience_seconds=self._patience_seconds,
            )
        else:
            self._log.info("the gateway stops; no job is running")
        return await shutdown.run()

    def _tell_still_asked(self) -> None:
        for name, front in self._fronts.items():
            runners = [_called(one) for one in front.standing() if one.standing == "fetching"]
            if runners:
                self._log.info(STILL_ASKED, forge=name, runners=runners)

    def _tell_left(self) -> None:
        """Of each runner the jobs that are waited for no more."""
        become = "the forge is told that they are cancelled" if self._cancels else _RUN_ON
        for name, front in self._fronts.items():
            for one in front.standing():
                if one.tasks:
                    self._log.warn(
                        f"jobs are still running and are waited for no more: {become}",
                        forge=name,
                        runner=_called(one),
                        count=len(one.tasks),
                        tasks=list(one.tasks),
                    )

    async def _cancel_tasks(self) -> None:
        await asyncio.gather(*(front.cancel_tasks() for front in self._fronts.values()))

    def _settle(self) -> None:
        """Whether anything is fetched."""
        for front in self._fronts.values():
            front.pause(self._stopping or self.gate.why is not None)

    @asynccontextmanager
    async def _working(self, works: Sequence[Work]) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._kept_going(work)) for work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _kept_going(self, work: Work) -> None:
        """Do it to its end; what fails is told and begun again after a while."""
        while True:
            try:
                return await work()
            except Exception as error:
                self._log.warn(
                    "work in the background failed and begins again",
                    error=type(error).__name__,
                    in_seconds=_AGAIN_SECONDS,
                )
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _trouble(self) -> str | None:
        if self.gate.why is not None:
            return f"nothing is fetched: {self.gate.why}"
        return "; ".join(self._troubles()) or None

    def _troubles(self) -> Iterator[str]:
        """A sentence on each forge that none of its runners can ask."""
        for name, front in self._fronts.items():
            troubles = [_trouble_of(runner) for runner in front.standing()]
            if troubles and all(troubles):
                yield f"{name}: {troubles[0]}"


def _called(runner: RunnerState) -> str:
    """Its name, as its series have it."""
    return runner.name or short_name(runner.key)


def _trouble_of(runner: RunnerState) -> str | None:
    if runner.unregistered is not None:
        return f"a runner is no longer registered: {runner.unregistered}"
    return runner.trouble


class _Signals:
    """The first signal to end, and what is done at each later one; to be entered where an event loop runs."""

    _NUMBERS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.again: Callable[[], None] = lambda: None

    def __enter__(self) -> Self:
        for number in self._NUMBERS:
            asyncio.get_running_loop().add_signal_handler(number, self._come)
        return self

    def __exit__(self, *_: object) -> None:
        for number in self._NUMBERS:
            asyncio.get_running_loop().remove_signal_handler(number)

    def _come(self) -> None:
        if self.first.is_set():
            self.again()
        self.first.set()
