"""Small pictures between words."""

from __future__ import annotations

from xml.etree import ElementTree

from jobmeter.report.html_spark import spark


def paths(svg: str) -> list[str]:
    """What is drawn as lines."""
    return [str(path.get("d")) for path in ElementTree.fromstring(svg) if path.get("class") != "fill"]


def test_values_stand_from_left_to_right_up_to_the_top() -> None:
    """The highest value reaches the top unless more is to be shown above it."""
    assert paths(spark([0, 1, 2], "cpu")) == ["M0,24L1,12L2,0"]
    assert paths(spark([0, 1, 2], "cpu", top=4)) == ["M0,24L1,18L2,12"]


def test_what_was_not_read_is_a_gap() -> None:
    """Nothing is drawn over it."""
    assert paths(spark([1, 1, None, 1], "cpu")) == ["M0,0L1,0", "M3,0"]


def test_too_little_is_nothing() -> None:
    """One point is no course."""
    assert spark([], "cpu") == spark([None, None], "cpu") == spark([3.0, None], "cpu") == ""
    assert paths(spark([0.0, 0.0], "cpu")) == ["M0,24L1,24"]


def test_it_is_told_or_is_no_more_than_decoration() -> None:
    """A text that is not ours is escaped."""
    assert 'aria-hidden="true"' in spark([1, 2], "cpu")
    assert 'role="img" aria-label="a &quot;b&quot; &lt;i&gt;"' in spark([1, 2], "cpu", about='a "b" <i>')
