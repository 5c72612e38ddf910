"""The threads of this process that run Python, and the CPU time of each."""

import threading
import time
from collections.abc import Iterable, Mapping
from types import FrameType
from typing import NamedTuple

from jobmeter.ops.pprof.stacks import Stack, Stacks


class SampledThread:
    """A thread; ``clock`` counts its CPU time, and is None for one that was not started by `threading`."""

    __slots__ = ("clock", "name", "walked_ns")

    def __init__(self, name: str, native_id: int | None) -> None:
        self.name = name
        self.clock = None if native_id is None else cpu_clock(native_id)
        self.walked_ns: int | None = None

    def cpu_ns(self) -> int | None:
        """CPU time it has used in its life; None where it has no clock, or has ended."""
        if self.clock is None:
            return None
        try:
            return time.clock_gettime_ns(self.clock)
        except OSError:
            return None


class Change(NamedTuple):
    """A thread that is new, or has used CPU time since it was last looked at, or has no clock.

    ``runs`` says that its clock went on while it was looked at: it is outside of Python, where it needs no
    interpreter.
    """

    thread: SampledThread
    cpu_ns: int | None
    stack: Stack
    runs: bool


class Threads:
    """All threads by the identifier that Python gives them; ``main`` is the one that looks."""

    def __init__(self) -> None:
        thread = threading.main_thread()
        self.main = SampledThread(thread.name, thread.native_id)
        self._main_ident = thread.ident or 0
        self._others: dict[int, SampledThread] = {}
        self._idents: set[int] = set()

    def learn(self, idents: Iterable[int]) -> list[SampledThread]:
        """Take up who is new of the threads with these identifiers, which are all; who has ended is returned."""
        now = set(idents)
        ended = [self._others.pop(ident) for ident in self._others.keys() - now]
        alive = {thread.ident: thread for thread in threading.enumerate()}
        for ident in now - self._others.keys() - {self._main_ident}:
            thread = alive.get(ident)
            self._others[ident] = (
                SampledThread(f"thread {ident}", None)
                if thread is None
                else SampledThread(thread.name, thread.native_id)
            )
        self._idents = now
        return ended

    def look(
        self, frames: Mapping[int, FrameType], stacks: Stacks
    ) -> tuple[list[Change], list[SampledThread]]:
        """What has changed of the others, given the innermost frame of each thread, and who has ended."""
        changes: list[Change] = []
        ended: list[SampledThread] = []
        if frames.keys() != self._idents:
            ended = self.learn(frames)
        gone: list[int] = []
        for ident, thread in self._others.items():
            cpu_ns = thread.cpu_ns()
            if cpu_ns is None and thread.clock is not None:
                gone.append(ident)  # It may by now be the identifier of another thread.
            elif cpu_ns is None or cpu_ns != thread.walked_ns:
                thread.walked_ns = cpu_ns
                stack = stacks.of(frames[ident])
                changes.append(Change(thread, cpu_ns, stack, thread.cpu_ns() not in (cpu_ns, None)))
        for ident in gone:
            self._idents.discard(ident)
            ended.append(self._others.pop(ident))
        return changes, ended

    def others(self) -> Iterable[SampledThread]:
        """Those that were there at the last look, but the main one."""
        return self._others.values()


def cpu_clock(native_id: int) -> int:
    """The number of the clock that counts the CPU time of a thread, as Linux makes it of the thread's number.

    pthread_getcpuclockid(3) gives the same, but may crash when the thread has just ended; a clock that does not
    exist any more is an error of clock_gettime(2).
    """
    return (~native_id << 3) | 6  # CPUCLOCK_PERTHREAD_MASK | CPUCLOCK_SCHED
