"""The threads of this process that run Python, and the CPU time of each."""

import threading
import time
from collections.abc import Iterable
from typing import NamedTuple

from jobmeter.ops.pprof.stacks import Stack


class SampledThread:
    """A thread, and what is known of it since the last look; CPU times in nanoseconds."""

    __slots__ = ("_clock", "carried_ns", "counted_ns", "name", "stack", "walked_ns")

    def __init__(self, name: str, native_id: int | None) -> None:
        self.name = name
        self._clock = None if native_id is None else cpu_clock(native_id)
        self.counted_ns = 0
        self.carried_ns = 0
        self.walked_ns: int | None = None
        self.stack: Stack = ()

    def cpu_ns(self) -> int | None:
        """CPU time it has used in its life; None for a thread that was not started by `threading`.

        Raises ProcessLookupError when it has ended.
        """
        if self._clock is None:
            return None
        try:
            return time.clock_gettime_ns(self._clock)
        except OSError:
            raise ProcessLookupError from None

    def take(self, cpu_ns: int | None) -> int:
        """Carry what it has used since it was last taken, up to this reading of its clock; that is returned."""
        if cpu_ns is None:
            return 0
        used_ns = max(cpu_ns - self.counted_ns, 0)
        self.counted_ns = cpu_ns
        self.carried_ns += used_ns
        return used_ns

    def has_run_since(self, cpu_ns: int | None) -> bool:
        """Whether its clock goes on while we look, from this reading."""
        try:
            return self.cpu_ns() != cpu_ns
        except ProcessLookupError:
            return False


class Look(NamedTuple):
    """A thread now; ``cpu_ns`` as ``SampledThread.cpu_ns``."""

    ident: int
    thread: SampledThread
    cpu_ns: int | None


class Threads:
    """All threads by the identifier that Python gives them, ``main`` among them; ``ended`` are no more."""

    def __init__(self) -> None:
        thread = threading.main_thread()
        self.main = SampledThread(thread.name, thread.native_id)
        self._known: dict[int, SampledThread] = {thread.ident or 0: self.main}
        self.ended: list[SampledThread] = []

    def look(self, idents: Iterable[int]) -> list[Look]:
        """The threads with these identifiers, which are all there are."""
        idents = list(idents)
        if self._known.keys() != set(idents):
            self._learn(idents)
        found = []
        for ident in idents:
            thread = self._known[ident]
            try:
                found.append(Look(ident, thread, thread.cpu_ns()))
            except ProcessLookupError:  # Its identifier may by now be that of another thread.
                self.ended.append(self._known.pop(ident))
        return found

    def living(self) -> Iterable[SampledThread]:
        """Those that were there at the last look."""
        return self._known.values()

    def _learn(self, idents: Iterable[int]) -> None:
        for ident in self._known.keys() - set(idents):
            self.ended.append(self._known.pop(ident))
        alive = {thread.ident: thread for thread in threading.enumerate()}
        for ident in set(idents) - self._known.keys():
            thread = alive.get(ident)
            self._known[ident] = (
                SampledThread(f"thread {ident}", None)
                if thread is None
                else SampledThread(thread.name, thread.native_id)
            )


def cpu_clock(native_id: int) -> int:
    """The number of the clock that counts the CPU time of a thread, as Linux makes it of the thread's number.

    pthread_getcpuclockid(3) gives the same, but may crash when the thread has just ended; a clock that does not
    exist any more is an error of clock_gettime(2).
    """
    return (~native_id << 3) | 6  # CPUCLOCK_PERTHREAD_MASK | CPUCLOCK_SCHED
