"""Windows hosts whose containers `jobmeter exporter` shows too: their engines are asked while it lives."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

from jobmeter.apps.extras import required
from jobmeter.collector.log import Log
from jobmeter.config.exporter import ExporterSettings

if TYPE_CHECKING:
    from jobmeter.exporter.announced import Announcements
    from jobmeter.exporter.elsewhere import Elsewhere
    from jobmeter.exporter.figures import EngineState
    from jobmeter.exporter.totals import Totals
    from jobmeter.exporter.windows.address import Engine
    from jobmeter.exporter.windows.client import EngineClient
    from jobmeter.exporter.windows.host import WindowsHost

Life = Callable[[], AbstractAsyncContextManager[None]]
_MISSED_ROUNDS = 3
_ON_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def windows_machines(settings: ExporterSettings, totals: "Totals") -> "dict[str, Elsewhere]":
    """What is shown of each Windows host, by its name."""
    from jobmeter.exporter.elsewhere import Elsewhere

    grace = max(settings.linger, _MISSED_ROUNDS * settings.interval)
    return {
        engine.name: Elsewhere(totals, linger_seconds=settings.linger, grace_seconds=grace)
        for engine in settings.windows_engine
    }


def windows_hosts(
    settings: ExporterSettings, shown: "Mapping[str, Elsewhere]", announced: "Announcements", log: Log
) -> "list[WindowsHost]":
    """To be followed. Raises UsageError where a file of theirs cannot be used, MissingExtra."""
    if not settings.windows_engine:
        return []
    with required("windows"):
        from jobmeter.exporter.windows.client import EngineClient
    from jobmeter.exporter.windows.address import client_context
    from jobmeter.exporter.windows.host import WindowsHost

    def opener(engine: "Engine") -> "Callable[[], EngineClient]":
        """Its certificates may have changed since it was asked last."""
        return lambda: EngineClient(engine, client_context(engine))

    for engine in settings.windows_engine:
        client_context(engine)
        if engine.ca is None and engine.host not in _ON_LOOPBACK:
            log.warn(
                "an engine is asked without TLS: whoever reaches its address RULES that machine; give it certificates, "
                "and their authority behind its address as ;ca=",
                engine=engine.name,
                at=engine.address,
            )
    return [
        WindowsHost(
            engine, opener(engine), shown[engine.name], log, interval_seconds=settings.interval, announced=announced
        )
        for engine in settings.windows_engine
    ]  # fmt: skip


def with_windows(life: Life, hosts: "Sequence[WindowsHost]") -> Life:
    """The ``life`` of the exporter, in which these hosts are followed."""
    if not hosts:
        return life

    @asynccontextmanager
    async def both() -> AsyncIterator[None]:
        async with life():
            tasks = [asyncio.create_task(host.follow()) for host in hosts]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    return both


def engine_states(hosts: "Sequence[WindowsHost]") -> "Iterator[EngineState]":
    """Whether each engine answers."""
    from jobmeter.exporter.figures import EngineState
    from jobmeter.exporter.windows.answers import ENGINE

    for host in hosts:
        yield EngineState(ENGINE, host.address, host.up)
