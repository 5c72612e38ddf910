"""A terminal of the test's own: what is typed into it, and what comes out of it."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from typing import Self

COLUMNS, ROWS = 80, 24
PATIENCE_SECONDS = 60.0
"""How long to wait for what must come; a test that fails does not hang."""

TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""Makes stdin the session's controlling terminal, then becomes the command."""


class Terminal:
    """A command in the foreground of a new session, with a terminal of 80 columns as stdin, stdout and stderr."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        self._ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._seen = b""
        self.process = subprocess.Popen(
            [sys.executable, "-c", TAKE_TERMINAL, *argv],
            stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)

    @property
    def text(self) -> str:
        """Everything that came out so far."""
        return self._seen.decode().replace("\r\n", "\n")

    def type(self, keys: str) -> None:
        """Press keys; "\\x03" is Ctrl-C."""
        os.write(self._ours, keys.encode())

    def wait_for(self, text: str) -> None:
        """Wait until `text` has come out."""
        while text not in self.text:
            if not self._read():
                raise AssertionError(f"the terminal ended without {text!r}: {self.text}")

    def wait(self) -> int:
        """Wait for the end; returns the exit code."""
        while self._read():
            continue
        return self.process.wait(PATIENCE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._ours)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._ours], [], [], PATIENCE_SECONDS)
        if not ready:
            raise TimeoutError(f"nothing comes out any more: {self.text}")
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # EIO: nobody holds the other side any more
            return False
        self._seen += data
        return bool(data)
