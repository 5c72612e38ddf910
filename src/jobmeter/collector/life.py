"""From the first sample to the end record, whatever signal comes."""

import contextlib
import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType

from jobmeter.linux.oom_events import OomCounts, OomEvents
from jobmeter.metering.loop import EVENT, READABLE, Loop
from jobmeter.metering.meter import Meter
from jobmeter.metering.timetable import Timetable
from jobmeter.model.exits import Exit
from jobmeter.spool.recorder import Recorder
from jobmeter.supervise.marks import MarkListener

# A cgroup that kills in a storm must not make us sample in one.
_EVENT_TICKS_AT_LEAST_APART_SECONDS = 0.01
# The event of v1 comes before the kill: for so long its count is looked at, since the cgroup may go with it.
_LOOK_FOR_SECONDS = 0.2
_LOOK_EVERY_SECONDS = 0.002


class GraceOver(Exception):
    """The time to finish in is over."""


class Life:
    """Samples by the timetable, at marks and at OOM events, until SIGTERM or SIGINT."""

    def __init__(
        self, recorder: Recorder, interval: float, *, started: float, first: float, grace: float
    ) -> None:
        """``first`` is when the first tick is due, in seconds since the run's start (above 0 when resumed)."""
        self._recorder = recorder
        self._grace = grace
        self._timetable = Timetable(interval, first)
        self._loop = Loop(self._timetable, self._tick, started=started)
        self._marks: MarkListener | None = None
        self._events: dict[int, OomEvents] = {}
        self._counts: dict[int, OomCounts] = {}
        self._look_until: dict[int, float] = {}
        self._last_event_tick = 0.0
        self._meter: Meter | None = None
        # Until when all must be done, on the monotonic clock; infinite until the end has begun.
        self.deadline = math.inf

    @property
    def elapsed(self) -> float:
        """Seconds since the start of the run."""
        return self._loop.elapsed

    def hear_events(self, events: OomEvents) -> None:
        """Sample at once when a container's OOM event comes."""
        fd = events.fileno()
        self._events[fd] = events
        self._counts[fd] = events.before
        self._loop.watch(fd, lambda: self._on_event(fd), EVENT if events.priority else READABLE)

    def hear_end(self, fd: int, ended: Callable[[int], None]) -> None:
        """Call ``ended`` with a pidfd when its process has ended."""

        def forget_and_tell() -> None:
            self._loop.unwatch(fd)
            ended(fd)

        self._loop.watch(fd, forget_and_tell)

    def hear_marks(self, marks: MarkListener) -> None:
        """Record marks."""
        self._marks = marks
        self._loop.watch(marks.fileno(), self._on_marks)

    def run(self, meter: Meter, exit_: Callable[[], Exit]) -> None:
        """Sample until a signal comes, then finish within the grace period."""
        self._meter = meter
        with _signals(self._loop):
            self._loop.run()
            self._finish(meter, exit_)

    def _finish(self, meter: Meter, exit_: Callable[[], Exit]) -> None:
        self.deadline = time.monotonic() + self._grace
        signal.setitimer(signal.ITIMER_REAL, self._grace)
        try:
            now = self._loop.elapsed
            self._recorder.sample(meter.tick(now, now, self._timetable.late_ticks, final=True))
            self._recorder.end(now, exit_())
        except GraceOver:
            self._recorder.warn("The last sample took longer than the grace period and is missing.")
            self._recorder.end(self._loop.elapsed, exit_())
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _tick(self, elapsed: float, due: float, *, scan: bool = False) -> None:
        if self._meter is not None:
            self._recorder.sample(self._meter.tick(elapsed, due, self._timetable.late_ticks, scan=scan))

    def _on_event(self, fd: int) -> None:
        """Memory ran out in a container, or v2 only says that a limit was reached."""
        counts = self._events[fd].take()
        if counts is None:
            self._unhear(fd)
        elif counts != self._counts[fd]:
            self._look_until[fd] = self._loop.elapsed + _LOOK_FOR_SECONDS
            self._look()

    def _look(self) -> None:
        """Sample for each new event and for each kill; come back until the kills have been counted."""
        now = self._loop.elapsed
        news = False
        for fd in list(self._look_until):
            counts = self._events[fd].take() if fd in self._events else None
            if counts is None:
                self._unhear(fd)
                continue
            if (
                counts != self._counts[fd]
                and now - self._last_event_tick >= _EVENT_TICKS_AT_LEAST_APART_SECONDS
            ):
                news, self._counts[fd] = True, counts
            if now >= self._look_until[fd]:
                del self._look_until[fd]
        if news:
            self._last_event_tick = now
            self._tick(now, now, scan=True)  # Who ate the memory is still there, if we are quick.
        if self._look_until:
            self._loop.call_at(self._loop.elapsed + _LOOK_EVERY_SECONDS, self._look)

    def _unhear(self, fd: int) -> None:
        """The cgroup is gone."""
        self._loop.unwatch(fd)
        self._look_until.pop(fd, None)
        self._counts.pop(fd, None)
        events = self._events.pop(fd, None)
        if events is not None:
            events.close()

    def _on_marks(self) -> None:
        if self._marks is None:
            return
        for name, sender in self._marks.read():
            now = self._loop.elapsed
            self._tick(now, now)
            self._recorder.mark(now, name)
            self._marks.answer(sender)


def hold_signals() -> None:
    """SIGTERM and SIGINT wait from now on until ``Life.run`` can act on them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))


def ignore_signals() -> None:
    """SIGTERM and SIGINT are of no more use: the collector is about to end."""
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, signal.SIG_IGN)


@contextlib.contextmanager
def _signals(loop: Loop) -> Iterator[None]:
    """SIGTERM and SIGINT stop the loop and are ignored after it; SIGALRM ends the grace period."""

    def stop(signum: int, frame: FrameType | None) -> None:
        loop.stop()

    def over(signum: int, frame: FrameType | None) -> None:
        raise GraceOver

    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, stop)
    before = signal.signal(signal.SIGALRM, over)
    wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    loop.watch(reading, lambda: _drain(reading))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        ignore_signals()
        signal.signal(signal.SIGALRM, before)
        loop.unwatch(reading)
        os.close(reading)
        os.close(writing)


def _drain(reading: int) -> None:
    with contextlib.suppress(BlockingIOError):
        os.read(reading, 512)
