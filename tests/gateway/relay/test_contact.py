"""A forge that was away and is back."""

from __future__ import annotations

import pytest

from jobmeter.gateway.relay.contact import Contact
from tests.gateway.relay.rig import Messages

BACK = "the forge answers again"


@pytest.mark.parametrize(
    "history, away",
    [
        pytest.param("h h h", [], id="always-there"),
        pytest.param("m m m", [], id="never-back"),
        pytest.param("h m m m h h", [3.0], id="back"),
        pytest.param("m h m . . h", [1.0, 3.0], id="twice"),
    ],
)
def test_how_long_it_was_away(history: str, away: list[float]) -> None:
    """From the first request without an answer to the next one with; a second passes after each."""
    now, log = [0.0], Messages()
    contact = Contact(log, lambda: now[0])
    for second, what in enumerate(history.split()):
        now[0] = float(second)
        if what != ".":
            (contact.missed if what == "m" else contact.heard)()
    assert log.informed == [{"message": BACK, "away_seconds": seconds} for seconds in away]
    assert log.warned == []


def test_an_absence_that_passes_to_runners_has_a_line():
    """Nothing else says that the forge was away; it is said once, and whoever asks again is told of the return."""
    now, log, back = [0.0], Messages(), []
    contact = Contact(log, lambda: now[0], lambda: back.append(now[0]))
    for second in range(3):
        now[0] = float(second)
        contact.missed(503)
    said = "the forge, or what stands before it, answers that it is away"
    assert (log.warned, back) == ([{"message": said, "status": 503}], [])
    for second in (3, 4):
        now[0] = float(second)
        contact.heard()
    assert (log.informed, back) == ([{"message": BACK, "away_seconds": 3.0}], [3.0])


def test_a_single_request_that_fails_is_no_absence() -> None:
    """Others are answered all the time."""
    now, log = [0.0], Messages()
    contact = Contact(log, lambda: now[0])
    contact.missed()
    now[0] = 0.9
    contact.heard()
    assert log.informed == []
