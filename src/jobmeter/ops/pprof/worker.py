"""Work that would hold up the event loop, in a thread that ends with it."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")
_TASKS = Path("/proc/self/task")
_GONE_SECONDS = 0.0005


async def in_thread(work: Callable[[], Result], stop: threading.Event | None = None) -> Result:
    """What the work returns or raises. Who is cancelled sets the event, and waits until the work is over.

    The kernel's thread has ended too: what a thread frees as its last, it frees without the interpreter's lock, and
    Python crashes if tracemalloc is started or stopped at that moment (https://github.com/python/cpython/issues/131566).
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def finish(result: Result | None, error: BaseException | None) -> None:
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except BaseException as error:
            failure = error
        with suppress(RuntimeError):  # The loop is closed: nobody waits any more.
            loop.call_soon_threadsafe(finish, result, failure)

    thread = threading.Thread(target=run, name="pprof", daemon=True)
    thread.start()
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        if stop is not None:
            stop.set()
        await asyncio.wait([done])
        if not done.cancelled():
            done.exception()  # It has been looked at: there is nobody to tell.
        raise
    finally:
        thread.join()
        while (_TASKS / str(thread.native_id)).exists():
            await asyncio.sleep(_GONE_SECONDS)
