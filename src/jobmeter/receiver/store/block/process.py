"""Makes blocks in a process of its own: it takes 0.2 s of Python for each MB, in which no request would be answered.

The process begins with the first block that is not small, and takes one after the other until it is let go.
"""

import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from jobmeter.receiver.store.block import coding
from jobmeter.receiver.store.block.coding import Damaged

LENGTH = struct.Struct("!I")
ANEW, END = 2**32 - 1, 0
"""In place of the length of a piece of text: what follows is another block's; the block is to be given."""
MADE, DAMAGED = b"m", b"d"
"""What an answer begins with: the block, or why there is none."""
_WORKER = "jobmeter.receiver.store.block.worker"
_SMALL_BYTES = 16 * 1024
_ENDED = "the process that lays records out as columns has ended"


class BlockProcess:
    """The process, for one block at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def encoder(self) -> "Encoder":
        """Takes the text of the next block; one that was begun before is given up."""
        return Encoder(self)

    def begin(self) -> None:
        """Have it ready for another text, whatever became of the one before. Raises OSError."""
        if self._process is None or self._process.poll() is not None:
            self.let_go()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", _WORKER],  # Not what lies in the working directory.
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Who stops the receiver by a key stops it alone.
            )
        with self._pipes() as (orders, _):
            orders.write(LENGTH.pack(ANEW))

    def send(self, piece: bytes) -> None:
        """Give it a piece of the text. Raises OSError."""
        with self._pipes() as (orders, _):
            orders.write(LENGTH.pack(len(piece)) + piece)

    def answer(self) -> bytes:
        """The block of the text. Raises Damaged, and OSError when the process has ended."""
        with self._pipes() as (orders, answers):
            orders.write(LENGTH.pack(END))
            orders.flush()
            (length,) = LENGTH.unpack(read_exactly(answers, LENGTH.size))
            found = read_exactly(answers, length)
        if found.startswith(MADE):
            return found[len(MADE) :]
        raise Damaged(found[len(DAMAGED) :].decode())

    @contextmanager
    def _pipes(self) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
        """To it and from it; when one of them fails it is of no use any more."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise BrokenPipeError(_ENDED)
        try:
            yield process.stdin, process.stdout
        except (OSError, ValueError):  # The latter where it was let go in the meantime.
            self.let_go()
            raise BrokenPipeError(_ENDED) from None

    def let_go(self) -> None:
        """End it; what it was at is lost."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                pipe and pipe.close()


class Encoder:
    """As `coding.Encoder`; a small block is made here, which is sooner done."""

    def __init__(self, process: BlockProcess) -> None:
        self._process = process
        self._waiting: list[bytes] = []
        self._size = 0
        self._is_sent = False

    def add(self, piece: bytes) -> None:
        """Some more of the text. Raises OSError."""
        self._waiting.append(piece)
        self._size += len(piece)
        if self._size > _SMALL_BYTES:
            self._send()

    def block(self) -> bytes:
        """All of it, after which nothing can be added. Raises Damaged, and OSError."""
        if not self._is_sent:
            encoder = coding.Encoder()
            for piece in self._waiting:
                encoder.add(piece)
            return encoder.block()
        self._send()
        return self._process.answer()

    def _send(self) -> None:
        if not self._is_sent:
            self._process.begin()
            self._is_sent = True
        for piece in filter(None, self._waiting):
            self._process.send(piece)
        self._waiting = []


def read_exactly(pipe: IO[bytes], size: int) -> bytes:
    """So many bytes. Raises OSError where the other end is closed before."""
    found = pipe.read(size)
    if len(found) < size:
        raise BrokenPipeError(_ENDED)
    return found
