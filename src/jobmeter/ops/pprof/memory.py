"""What takes the memory: the blocks that Python gives out, by the place that asked for them.

`tracemalloc` knows of a block only if it is on when the block is made, and forgets it when it is freed. It costs time
and memory with every block, so it is on only while someone asks, unless it is on all the time (PYTHONTRACEMALLOC).
"""

import gc
import threading
import time
import tracemalloc
from collections.abc import Iterable
from typing import NamedTuple

from jobmeter.model.errors import JobmeterError
from jobmeter.ops.pprof.places import Places
from jobmeter.ops.pprof.profile import Profile, Quantity, Sample

DEPTH = 32
"""So many frames of a stack are kept, the innermost ones."""
SLICE_SECONDS = 0.1
_INUSE = (Quantity("inuse_objects", "count"), Quantity("inuse_space", "bytes"))
_ALLOC = (Quantity("alloc_objects", "count"), Quantity("alloc_space", "bytes"))


class TracingError(JobmeterError):
    """Blocks cannot be traced now; the message says why."""


class Blocks(NamedTuple):
    """What was found of one stack."""

    number: int
    size: int


def heap(seconds: float, stop: threading.Event, *, collect: bool = False) -> Profile:
    """The blocks in use that were made in so many seconds from now, or until the event is set.

    Where tracemalloc is on already, the blocks made since it is, and nobody waits. ``collect``: garbage is
    collected before they are looked at.
    """
    begun_ns = time.time_ns()
    if tracemalloc.is_tracing():
        said = "Blocks in use that were made since tracemalloc was started; those from before are not known."
        return _profile(_INUSE, _found(collect), begun_ns, said)
    tracemalloc.start(DEPTH)
    try:
        stop.wait(seconds)
        found = _found(collect)
    finally:
        tracemalloc.stop()
    said = (
        f"Blocks in use that were made in {seconds:g} s; what is older is not known. "
        "PYTHONTRACEMALLOC=1 lets them be known from the start of the process."
    )
    return _profile(_INUSE, found, begun_ns, said)


def allocs(seconds: float, stop: threading.Event) -> Profile:
    """The blocks made in so many seconds from now, or until the event is set: a lower bound.

    The time is cut into slices of 0.1 s; a block counts if it lives at the end of the slice in which it was made.
    Raises TracingError when tracemalloc is on already: what it knows would be lost.
    """
    if tracemalloc.is_tracing():
        raise TracingError(
            "tracemalloc is on already, and allocs would make it forget what it knows; ask for heap."
        )
    begun_ns, until = time.time_ns(), time.monotonic() + seconds
    totals: dict[tracemalloc.Traceback, Blocks] = {}
    tracemalloc.start(DEPTH)
    try:
        while (left := until - time.monotonic()) > 0 and not stop.is_set():
            tracemalloc.clear_traces()
            stop.wait(min(left, SLICE_SECONDS))
            for stack, blocks in _found(collect=False).items():
                before = totals.get(stack, Blocks(0, 0))
                totals[stack] = Blocks(before.number + blocks.number, before.size + blocks.size)
    finally:
        tracemalloc.stop()
    said = f"Blocks that lived at the end of the {SLICE_SECONDS:g} s in which they were made: a lower bound."
    return _profile(_ALLOC, totals, begun_ns, said)


def _found(collect: bool) -> dict[tracemalloc.Traceback, Blocks]:
    if collect:
        gc.collect()
    statistics = tracemalloc.take_snapshot().statistics("traceback")
    return {one.traceback: Blocks(one.count, one.size) for one in statistics}


def _profile(
    quantities: tuple[Quantity, ...],
    found: dict[tracemalloc.Traceback, Blocks],
    begun_ns: int,
    said: str,
) -> Profile:
    places = Places(_files(found))
    samples = [
        Sample(tuple(places.frame(one.filename, one.lineno) for one in reversed(stack)), blocks)
        for stack, blocks in found.items()
    ]
    duration_ns = time.time_ns() - begun_ns
    return Profile(
        quantities, samples, begun_ns, duration_ns, quantities[1].type, (said,), Quantity("space", "bytes"), 1
    )


def _files(stacks: Iterable[tracemalloc.Traceback]) -> set[str]:
    return {frame.filename for stack in stacks for frame in stack}
