from __future__ import annotations

import pytest

from jobmeter.report.text import cells, clean, fit, pad, plural, wrap


@pytest.mark.parametrize(
    "text, shown",
    [
        ("cc1plus", "cc1plus"),
        ("a b", "a b"),
        ("\x1b[2J", "\\x1b[2J"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\udc80", "\\udc80"),
        ("größe", "größe"),
    ],
)
def test_clean_escapes_what_is_not_printable(text: str, shown: str) -> None:
    """Control characters, reversals and stray bytes are spelled out; letters of any script stay."""
    assert clean(text) == shown


def test_cleaning_twice_changes_nothing() -> None:
    """Text may pass through several layers that each clean it."""
    assert clean(clean("\x1b\\\n")) == clean("\x1b\\\n")


@pytest.mark.parametrize("text, width", [("abc", 3), ("コン", 4), ("≥ 1", 3), ("", 0)])
def test_cells_counts_wide_characters_twice(text: str, width: int) -> None:
    """East Asian characters take two columns of a terminal."""
    assert cells(text) == width


@pytest.mark.parametrize(
    "text, width, fitted",
    [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("コンテナ", 5, "コン…"), ("コンテナ", 4, "コ…"), ("abc", 0, "")],
)
def test_fit_cuts_with_an_ellipsis(text: str, width: int, fitted: str) -> None:
    """A text that is too long ends in an ellipsis within the width."""
    assert fit(text, width) == fitted


def test_pad_aligns_right_unless_told_otherwise() -> None:
    """Numbers stand right, names left, in exactly the width."""
    assert (pad("1", 3), pad("a", 3, left=True), pad("abcd", 3)) == ("  1", "a  ", "ab…")


def test_wrap_keeps_a_number_with_its_unit() -> None:
    """A line never ends between a number and its unit."""
    assert wrap("killed after 1 m 05 s by the kernel", 14) == [
        "killed after",
        "  1 m 05 s by",
        "  the kernel",
    ]
    assert wrap("memory up to 2.4 %", 17) == ["memory up to", "  2.4 %"]


def test_wrap_keeps_phrases_whole_where_they_have_room() -> None:
    """What a number is of stands in its line, if that does not take more than a line."""
    verdict = "succeeded in 12 s — 0.32 of 2 cores, largest process 14.5 MiB"

    assert wrap(verdict, 50, phrases=True) == [
        "succeeded in 12 s — 0.32 of 2 cores,",
        "  largest process 14.5 MiB",
    ]
    assert wrap("a, b c d e, f", 6, phrases=True) == ["a, b c", "  d e,", "  f"]


def test_wrap_begins_and_indents_as_told() -> None:
    """The first line has its own beginning; a word that is wider than the line is cut."""
    assert wrap("one two " + "x" * 9, 8, first="> ", indent="  ") == ["> one", "  two", "  xxxxx…"]


def test_plural_counts_in_thousands() -> None:
    """Counts are readable and agree with their noun."""
    assert (plural(1, "sample"), plural(4312, "sample"), plural(2, "process")) == (
        "1 sample",
        "4,312 samples",
        "2 processes",
    )
