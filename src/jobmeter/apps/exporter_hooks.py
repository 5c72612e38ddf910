"""The hooks socket of `jobmeter exporter`, over what it shows."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from jobmeter.collector.log import Log
from jobmeter.config.exporter import ExporterSettings

if TYPE_CHECKING:
    from jobmeter.exporter.announced import Announcements
    from jobmeter.exporter.container import Row
    from jobmeter.exporter.sampler import Sampler

Life = Callable[[], AbstractAsyncContextManager[None]]


@contextmanager
def hooked(
    life: Life,
    settings: ExporterSettings,
    rows: "Callable[[], Sequence[Row]]",
    sampler: "Sampler",
    announced: "Announcements",
    log: Log,
) -> Iterator[Life]:
    """The ``life`` of the exporter, with its hooks if they are wanted. Raises JobmeterError where that cannot be."""
    if settings.hooks is None:
        yield life
        return
    from jobmeter.exporter.hooks import ExporterHooks
    from jobmeter.ops.hooks.door import hook_socket

    hooks = ExporterHooks(rows, sampler.sample, announced, log, root=settings.proc_path)
    with hook_socket(settings.hooks, settings.hooks_place) as listening:

        @asynccontextmanager
        async def both() -> AsyncIterator[None]:
            async with life(), hooks.life(listening):
                yield

        yield both
