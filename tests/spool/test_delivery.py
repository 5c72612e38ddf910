"""A thread that sends: it goes on after failures, waits as it is told, and ends within its bound."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.model.errors import SendError
from jobmeter.spool import delivery
from jobmeter.spool.delivery import Backoff, Delivery, deliver

PATIENCE = 60.0


class Script:
    """An errand that does what it is told at each step: True, False or a failure; then it is finished."""

    def __init__(self, steps: Iterable[bool | SendError | Exception]) -> None:
        self._steps = iter(steps)
        self.moments: list[float] = []
        self.finished = False
        self.begun = threading.Event()
        self.masked: set[int] = set()

    def step(self, timeout: float) -> bool:
        assert timeout > 0
        self.moments.append(time.monotonic())
        self.masked = set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        self.begun.set()
        step = next(self._steps, None)
        if step is None:
            self.finished = True
            return False
        if isinstance(step, Exception):
            raise step
        return step


def failure(*, retryable: bool = True, after: float | None = None, answered: bool = True) -> SendError:
    return SendError("it failed", retryable=retryable, retry_after_seconds=after, answered=answered)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_FIRST_BACKOFF_SECONDS", 0.001)
    monkeypatch.setattr(delivery, "PART_INTERVAL_SECONDS", 0.001)


@given(st.lists(st.floats(0, 1), min_size=12, max_size=12))
def test_back_off_doubles_up_to_half_a_minute_with_full_jitter(dice: list[float]) -> None:
    """Anything from nothing to the bound, so that a fleet does not come back at one moment."""
    rolls = iter(dice)
    backoff = Backoff(lambda low, high: low + next(rolls) * (high - low))
    backoff._bound = 0.5
    bounds = [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30]
    for bound, roll in zip(bounds, dice, strict=True):
        assert backoff.next() == pytest.approx(bound * roll)


def test_it_goes_on_until_all_has_arrived() -> None:
    """Failures, waiting for news, and more: the thread ends when the errand is finished."""
    errand = Script([True, failure(), failure(), False, True, failure(), False])
    said: list[SendError | None] = []
    sent = Delivery(errand, said.append)
    sent.start()
    assert sent.wait(time.monotonic() + PATIENCE)
    assert len(errand.moments) == 8
    assert [str(one) for one in said] == ["it failed", "None", "it failed", "None"]
    assert sent.problem is None


def test_refusal_ends_it_at_once() -> None:
    """What is final is said, kept as the reason, and not tried again."""
    errand = Script([failure(retryable=False)])
    said: list[SendError | None] = []
    sent = Delivery(errand, said.append)
    sent.start()
    assert not sent.wait(time.monotonic() + PATIENCE)
    assert (len(errand.moments), sent.problem) == (1, said[0])


def test_it_ends_within_its_bound() -> None:
    """A service that fails on and on is given up; the wait is over by then."""
    errand = Script([failure() for _ in range(10**5)])
    sent = Delivery(errand)
    sent.start()
    deadline = time.monotonic() + 0.2
    sent.end(deadline)
    assert not sent.wait(deadline + PATIENCE)
    assert str(sent.problem) == "it failed"


def test_what_takes_too_long_is_left_at_the_end() -> None:
    """However much there is still to send, and however well it goes, the thread ends with its bound."""
    errand = Script(itertools.repeat(True, 10**7))
    sent = Delivery(errand)
    sent.start()
    sent.end(time.monotonic() + 0.05)
    assert not sent.wait(time.monotonic() + PATIENCE)
    count = len(errand.moments)
    time.sleep(0.05)
    assert len(errand.moments) == count


def test_step_that_hangs_is_not_waited_for() -> None:
    """The thread is left behind; it is a daemon."""
    hanging = threading.Event()
    errand = Script([])
    errand.step = lambda timeout: not hanging.wait()  # type: ignore[method-assign]
    sent = Delivery(errand)
    sent.start()
    sent.end(time.monotonic())
    assert not sent.wait(time.monotonic() + 0.01)
    hanging.set()


def test_the_end_cuts_a_long_pause_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two parts or after a failure: what is left is sent now."""
    monkeypatch.setattr(delivery, "PART_INTERVAL_SECONDS", 3600.0)
    monkeypatch.setattr(delivery, "_FIRST_BACKOFF_SECONDS", 3600.0)
    monkeypatch.setattr(delivery, "_MAX_BACKOFF_SECONDS", 3600.0)
    for first in (False, failure()):
        errand = Script([first])
        sent = Delivery(errand)
        sent.start()
        errand.begun.wait()
        sent.end(time.monotonic() + PATIENCE)
        assert sent.wait(time.monotonic() + PATIENCE)
        assert len(errand.moments) == 2


def test_news_cut_the_pause_between_two_parts_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that is large enough goes at once."""
    monkeypatch.setattr(delivery, "PART_INTERVAL_SECONDS", 3600.0)
    errand = Script([False, False])
    sent = Delivery(errand)
    sent.start()
    errand.begun.wait()
    while not errand.finished:
        sent.nudge()
        time.sleep(0.001)
    assert sent.wait(time.monotonic() + PATIENCE)


def test_retry_after_is_kept_also_at_the_end() -> None:
    """Not before the service said; and when that is after the end, there is nothing to wait for."""
    errand = Script([failure(after=0.3)])
    sent = Delivery(errand)
    sent.start()
    errand.begun.wait()
    sent.end(time.monotonic() + PATIENCE)
    assert sent.wait(time.monotonic() + PATIENCE)
    assert errand.moments[1] - errand.moments[0] >= 0.3
    errand = Script([failure(after=60.0)])
    sent = Delivery(errand)
    sent.start()
    sent.end(time.monotonic() + 30)
    assert not sent.wait(time.monotonic() + PATIENCE)
    assert len(errand.moments) == 1


def ended(errand: Script, *, patient: bool) -> Delivery:
    """A delivery whose end has come before it began, with much time left."""
    sent = Delivery(errand, patient=patient)
    sent.end(time.monotonic() + PATIENCE)
    sent.start()
    return sent


def test_who_never_answered_gets_one_try_at_the_end() -> None:
    """A job is not delayed for a receiver that is not there; a patient sender goes on."""
    errand = Script([failure(answered=False) for _ in range(5)])
    assert not ended(errand, patient=False).wait(time.monotonic() + PATIENCE)
    assert len(errand.moments) == 1
    assert ended(errand, patient=True).wait(time.monotonic() + PATIENCE)


@pytest.mark.parametrize("first", [True, failure()])
def test_who_has_answered_is_waited_for(first: bool | SendError) -> None:
    """By success or by a refusal for now: it may be starting again."""
    errand = Script([first, *(failure(answered=False) for _ in range(5))])
    assert ended(errand, patient=False).wait(time.monotonic() + PATIENCE)
    assert len(errand.moments) == 7


def test_end_waits_but_shortly_for_who_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that was under way when the end came has no longer than one that begins then."""
    monkeypatch.setattr(delivery, "UNHEARD_SECONDS", 0.01)
    hanging = threading.Event()
    errand = Script([])
    timeouts: list[float] = []
    errand.step = lambda timeout: timeouts.append(timeout) or not hanging.wait()  # type: ignore[func-returns-value, method-assign]
    deadline = time.monotonic() + PATIENCE
    assert not ended(errand, patient=False).wait(deadline)
    assert time.monotonic() < deadline
    assert timeouts == [delivery._LEAST_TIMEOUT_SECONDS]
    hanging.set()


def test_fault_of_ours_is_a_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    """No traceback is printed into the job's output."""
    sent = Delivery(Script([ZeroDivisionError("oops")]))
    sent.start()
    assert not sent.wait(time.monotonic() + PATIENCE)
    assert "fault of ours" in str(sent.problem)
    assert capfd.readouterr().err == ""


def test_signals_are_for_the_other_thread() -> None:
    """One that arrived here would not wake the one that meters."""
    errand = Script([])
    sent = Delivery(errand)
    sent.start()
    sent.wait(time.monotonic() + PATIENCE)
    assert {signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD} <= errand.masked


def test_here_and_now_gives_up_after_a_time_without_success() -> None:
    """Success begins the time anew."""
    deliver(Script([True, failure(), True, failure()]), PATIENCE)
    with pytest.raises(SendError):
        deliver(Script([failure(), failure()]), 0.0)
    with pytest.raises(SendError):
        deliver(Script([failure(retryable=False)]), PATIENCE)
