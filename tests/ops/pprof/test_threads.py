"""The other threads, looked at as seldom as will do."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from jobmeter.ops.pprof.stacks import Stacks
from jobmeter.ops.pprof.threads import Change, SampledThread, Threads


class Worker:
    """A thread that uses CPU time when it is told to."""

    def __init__(self) -> None:
        self._told, self.over = threading.Event(), False
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._run, name="worker")

    def _run(self) -> None:
        while not self.over:
            self._told.wait()
            self._told.clear()
            until = time.thread_time() + 0.002
            while time.thread_time() < until:
                pass
            self.done.set()

    def use_cpu_time(self) -> None:
        self.done.clear()
        self._told.set()
        self.done.wait()
        time.sleep(0.05)


@contextmanager
def working() -> Iterator[Worker]:
    worker = Worker()
    worker.thread.start()
    time.sleep(0.05)
    try:
        yield worker
    finally:
        worker.over = True
        worker.use_cpu_time()
        worker.thread.join()


def looked(threads: Threads, stacks: Stacks) -> tuple[list[Change], list[SampledThread]]:
    return threads.look(sys._current_frames(), stacks)


def test_a_thread_is_looked_up_when_it_has_used_cpu_time() -> None:
    """And at first; where it is, is in its stack, and how much it has used on its clock."""
    threads, stacks = Threads(), Stacks()
    with working() as worker:
        (first,), ended = looked(threads, stacks)
        assert (first.thread.name, first.runs, ended) == ("worker", False, [])
        assert any(frame.function == "Worker._run" for frame in stacks.frames(first.stack))
        assert looked(threads, stacks) == ([], [])
        worker.use_cpu_time()
        (second,), _ = looked(threads, stacks)
        assert second.thread is first.thread
        assert (second.cpu_ns or 0) >= (first.cpu_ns or 0) + 2_000_000
    assert looked(threads, stacks) == ([], [first.thread])
    assert list(threads.others()) == []


def test_a_thread_is_known_before_it_is_looked_up() -> None:
    """So that what it had used before can be told apart."""
    threads = Threads()
    with working() as worker:
        worker.use_cpu_time()
        assert threads.learn(sys._current_frames()) == []
        (other,) = threads.others()
        assert (other.cpu_ns() or 0) >= 2_000_000
        (change,), _ = looked(threads, Stacks())
        assert change.thread is other


def test_the_clock_of_a_thread_that_has_ended_says_nothing() -> None:
    """Nor one that nobody started by `threading`."""
    with working() as worker:
        sampled = SampledThread("worker", worker.thread.native_id)
        assert sampled.cpu_ns() is not None
    assert sampled.cpu_ns() is None
    assert SampledThread("foreign", None).cpu_ns() is None
