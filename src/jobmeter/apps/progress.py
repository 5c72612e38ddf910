"""How far long work is, on stderr: one line that changes on a terminal, else a plain line now and then."""

import sys
import time
from typing import TextIO

_TERMINAL_SECONDS, _PLAIN_SECONDS = 0.1, 10.0


class Progress:
    """Is told how many of how many are done, as often as one likes."""

    def __init__(self, what: str, stream: TextIO | None = None) -> None:
        self._what = what
        self._stream = sys.stderr if stream is None else stream
        self._is_terminal = self._stream.isatty()
        self._began = self._said_at = time.monotonic()
        self._said = ""

    def __call__(self, done: int, total: int) -> None:
        """Say it if it is time to."""
        now = time.monotonic()
        if now - self._said_at < (_TERMINAL_SECONDS if self._is_terminal else _PLAIN_SECONDS):
            return
        self._said_at = now
        rate = done / max(now - self._began, 1e-9)
        share = f" ({100 * done // total} %)" if total else ""
        self._say(f"{self._what}: {done:,} of {total:,} runs{share}, {rate:,.0f} a second")

    def close(self) -> None:
        """Leave the terminal's line empty."""
        if self._is_terminal:
            self._say("")
            self._stream.write("\r")
            self._stream.flush()

    def _say(self, line: str) -> None:
        if self._is_terminal:
            self._stream.write(f"\r{line.ljust(len(self._said))}")
        else:
            self._stream.write(f"{line}\n")
        self._stream.flush()
        self._said = line
