"""A row is held at 0 until all that scrape by one name have seen it, and not for long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobmeter.exporter.scrapers import HELD_SCRAPES, MAX_SCRAPERS, YOUNG_SECONDS, Asking, Scrapers

PHASES = st.lists(st.floats(0, 0.999), min_size=1, max_size=3)


class Clock:
    """Tells what a test says."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def seen_of_a_row(phases: list[float], born: float, interval: float, rounds: int = 12) -> list[list[bool]]:
    """Whether it was whole, to each server at each scrape after its birth; all have one name."""
    clock = Clock()
    scrapers = Scrapers(clock)
    seen: list[list[bool]] = [[] for _ in phases]
    for number in range(rounds):
        for server, phase in sorted(enumerate(phases), key=lambda one: one[1]):
            clock.now = (number + phase) * interval
            births = int(clock.now >= born * interval)
            whole = scrapers.scrape(Asking("one address"), births)
            if births:
                seen[server].append(whole >= births)
    return seen


@given(PHASES, st.floats(1, 4), st.sampled_from([1.0, 15.0, 60.0]))
def test_each_of_several_servers_sees_a_row_begin(phases: list[float], born: float, interval: float) -> None:
    """Whatever their phases: first 0, after four rounds at most the whole, and never 0 again."""
    for found in seen_of_a_row(phases, born, interval):
        assert found[0] is False
        assert found == sorted(found)
        assert found[4] is True


def test_servers_that_change_places() -> None:
    """Two at nearly the same moment: the one that comes first the next time has not seen it."""
    clock = Clock()
    scrapers = Scrapers(clock)
    for moment in (0.0, 0.1, 15.0):
        clock.now = moment
        scrapers.scrape(Asking("pair"), 0)
    for moment in (15.1, 30.0, 30.1):
        clock.now = moment
        assert scrapers.scrape(Asking("pair"), 1) == 0


def test_who_is_new_is_shown_everything() -> None:
    """Only of rows that come later it has seen nothing."""
    scrapers = Scrapers(Clock())
    assert scrapers.scrape(Asking("a"), 7) == 7
    assert scrapers.scrape(Asking("a"), 8) == 7


def test_a_server_that_knew_our_predecessor() -> None:
    """In our first minutes: what a new row holds at its first scrape is growth, so it is shown at 0 before."""
    clock = Clock()
    scrapers = Scrapers(clock)
    shown = []
    for moment in (0.0, 15.0, 30.0, 45.0, 60.0):
        clock.now = moment
        shown.append(scrapers.scrape(Asking("a", keeps=True), 2))
    assert shown == [0, 0, 0, 2, 2]
    assert scrapers.scrape(Asking("a person"), 2) == 2
    clock.now = YOUNG_SECONDS
    assert scrapers.scrape(Asking("another", keeps=True), 2) == 2


def test_a_server_that_was_away() -> None:
    """Its long gap holds a row for so many scrapes at most."""
    clock = Clock()
    scrapers = Scrapers(clock)
    for moment in (0.0, 15.0, 30.0):
        clock.now = moment
        scrapers.scrape(Asking("a"), 0)
    shown = []
    for number in range(HELD_SCRAPES + 1):
        clock.now = 3600.0 + 15 * number
        shown.append(scrapers.scrape(Asking("a"), 1))
    assert shown == [0] * (HELD_SCRAPES - 1) + [1, 1]


def test_what_was_shown_whole_stays_so() -> None:
    """Also when one of a pair goes away and the gaps grow: a counter must not fall."""
    clock = Clock()
    scrapers = Scrapers(clock)
    scrapers.scrape(Asking("a"), 0)
    shown = []
    for moment in (1, 2, 3, 4, 100, 200, 300):
        clock.now = moment
        shown.append(scrapers.scrape(Asking("a"), 1))
    assert shown == [0, 0, 0, 1, 1, 1, 1]


def test_they_are_bounded() -> None:
    """The one that was not here for longest is new again."""
    scrapers = Scrapers(Clock())
    for number in range(MAX_SCRAPERS + 1):
        scrapers.scrape(Asking(str(number)), 0)
    assert scrapers.scrape(Asking("0"), 1) == 1
    assert scrapers.scrape(Asking(str(MAX_SCRAPERS)), 1) == 0
