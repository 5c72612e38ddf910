"""What there is that runs or waits: the threads, and the tasks of one event loop, each with its stack."""

import asyncio
import gc
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any, NamedTuple

from jobmeter.ops.pprof.profile import Frame, Label, Profile, Quantity, Sample
from jobmeter.ops.pprof.stacks import MAX_DEPTH, Stack, Stacks

_WITH_FRAMES = (CoroutineType, GeneratorType, AsyncGeneratorType)


class Running(NamedTuple):
    """A thread or a task; ``state`` in words."""

    kind: str
    name: str
    state: str
    stack: Stack


class Snapshot:
    """All threads, and all tasks of the running loop, now; names are looked up later, which another thread may do."""

    def __init__(self) -> None:
        self._time_ns = time.time_ns()
        self._stacks = Stacks()
        self._found = [*self._threads(), *self._tasks()]

    def _threads(self) -> Iterator[Running]:
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        for ident, frame in sys._current_frames().items():
            here = ident == threading.get_ident()
            state = "runs" if here else "runs or waits"
            yield Running("thread", names.get(ident, str(ident)), state, self._stacks.of(frame))

    def _tasks(self) -> Iterator[Running]:
        current = asyncio.current_task()
        for task in asyncio.all_tasks():
            state = "runs: it is in the stack of the loop's thread" if task is current else "waits"
            yield Running("task", task.get_name(), state, self._stacks.of_frames(_awaiting(task.get_coro())))

    def profile(self) -> Profile:
        """How many have each stack; the label `kind` is thread or task."""
        totals = Counter((one.kind, one.stack) for one in self._found)
        samples = [
            Sample(self._stacks.frames(stack), (count,), (Label("kind", kind),))
            for (kind, stack), count in totals.items()
        ]
        kind = Quantity("goroutine", "count")
        said = "Threads of the process, and tasks of its event loop."
        return Profile((kind,), samples, self._time_ns, 0, kind.type, (said,), kind, 1)

    def grouped(self) -> str:
        """As text: how many have each stack, the most first."""
        totals = Counter((one.kind, one.stack) for one in self._found)
        text = [f"goroutine profile: total {len(self._found)}\n"]
        for (kind, stack), count in totals.most_common():
            text.append(f"{count} @ {kind}\n")
            text += (
                f"#\t{frame.function}\t{frame.file}:{frame.line}\n" for frame in self._stacks.frames(stack)
            )
            text.append("\n")
        return "".join(text)

    def listed(self) -> str:
        """As text: each with its name and its stack."""
        return "\n".join(
            f"{one.kind} {one.name} [{one.state}]:\n{_listed(self._stacks.frames(one.stack))}"
            for one in self._found
        )


def _listed(frames: Sequence[Frame]) -> str:
    return "".join(f"{frame.function}(...)\n\t{frame.file}:{frame.line}\n" for frame in frames)


def _awaiting(coroutine: Any) -> list[FrameType]:
    """The frames of a coroutine and of what it waits for, as far as that is Python; the innermost first."""
    found: list[FrameType] = []
    while coroutine is not None and len(found) < MAX_DEPTH:
        match coroutine:
            case CoroutineType():
                frame, coroutine = coroutine.cr_frame, coroutine.cr_await
            case GeneratorType():
                frame, coroutine = coroutine.gi_frame, coroutine.gi_yieldfrom
            case AsyncGeneratorType():
                frame, coroutine = coroutine.ag_frame, coroutine.ag_await
            case _:  # A step of an asynchronous generator, which names it to the garbage collector only.
                inner = (one for one in gc.get_referents(coroutine) if isinstance(one, _WITH_FRAMES))
                frame, coroutine = None, next(inner, None)
        if frame is not None:
            found.append(frame)
    return found[::-1]
