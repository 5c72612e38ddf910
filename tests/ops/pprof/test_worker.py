"""Work in a thread that ends with it."""

from __future__ import annotations

import asyncio
import os
import threading

from jobmeter.ops.pprof.worker import in_thread


def test_the_kernels_thread_has_ended_with_the_work() -> None:
    """Not only Python's: what it frees as its last would race with tracemalloc."""

    async def left() -> int:
        return sum([await in_thread(threading.get_native_id) in _tasks() for _ in range(2000)])

    assert asyncio.run(left()) == 0


def _tasks() -> set[int]:
    return set(map(int, os.listdir("/proc/self/task")))
