"""The program: ``python -m jobmeter``, and what the installed script calls."""

import contextlib
import gc
import io
import os
import sys

from jobmeter.cli import main

# Importing makes tens of thousands of objects and hardly any garbage: looking for it every 700 objects
# takes a twentieth of the start.
_OBJECTS_BETWEEN_COLLECTIONS = 20_000


def entry() -> None:
    """Run one command and leave at once: taking the interpreter apart would cost a short job 7 ms more."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    # Python has None for a stream that the caller has closed; what is said there goes nowhere.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - it stays open
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # A locale without our signs must not lose the report.
    code = main()
    try:
        sys.stdout.flush()
    except OSError as error:
        code = code or 1
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"jobmeter: the output could not be written: {error.strerror}\n")
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    entry()
