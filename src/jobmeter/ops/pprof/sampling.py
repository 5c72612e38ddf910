"""Where the threads are, looked at a hundred times a second: CPU by clocks of CPU time, presence by one of wall time.

Timers of the kernel send signals to the process, and Python runs their handlers in the main thread between two
instructions of what that does: so the event loop, which runs there, is seen where it is. A thread that only
samples does not see that: it is let run when the loop gives up the interpreter, which is in `select` (with
callbacks of up to 5 ms, `select` was given all CPU time of a loop that was busy for 99 % of the time).

*CPU of the main thread* (SIGVTALRM, a timer of its own): whenever it has used another 10 ms, it is given them.

Where it has run for 90 % of the time since the last look at the wall time, it is given its CPU time then instead:
each signal wakes the loop once more, and costs more by that than by the look.

*Wall* (SIGALRM, ITIMER_REAL): every 10 ms each thread is given the time since the last time; where it is, is
looked up only when it has used CPU time in between.

*CPU of the others* (then, too): a thread is given all that it has used since it was given some before, if its own
clock shows that it runs while it is looked at, outside of Python, or that it has run for half of the time since the
last look. Who has used CPU time, but never so, is given it in the end, where it was seen last.

So the sum is what was used. The sampling's own time is left out. What remains of the process' CPU time was used by
threads that run no Python, or by some that ended before they were looked at: it is given to `NATIVE`.
"""

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from types import FrameType

from jobmeter.model.errors import JobmeterError
from jobmeter.ops.pprof.cputimer import ThreadCpuTimer
from jobmeter.ops.pprof.profile import Frame, Profile, Quantity, Sample
from jobmeter.ops.pprof.record import QUANTITIES, Record
from jobmeter.ops.pprof.stacks import Stacks
from jobmeter.ops.pprof.threads import SampledThread, Threads

PERIOD_NS = 10_000_000
NATIVE = "[threads without Python]"
_BUSY = 0.9
_LAST_SIGNALS_SECONDS = 0.02
_SIGNALS = (signal.SIGVTALRM, signal.SIGALRM)
_Handler = Callable[[FrameType | None, int], None]


class SamplingError(JobmeterError):
    """The process cannot be sampled now; the message says why."""


class Sampling:
    """One sampling of the whole process into a record, while the event loop runs in the main thread."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._stacks = Stacks()
        self._threads = Threads()
        self._inside = False
        self._failure: Exception | None = None
        self._own_ns = self._given_ns = self._native_ns = 0
        self._time_ns, self._begun_ns, self._process_ns = time.time_ns(), _now(), time.process_time_ns()
        self._walled_ns = self._ended_ns = self._begun_ns
        self._timer: ThreadCpuTimer | None = None

    async def run(self, seconds: float, until: asyncio.Future[None]) -> None:
        """Sample for so long, or until the future is done. Raises SamplingError when it cannot be done."""
        if threading.current_thread() is not threading.main_thread():
            raise SamplingError("Only a daemon whose event loop runs in the main thread can be sampled.")
        if any(signal.getsignal(number) is not signal.SIG_DFL for number in _SIGNALS):
            raise SamplingError("Something else in this process uses the signals that sampling needs.")
        try:
            self._begin()
            await asyncio.wait([until], timeout=seconds)
        finally:
            await self._end()
        if self._failure is not None:
            raise self._failure

    def profile(self) -> Profile:
        """What was found; names are looked up now, which another thread may do."""
        samples = list(self._record.samples(self._stacks))
        if self._native_ns > 0:
            samples.append(Sample((Frame(NATIVE, ""),), (0, self._native_ns, 0)))
        return Profile(
            QUANTITIES, samples, self._time_ns, self._ended_ns - self._begun_ns, "cpu",
            (f"The sampling itself used {self._own_ns / 1e6:.1f} ms of CPU time, which is left out.",),
            Quantity("cpu", "nanoseconds"), PERIOD_NS,
        )  # fmt: skip

    def _begin(self) -> None:
        for look in self._threads.look(sys._current_frames()):
            look.thread.counted_ns = look.cpu_ns or 0
        handlers: tuple[_Handler, ...] = (self._on_main_cpu, self._on_wall)
        for number, handler in zip(_SIGNALS, handlers, strict=True):
            signal.signal(number, partial(self._measured, handler))
            signal.siginterrupt(number, False)
        try:
            self._timer = ThreadCpuTimer(signal.SIGVTALRM, PERIOD_NS)
        except OSError as error:
            raise SamplingError(f"This system has no timers on the CPU time of a thread: {error}.") from None
        signal.setitimer(signal.ITIMER_REAL, PERIOD_NS / 1e9, PERIOD_NS / 1e9)

    async def _end(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.stop()
        signal.setitimer(signal.ITIMER_REAL, 0)
        try:
            self._give_the_rest()
            await asyncio.sleep(_LAST_SIGNALS_SECONDS)  # A signal that is on its way finds its handler.
        finally:
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)

    # It runs amid whatever the daemon does, so that nothing may be raised here; one does not interrupt the other.
    def _measured(self, handler: _Handler, _: int, frame: FrameType | None) -> None:
        if self._inside or self._timer is None or self._failure is not None:
            return
        self._inside = True
        entered_ns = time.thread_time_ns()
        try:
            handler(frame, entered_ns)
            used_ns = time.thread_time_ns() - entered_ns
            self._own_ns += used_ns
            self._threads.main.counted_ns += used_ns
        except Exception as error:
            self._failure = error
        self._inside = False

    def _on_main_cpu(self, frame: FrameType | None, entered_ns: int) -> None:
        main = self._threads.main
        main.take(entered_ns)
        main.stack = self._stacks.of(frame)
        self._give(main)

    def _on_wall(self, frame: FrameType | None, entered_ns: int) -> None:
        frames = sys._current_frames()
        wall_ns = _now() - self._walled_ns
        for ident, thread, cpu_ns in self._threads.look(frames):
            if thread is self._threads.main:
                thread.stack = self._stacks.of(frame)
                if thread.take(entered_ns) > _BUSY * wall_ns and self._timer is not None:
                    self._give(thread)
                    self._timer.put_off(2 * PERIOD_NS)
            elif cpu_ns is None or cpu_ns != thread.walked_ns:
                thread.stack, thread.walked_ns = self._stacks.of(frames[ident]), cpu_ns
                if thread.take(cpu_ns) > wall_ns / 2 or thread.has_run_since(cpu_ns):
                    self._give(thread)
        self._give_wall()

    def _give_wall(self) -> None:
        now_ns = _now()
        for thread in self._threads.living():
            if thread.stack:
                at_ns, wall_ns = self._walled_ns - self._begun_ns, now_ns - self._walled_ns
                self._record.add(thread, thread.stack, at_ns, wall_ns=wall_ns)
        self._walled_ns = now_ns

    def _give(self, thread: SampledThread) -> None:
        if thread.carried_ns == 0:
            return
        self._record.add(thread, thread.stack, _now() - self._begun_ns, cpu_ns=thread.carried_ns)
        self._given_ns += thread.carried_ns
        thread.carried_ns = 0

    def _give_the_rest(self) -> None:
        for look in self._threads.look(sys._current_frames()):
            look.thread.take(look.cpu_ns)
        process_ns = time.process_time_ns() - self._process_ns
        for thread in (*self._threads.living(), *self._threads.ended):
            if thread.stack:
                self._give(thread)
        self._give_wall()
        self._native_ns = process_ns - self._given_ns - self._own_ns
        self._ended_ns = _now()


def _now() -> int:
    return time.monotonic_ns()
