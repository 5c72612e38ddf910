"""Where the threads are, looked at once in 10 ms of CPU time, whoever uses it, and at least every 50 ms.

Timers of the kernel send signals to the process, and Python runs their handlers in the main thread between two
instructions of what that does: so the event loop, which runs there, is seen where it is. A thread that only
samples does not see that: it is let run when the loop gives up the interpreter, which is in `select` (with
callbacks of up to 5 ms, `select` was given all CPU time of a loop that was busy for 99 % of the time); and to take the
interpreter away from the loop costs three times as much as a signal.

SIGVTALRM comes whenever the main thread has used another 10 ms of CPU time. SIGALRM (ITIMER_REAL) is for the wall
time and for the other threads: it comes when these will have used another 10 ms, as far as can be foreseen, 10 to 50 ms
after the one before. Where one of them is, is looked up only when it has used CPU time since the last look.

A look is only noted down, and `accounts` tells later what all of them mean. The sum is what was used. The sampling's
own time is left out. What remains of the process' CPU time was used by threads that run no Python, or by some that
ended before they were looked at: it is given to `NATIVE`.
"""

import asyncio
import signal
import sys
import threading
import time
from types import FrameType

from jobmeter.model.errors import JobmeterError
from jobmeter.ops.pprof.accounts import Accounts, Look
from jobmeter.ops.pprof.cputimer import ThreadCpuTimer
from jobmeter.ops.pprof.profile import Frame, Profile, Quantity, Sample
from jobmeter.ops.pprof.record import QUANTITIES, Record
from jobmeter.ops.pprof.stacks import Stacks
from jobmeter.ops.pprof.threads import SampledThread, Threads

PERIOD_NS = 10_000_000
LONGEST_NS = 50_000_000
NATIVE = "[threads without Python]"
_LAST_SIGNALS_SECONDS = 0.02
_SIGNALS = (signal.SIGVTALRM, signal.SIGALRM)


class SamplingError(JobmeterError):
    """The process cannot be sampled now; the message says why."""


class Sampling:
    """One sampling of the whole process into a record, while the event loop runs in the main thread.

    Where all threads are is looked up every ``longest_ns`` at least.
    """

    def __init__(self, record: Record, longest_ns: int = LONGEST_NS) -> None:
        self._record = record
        self._longest_ns = longest_ns
        self._stacks = Stacks()
        self._threads = Threads()
        self._looks: list[Look] = []
        self._inside = False
        self._failure: Exception | None = None
        self._own_ns = self._walled_ns = self._others_ns = 0
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
        """What was found; it is worked out and names are looked up now, which another thread may do."""
        accounts = Accounts(self._record, self._threads.main, self._begun_clocks, self._begun_ns)
        for look in self._looks:
            accounts.add(look)
        accounts.close(self._ended_ns, self._ended_clocks)
        samples = list(self._record.samples(self._stacks))
        native_ns = self._process_ns - accounts.given_ns - self._own_ns
        if native_ns > 0:
            samples.append(Sample((Frame(NATIVE, ""),), (0, native_ns, 0)))
        return Profile(
            QUANTITIES, samples, self._time_ns, self._ended_ns - self._begun_ns, "cpu",
            (f"The sampling itself used {self._own_ns / 1e6:.1f} ms of CPU time, which is left out.",),
            Quantity("cpu", "nanoseconds"), PERIOD_NS,
        )  # fmt: skip

    def _begin(self) -> None:
        self._threads.learn(sys._current_frames())
        self._time_ns, self._begun_ns, self._process_ns = time.time_ns(), _now(), time.process_time_ns()
        self._begun_clocks = self._clocks()
        self._walled_ns, self._others_ns = self._begun_ns, self._process_ns - time.thread_time_ns()
        for number, handler in zip(_SIGNALS, (self._on_cpu, self._on_wall), strict=True):
            signal.signal(number, handler)
            signal.siginterrupt(number, False)
        try:
            self._timer = ThreadCpuTimer(signal.SIGVTALRM, PERIOD_NS)
        except OSError as error:
            raise SamplingError(f"This system has no timers on the CPU time of a thread: {error}.") from None
        self._look_after(PERIOD_NS)

    async def _end(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.stop()
        signal.setitimer(signal.ITIMER_REAL, 0)
        try:
            self._ended_clocks, self._ended_ns = self._clocks(), _now()
            self._process_ns = time.process_time_ns() - self._process_ns
            await asyncio.sleep(_LAST_SIGNALS_SECONDS)  # A signal that is on its way finds its handler.
        finally:
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)

    def _clocks(self) -> dict[SampledThread, int]:
        """The CPU time of each thread that has a clock, that of the main thread without the looks."""
        clocks = {self._threads.main: time.thread_time_ns() - self._own_ns}
        for thread in self._threads.others():
            cpu_ns = thread.cpu_ns()
            if cpu_ns is not None:
                clocks[thread] = cpu_ns
        return clocks

    # The handlers run amid whatever the daemon does, so that nothing may be raised here; one does not interrupt the
    # other. They do as little as they can: all that they touch has left the processor's caches since the last time.
    def _on_cpu(self, _: int, frame: FrameType | None) -> None:
        if self._inside or self._timer is None:
            return
        self._inside = True
        cpu_ns = time.thread_time_ns()
        try:
            self._looks.append(Look(_now(), cpu_ns - self._own_ns, self._stacks.of(frame), False))
        except Exception as error:
            self._failure = error
        self._own_ns += time.thread_time_ns() - cpu_ns
        self._inside = False

    def _on_wall(self, _: int, frame: FrameType | None) -> None:
        if self._inside or self._timer is None:
            return
        self._inside = True
        cpu_ns, now_ns = time.thread_time_ns(), _now()
        try:
            changes, ended = self._threads.look(sys._current_frames(), self._stacks)
            stack = self._stacks.of(frame)
            self._looks.append(Look(now_ns, cpu_ns - self._own_ns, stack, True, changes, ended))
            self._look_after(self._period_of_others(now_ns, time.process_time_ns() - time.thread_time_ns()))
        except Exception as error:
            self._failure = error
        self._own_ns += time.thread_time_ns() - cpu_ns
        self._inside = False

    def _period_of_others(self, now_ns: int, others_ns: int) -> int:
        """In which the other threads use 10 ms of CPU time, if they go on as they did since the last look."""
        used_ns, wall_ns = others_ns - self._others_ns, now_ns - self._walled_ns
        self._others_ns, self._walled_ns = others_ns, now_ns
        if used_ns * self._longest_ns <= PERIOD_NS * wall_ns:
            return self._longest_ns
        return max(PERIOD_NS * wall_ns // used_ns, PERIOD_NS)

    def _look_after(self, period_ns: int) -> None:
        # It comes again and again, since one that comes amid a look is passed over.
        signal.setitimer(signal.ITIMER_REAL, period_ns / 1e9, self._longest_ns / 1e9)


def _now() -> int:
    return time.monotonic_ns()
