"""What takes the memory, by who asked for it."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Callable
from importlib import _bootstrap

import pytest

from jobmeter.ops.pprof.memory import TracingError, allocs, heap
from jobmeter.ops.pprof.places import UNKNOWN, Places
from jobmeter.ops.pprof.profile import Profile, encode
from tests.ops.pprof.reading import go_pprof, samples, top

SECONDS = 0.5


def hold(held: list[bytearray]) -> None:
    held.append(bytearray(3_000_000))


def drop() -> None:
    bytearray(50_000)


def while_looking(take: Callable[..., Profile], work: Callable[[threading.Event], None]) -> Profile:
    """The profile of a time in which another thread works until it is told to stop."""
    over = threading.Event()
    thread = threading.Thread(target=work, args=(over,))
    thread.start()
    try:
        return take(SECONDS, threading.Event())
    finally:
        over.set()
        thread.join()


def bytes_of(profile: Profile, function: str) -> int:
    return sum(one.values[1] for one in samples(encode(profile)) if function in one.stack)


def test_what_is_in_use_is_shown_with_who_asked_for_it() -> None:
    """What is older is not, nor what was given back; the profile says so, and nothing is traced afterwards."""
    before: list[bytearray] = []
    hold(before)
    held: list[bytearray] = []

    def work(over: threading.Event) -> None:
        over.wait(SECONDS / 5)
        hold(held)
        while not over.wait(0.01):
            drop()

    profile = while_looking(heap, work)
    assert 3_000_000 <= bytes_of(profile, "hold") < 3_010_000
    assert bytes_of(profile, "drop") < 100_000
    assert top(encode(profile))[0] == "hold"
    assert top(encode(profile), "-sample_index=inuse_objects")
    assert "what is older is not known" in go_pprof(encode(profile), "-comments")
    assert not tracemalloc.is_tracing()


def test_what_was_asked_for_and_given_back_is_a_lower_bound() -> None:
    """It counts when it lived at the end of a slice."""

    def work(over: threading.Event) -> None:
        held: list[bytearray] = []
        while not over.wait(0.01):
            hold(held)
            if len(held) > 3:
                held.clear()

    profile = while_looking(allocs, work)
    assert bytes_of(profile, "hold") > 3_000_000
    assert top(encode(profile))[0] == "hold"
    assert "a lower bound" in go_pprof(encode(profile), "-comments")
    assert not tracemalloc.is_tracing()


def test_tracing_that_is_on_already_goes_on() -> None:
    """Then heap knows all since its start and does not wait; allocs would spoil it, and says so."""
    tracemalloc.start()
    try:
        held: list[bytearray] = []
        hold(held)
        profile = heap(1000.0, threading.Event(), collect=True)
        assert bytes_of(profile, "hold") >= 3_000_000
        with pytest.raises(TracingError, match="ask for heap"):
            allocs(1000.0, threading.Event())
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("take", [heap, allocs])
def test_it_ends_when_it_is_told_to(take) -> None:
    """With what there is until then."""
    stop = threading.Event()
    stop.set()
    take(1000.0, stop)
    assert not tracemalloc.is_tracing()


class Room:
    """Its lines belong to its functions, and the rest to the body of the class."""

    AREA = 3

    def make(self):
        def inner():
            return 1

        return inner

    short = lambda self: 1  # noqa: E731


def test_a_line_belongs_to_the_innermost_function() -> None:
    """The line that begins a function is of who makes it; what has no file is not known."""
    begin = Room.make.__code__.co_firstlineno
    places = Places({__file__, "/nowhere.py", "<frozen importlib._bootstrap>"})
    found = {line - begin: places.frame(__file__, line).function for line in range(begin - 2, begin + 8)}
    assert found[-2] == found[0] == "Room"
    assert found[1] == found[4] == "Room.make"
    assert found[2] == "Room.make.<locals>.inner"
    assert found[6] == "Room.<lambda>"
    assert places.frame("/nowhere.py", 3).function == UNKNOWN
    assert places.frame(__file__, 10**6).function == UNKNOWN
    *_, (_, _, line) = _bootstrap._find_and_load.__code__.co_lines()  # type: ignore[attr-defined]
    assert places.frame("<frozen importlib._bootstrap>", line).function == "_find_and_load"
