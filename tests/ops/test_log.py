"""What can be said again and again is said once in a while."""

from __future__ import annotations

from jobmeter.ops.log import SAME_AGAIN_SECONDS, Naming, Sparing


class Notes:
    """A log that remembers."""

    def __init__(self) -> None:
        self.said: list[tuple[str, dict[str, object]]] = []

    def warn(self, message: str, **fields: object) -> None:
        self.said.append((message, fields))

    info = warn


def test_the_same_is_said_once_in_a_while() -> None:
    """Whatever is said in between."""
    notes, now = Notes(), [0.0]
    sparing = Sparing(notes, clock=lambda: now[0])
    for second in range(25):
        now[0] = float(second)
        sparing.warn("one", second=second)
        sparing.warn("another")
    assert [fields["second"] for message, fields in notes.said if message == "one"] == [0, 10, 20]
    assert SAME_AGAIN_SECONDS == 10.0


def test_whose_message_it_is() -> None:
    """The same fields are with all that is said."""
    notes = Notes()
    naming = Naming(notes, forge="lab")
    naming.warn("one")
    naming.info("another", task="7")
    assert notes.said == [("one", {"forge": "lab"}), ("another", {"forge": "lab", "task": "7"})]


def test_what_was_said_long_ago_is_not_remembered() -> None:
    """A client that can choose the words takes no memory."""
    notes = Notes()
    sparing = Sparing(notes, clock=lambda: 0.0)
    for number in range(10_000):
        sparing.warn(f"{number}")
    assert len(notes.said) == 10_000
    assert len(sparing._said_at) == 64
