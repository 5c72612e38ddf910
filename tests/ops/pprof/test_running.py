"""All threads and tasks, each with its stack."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

from jobmeter.ops.pprof.profile import encode
from jobmeter.ops.pprof.running import Snapshot
from tests.ops.pprof.reading import read, samples, top


async def outer(event: asyncio.Event) -> None:
    async for _ in numbers(event):
        pass


async def numbers(event: asyncio.Event) -> AsyncIterator[int]:
    yield 1
    await event.wait()


def taken() -> Snapshot:
    """With two equal tasks of a name each, and a thread that waits."""
    over = threading.Event()

    def idle() -> None:
        over.wait()

    async def main() -> Snapshot:
        event = asyncio.Event()
        tasks = [asyncio.create_task(outer(event), name=f"listener-{number}") for number in range(2)]
        await asyncio.sleep(0)
        try:
            return Snapshot()
        finally:
            event.set()
            await asyncio.gather(*tasks)

    thread = threading.Thread(target=idle, name="idler")
    thread.start()
    try:
        return asyncio.run(main())
    finally:
        over.set()
        thread.join()


def test_a_profile_counts_equal_stacks() -> None:
    """Of a task down to where it waits, of a thread as it is; the loop's own thread is there."""
    profile = encode(taken().profile())
    found = {one.stack[:3]: (one.values, one.labels["kind"]) for one in samples(profile)}
    assert found["Event.wait", "numbers", "outer"] == ((2,), "task")
    assert any("idle" in name for stack, (_, kind) in found.items() if kind == "thread" for name in stack)
    assert any("Snapshot" in stack[0] for stack, (_, kind) in found.items() if kind == "thread")
    assert top(profile)[0] == "Event.wait"
    assert list(read(profile).string_table).count("goroutine") == 1


def test_as_text_equal_stacks_are_counted() -> None:
    """The most first, with files and lines."""
    lines = taken().grouped().splitlines()
    assert lines[0].startswith("goroutine profile: total ")
    assert lines[1] == "2 @ task"
    assert lines[2].startswith("#\tEvent.wait\t")
    assert lines[3].startswith(f"#\tnumbers\t{__file__}:")


def test_as_text_each_has_its_name() -> None:
    """And says which one runs."""
    blocks = taken().listed().split("\n\n")
    heads = [block.splitlines()[0] for block in blocks]
    assert "thread MainThread [runs]:" in heads
    assert "thread idler [runs or waits]:" in heads
    assert {"task listener-0 [waits]:", "task listener-1 [waits]:"} <= set(heads)
    listener = next(block for block in blocks if block.startswith("task listener-0"))
    assert listener.splitlines()[3:5] == [
        "numbers(...)", f"\t{__file__}:{numbers.__code__.co_firstlineno + 2}",
    ]  # fmt: skip
