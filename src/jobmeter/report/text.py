"""Text that may be shown: names made harmless, and lengths counted in terminal cells."""

import re
from unicodedata import east_asian_width

# Spaces within a number and its unit, "812 MiB", "1 m 05 s", and in "waited for CPU".
_TIED = re.compile(
    r"(?<=\d) (?=(?:ms|[smh]|[KMGT]?i?B|cores?|ticks?|samples?)\b|%)|(?<=\d [mh]) (?=\d\d [ms]\b)"
    r"|(?<=\bwaited) (?=for\b)|(?<=\bwaited for) (?=\S)"
)
_TIE = "\0"
_PHRASES = re.compile(r"(?<=[,—]) ")


def clean(text: str) -> str:
    """The text with everything that is not printable written as an escape.

    Names come from processes, marks and forges: one of them must not be able to move the cursor,
    start a new line or reverse the reading direction.

    >>> clean("cc1\\x1b[2J")
    'cc1\\\\x1b[2J'
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )


def cells(text: str) -> int:
    """How many columns a terminal needs for printable text: two for a wide East Asian character."""
    if text.isascii():
        return len(text)
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)


def fit(text: str, width: int) -> str:
    """The text in at most ``width`` cells; what is cut off is replaced by an ellipsis."""
    if cells(text) <= width:
        return text
    if width < 1:
        return ""
    kept, room = [], width - 1
    for char in text:
        room -= cells(char)
        if room < 0:
            break
        kept.append(char)
    return "".join(kept).rstrip() + "…"


def pad(text: str, width: int, *, left: bool = False) -> str:
    """The text fitted into exactly ``width`` cells, aligned to the right unless ``left``."""
    text = fit(text, width)
    space = " " * (width - cells(text))
    return text + space if left else space + text


def wrap(text: str, width: int, *, first: str = "", indent: str = "  ", phrases: bool = False) -> list[str]:
    """The words of a text in lines of at most ``width`` cells, which begin with ``first``, then ``indent``.

    A number stays with its unit, and what was waited for with the waiting; with ``phrases`` all stays together that
    no comma or dash divides, where it has room.
    """
    if phrases:
        room = width - cells(indent)
        parts = _PHRASES.split(text)
        text = " ".join(part.replace(" ", _TIE) if cells(part) <= room else part for part in parts)
    lines: list[str] = []
    line, empty = first, True
    for word in _TIED.sub(_TIE, text).split():
        if not empty and cells(line) + 1 + cells(word) > width:
            lines.append(line)
            line, empty = indent, True
        line += word if empty else f" {word}"
        empty = False
    return [fit(each.replace(_TIE, " "), width) for each in (*lines, line)]


def plural(count: int, noun: str) -> str:
    """``1 sample``, ``4,312 samples``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}{'es' if noun.endswith('s') else 's'}"
