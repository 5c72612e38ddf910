"""What a configuration file says that is not TOML."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobmeter.config.file import read_toml
from jobmeter.model.errors import UsageError

_OPEN = "a text is not closed: its last quote is missing"
_QUOTES = "a text stands in quotes"


@pytest.mark.parametrize(
    "text, where, sentence",
    [
        ('name = "one\nb = 1\n', "line 1, column 12", _OPEN),
        ("b = 1\nname = 'one\n", "at its end", _OPEN),
        ('name = """one\n', "at its end", _OPEN),
        ("name = one\n", "line 1, column 8", f"there is no value here; {_QUOTES}, true and false do not"),
        ("insecure = True\n", "line 1, column 12", f"there is no value here; {_QUOTES}, true and false do not"),
        ("timeout = 10m\n", "line 1, column 13",
         f"there is something behind the value; {_QUOTES}, a key on a line of its own"),
        ("name: one\n", "line 1, column 5", "a key needs = and a value behind it"),
        ("[[forge]\n", "line 1, column 8", "the name of a table stands in brackets, as [name] or [[name]]"),
        ("[forge]\n[forge]\n", "line 2, column 7", "this table is written twice; each of several begins with [[name]]"),
        ("a = 1\na = 2\n", "line 2, column 6", "this key is written twice"),
        ("a = {b = 1, b = 2}\n", "line 1, column 18", "this key is written twice"),
        ('a = ["b" "c"]\n', "line 1, column 10", "a list is not closed: a comma or its ] is missing"),
        ("a = {b = 1 c = 2}\n", "line 1, column 12", "a table is not closed: a comma or its } is missing"),
        ('a = "C:\\x"\n', "line 1, column 10",
         "a backslash stands twice in a text, or once in one with single quotes"),
        ('a = "C:\\u"\n', "line 1, column 10",
         "a backslash stands twice in a text, or once in one with single quotes"),
        ("= 5\n", "line 1, column 1", "a line is a key with its value, or the name of a table in brackets"),
    ],
)  # fmt: skip
def test_what_is_not_toml(tmp_path: Path, text: str, where: str, sentence: str) -> None:
    """With the file, the line and the column, and what is missing there."""
    file = tmp_path / "a.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_toml(str(file))
    assert str(caught.value) == f"{file}: {where}: this is not TOML: {sentence}"


def test_what_has_no_sentence_of_its_own(tmp_path: Path) -> None:
    """The place is told all the same, and nothing of the file."""
    file = tmp_path / "a.toml"
    file.write_text("a.b = 1\n[]\n")
    with pytest.raises(UsageError) as caught:
        read_toml(str(file))
    assert str(caught.value) == f"{file}: line 2, column 2: this is not TOML"


def test_a_mark_of_the_byte_order(tmp_path: Path) -> None:
    """Some editors write one; it is left out."""
    file = tmp_path / "a.toml"
    file.write_bytes(b"\xef\xbb\xbfa = 1\n")
    assert read_toml(str(file)) == {"a": 1}
