"""How far long work is: a line that changes on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io
import time

import pytest

from jobmeter.apps.progress import Progress


class Terminal(io.StringIO):
    """Says that it is one."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    "stream, told",
    [
        (
            io.StringIO(),
            [
                "exported: 999 of 1,000 runs (99 %), 100 a second\n",
                "exported: 1,000 of 1,000 runs (100 %), 50 a second\n",
            ],
        ),
        (
            Terminal(),
            [
                "\rexported: 999 of 1,000 runs (99 %), 100 a second",
                "\rexported: 1,000 of 1,000 runs (100 %), 50 a second",
                "\r" + " " * 50 + "\r",
            ],
        ),
    ],
    ids=["plain", "terminal"],
)
def test_progress_is_told_now_and_then(monkeypatch, stream, told):
    """Not each time; a terminal's line is empty at the end."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    said = Progress("exported", stream)
    for at, done in ((0.01, 1), (10.0, 999), (10.05, 999), (20.0, 1000)):
        now[0] = at
        said(done, 1000)
    said.close()
    assert stream.getvalue() == "".join(told)
