"""The end of what a runner wrote is one line that may be read anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobmeter.gateway.launcher.last_words import last_words

TOKEN = "0123456789" * 4


@pytest.mark.parametrize(
    "wrote, words",
    [
        (b"", None),
        (b"\n \n\x1b[0m\n", None),
        (b"cannot pull the image\n", "cannot pull the image"),
        (b"1\n2\n\n3\n4\n5\n6", "2 | 3 | 4 | 5 | 6"),
        (b"a\tb\r\n\x1b[1;31merror\x1b[0m\x07 c\xff", "a b | error  c�"),
        ("turned \u202e round".encode(), "turned   round"),
        (b"token planted, " + TOKEN.encode(), "token [hidden], [hidden]"),
        (b"begins " + b"x" * 600 + b" ends", "…" + "x" * 495 + " ends"),
        (b"planted" * 2000, "…" + ("[hidden]" * 63)[-500:]),
    ],
)
def test_the_end_of_it(tmp_path: Path, wrote: bytes, words: str | None) -> None:
    """The last lines and no more, without what colours or turns them, and without secrets."""
    output = tmp_path / "output.log"
    output.write_bytes(wrote)
    assert last_words(output, ["planted", None, ""]) == words


def test_nothing_was_written(tmp_path: Path) -> None:
    """As by one that was not started."""
    assert last_words(tmp_path / "output.log", []) is None
