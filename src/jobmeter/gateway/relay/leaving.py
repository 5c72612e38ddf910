"""Work for a runner that may close its connection before it is answered."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from jobmeter.gateway.relay.client import Client, Gone

_WATCHED_AFTER_SECONDS = 0.05
"""Most are answered sooner, and the tasks of watching would cost more than to understand what a runner says."""


class _Watch:
    """Breaks off the task in which it is made when the runner has gone, from ``begin`` to ``end``."""

    def __init__(self, client: Client, work: asyncio.Task[Any]) -> None:
        self._client = client
        self._work = work
        self._watching: asyncio.Task[None] | None = None
        self.broke_off = False

    def begin(self) -> None:
        """Look from now on."""
        self._watching = asyncio.create_task(self._watch())

    def end(self) -> None:
        """Look no more, and leave the task as it was."""
        if self._watching is not None:
            self._watching.cancel()
        if self.broke_off:
            self._work.uncancel()

    async def _watch(self) -> None:
        await self._client.gone()
        self.broke_off = True
        self._work.cancel()


async def unless_gone(client: Client, work: Coroutine[Any, Any, None]) -> None:
    """Do the work unless the runner closes its connection first, which breaks it off."""
    doing = asyncio.current_task()
    assert doing is not None
    watch = _Watch(client, doing)
    timer = asyncio.get_running_loop().call_later(_WATCHED_AFTER_SECONDS, watch.begin)
    try:
        await work
    except Gone:
        pass
    except asyncio.CancelledError:
        if doing.cancelling() > watch.broke_off:
            raise  # Somebody else wants it to end too.
    finally:
        timer.cancel()
        watch.end()
