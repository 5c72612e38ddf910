"""When a Prometheus that is away is asked again."""

from __future__ import annotations

from jobmeter.referee.breaker import Breaker


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def opened() -> tuple[Breaker, Clock]:
    """One that has just seen three failures in a row."""
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(3):
        assert breaker.admit() is None
        breaker.settle(answered=False)
    return breaker, clock


def test_three_failures_in_a_row_open_it() -> None:
    """Then nobody asks for a minute."""
    breaker, clock = opened()
    assert breaker.admit() == 60
    clock.seconds = 59
    assert breaker.admit() == 1


def test_an_answer_between_failures_keeps_it_closed() -> None:
    """Only failures in a row count."""
    breaker = Breaker(Clock())
    for answered in (False, False, True, False, False):
        assert breaker.admit() is None
        breaker.settle(answered=answered)
    assert breaker.admit() is None


def test_who_came_to_no_question_says_nothing() -> None:
    """Neither that somebody is there, nor that nobody is; and a probe is free for the next."""
    breaker = Breaker(Clock())
    for answered in (False, False, None, False):
        assert breaker.admit() is None
        breaker.settle(answered=answered)
    assert breaker.admit() == 60
    breaker, clock = opened()
    clock.seconds = 60
    assert breaker.admit() is None
    breaker.settle(answered=None)
    assert breaker.admit() is None


def test_one_probe_decides() -> None:
    """Others do not wait for it; its answer closes the breaker as if nothing had been."""
    breaker, clock = opened()
    clock.seconds = 60
    assert breaker.admit() is None
    assert breaker.admit() == 0
    breaker.settle(answered=True)
    for _ in range(3):
        assert breaker.admit() is None
        breaker.settle(answered=False)
    assert breaker.admit() == 60


def test_each_probe_that_fails_doubles_the_wait() -> None:
    """To ten minutes at most."""
    breaker, clock = opened()
    waits = []
    for _ in range(5):
        clock.seconds += breaker.admit() or 0
        assert breaker.admit() is None
        breaker.settle(answered=False)
        waits.append(breaker.admit())
    assert waits == [120, 240, 480, 600, 600]


def test_who_was_admitted_before_it_opened_changes_nothing() -> None:
    """Its failure is neither a probe's nor a reason to wait longer."""
    breaker, clock = opened()
    breaker.settle(answered=False)
    assert breaker.admit() == 60
    clock.seconds = 60
    assert breaker.admit() is None
