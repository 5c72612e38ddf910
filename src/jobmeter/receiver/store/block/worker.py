"""The process that makes blocks of the text from its input, until that ends. It gives way to all others."""

import os
import sys
from contextlib import suppress
from typing import IO

from jobmeter.receiver.store.block.coding import Damaged, Encoder
from jobmeter.receiver.store.block.process import ANEW, DAMAGED, END, LENGTH, MADE, read_exactly

_NICENESS = 10


def main() -> None:
    """Make one block after the other."""
    os.nice(_NICENESS)
    with suppress(BrokenPipeError):
        serve(sys.stdin.buffer, sys.stdout.buffer)


def serve(orders: IO[bytes], answers: IO[bytes]) -> None:
    """Until there are no more orders; then raises BrokenPipeError."""
    encoder = Encoder()
    while True:
        (length,) = LENGTH.unpack(read_exactly(orders, LENGTH.size))
        if length == END:
            answer = _made(encoder)
            answers.write(LENGTH.pack(len(answer)) + answer)
            answers.flush()
        if length in (ANEW, END):
            encoder = Encoder()
        else:
            encoder.add(read_exactly(orders, length))


def _made(encoder: Encoder) -> bytes:
    try:
        return MADE + encoder.block()
    except Damaged as error:
        return DAMAGED + str(error).encode()


if __name__ == "__main__":
    main()
