"""Carries an errand out in a thread of its own: at a slow pace, again after a failure, within a bound at the end."""

import random
import signal
import threading
import time
from collections.abc import Callable
from typing import Protocol

from jobmeter.model.errors import SendError
from jobmeter.transport import TIMEOUT_SECONDS

PART_INTERVAL_SECONDS = 5.0
PART_BYTES = 256 * 1024
_FIRST_BACKOFF_SECONDS = 0.5
_MAX_BACKOFF_SECONDS = 30.0
_LEAST_TIMEOUT_SECONDS = 0.1
# So long the end waits for a service that nobody has heard of: it is there, or it will not come for this run.
UNHEARD_SECONDS = 2.0


class Errand(Protocol):
    """Something to be sent."""

    @property
    def finished(self) -> bool:
        """True when all of it has arrived."""

    def step(self, timeout: float) -> bool:
        """Do one request; False when there is no more to send for now. Raises SendError."""


class Backoff:
    """0.5 s × 2^n up to 30 s, with full jitter: many meters whose receiver was away come back one by one."""

    def __init__(self, chance: Callable[[float, float], float] = random.uniform) -> None:
        self._chance = chance
        self._bound = _FIRST_BACKOFF_SECONDS

    def next(self) -> float:
        """Seconds to wait after one more failure."""
        bound = self._bound
        self._bound = min(2 * bound, _MAX_BACKOFF_SECONDS)
        return self._chance(0.0, bound)

    def reset(self) -> None:
        """Something has succeeded."""
        self._bound = _FIRST_BACKOFF_SECONDS


class Delivery:
    """One daemon thread for one errand. It never raises into the meter and is never waited for but in ``wait``.

    ``say`` is called from that thread when sending begins to fail or succeeds again. A ``patient`` one goes on at the
    end until the deadline; else a service that has never answered gets one short try then.
    """

    def __init__(
        self, errand: Errand, say: Callable[[SendError | None], None] | None = None, *, patient: bool = True
    ) -> None:
        self._errand = errand
        self._say = say or (lambda problem: None)
        # Whether there is somebody to wait for.
        self._awaited = patient
        self._news = threading.Event()
        self._ending = threading.Event()
        self._done = threading.Event()
        self._deadline = self._unheard_deadline = 0.0
        self._not_before = 0.0
        self._backoff = Backoff()
        # Why it is not finished, as far as is known.
        self.problem: SendError | None = None

    def start(self) -> None:
        """Begin; where no thread can be had that is the problem, and the end."""
        try:
            threading.Thread(target=self._run, name="sender", daemon=True).start()
        except RuntimeError as error:
            self.problem = SendError(f"no thread can be started here: {error}", retryable=False)
            self._done.set()

    def nudge(self) -> None:
        """There is something that should not wait for the usual pace."""
        self._news.set()

    def end(self, deadline: float) -> None:
        """Nothing is added from now on; give up at that time of the monotonic clock."""
        self._deadline = deadline
        self._unheard_deadline = min(deadline, time.monotonic() + UNHEARD_SECONDS)
        self._ending.set()
        self._news.set()

    def wait(self, until: float) -> bool:
        """Wait for the end, at most until that time of the monotonic clock; True when all has arrived."""
        if not self._awaited:
            self._done.wait(max(0.0, min(until, self._unheard_deadline) - time.monotonic()))
        if self._awaited:
            self._done.wait(max(0.0, until - time.monotonic()))
        return self._errand.finished

    def _run(self) -> None:
        # Signals are for the thread that meters: one that arrived here would not wake it.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            while not self._errand.finished and self._attempt():
                pass
        except Exception as error:  # A fault of ours must not print a traceback into the job's output.
            self.problem = SendError(f"sending failed by a fault of ours: {error!r}", retryable=False)
        self._done.set()

    def _attempt(self) -> bool:
        """Send what there is, then pause; False when there is no use in going on."""
        self._news.clear()
        ending = self._ending.is_set()
        try:
            while self._errand.step(self._timeout()):
                self._succeeded()
                if self._ending.is_set() and time.monotonic() >= self._deadline:
                    return False
        except SendError as error:
            if self.problem is None or not error.retryable:
                self._say(error)
            self.problem = error
            self._awaited = self._awaited or error.answered
            given_up = ending and not self._awaited
            return error.retryable and not given_up and self._pause_after(error)
        self._succeeded()
        if ending or self._errand.finished:  # All that was there before the end has been sent.
            return False
        self._news.wait(PART_INTERVAL_SECONDS)
        return True

    def _succeeded(self) -> None:
        self._awaited = True
        self._backoff.reset()
        if self.problem is not None:
            self.problem = None
            self._say(None)

    def _pause_after(self, error: SendError) -> bool:
        """Wait before the next attempt; False when that would be after the end."""
        now = time.monotonic()
        if error.retry_after_seconds is not None:
            self._not_before = now + error.retry_after_seconds
        pause = self._backoff.next()
        if not self._ending.is_set():
            if not self._ending.wait(max(pause, self._not_before - now)):
                return True
            # The end has come: now or never, unless the service has said when.
            self._backoff.reset()
            now, pause = time.monotonic(), 0.0
        pause = max(pause, self._not_before - now)
        if now + pause >= self._deadline:
            return False
        time.sleep(pause)
        return True

    def _timeout(self) -> float:
        if not self._ending.is_set():
            return TIMEOUT_SECONDS
        until = self._deadline if self._awaited else self._unheard_deadline
        return min(TIMEOUT_SECONDS, max(_LEAST_TIMEOUT_SECONDS, until - time.monotonic()))


def deliver(errand: Errand, patience: float) -> None:
    """Carry an errand out here and now; raises SendError after ``patience`` seconds without success."""
    backoff = Backoff()
    deadline = time.monotonic() + patience
    while True:
        try:
            while errand.step(TIMEOUT_SECONDS):
                backoff.reset()
                deadline = time.monotonic() + patience
            return
        except SendError as error:
            pause = max(backoff.next(), error.retry_after_seconds or 0.0)
            if not error.retryable or time.monotonic() + pause >= deadline:
                raise
        time.sleep(pause)
