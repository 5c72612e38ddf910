"""`jobmeter mark`: begin a named section of the run. It never fails a job."""

import contextlib
from collections.abc import Mapping, Sequence

from jobmeter.apps.outputs import say
from jobmeter.model.errors import UsageError
from jobmeter.model.marks import PROGRAM
from jobmeter.supervise.marks import SOCKET_VARIABLE, clean_name, send_mark


def mark(argv: Sequence[str], environ: Mapping[str, str], *, own_name: str = "/proc/self/comm") -> int:
    """Set one mark; where nobody meters, one sentence says so and the exit code is 0.

    By the name that it takes on it is left out of the lists of programs and processes.
    """
    with contextlib.suppress(OSError), open(own_name, "w", encoding="ascii") as comm:
        comm.write(PROGRAM)
    words = [word for word in argv if word != "--"]
    name = clean_name(" ".join(words))
    if not name:
        raise UsageError("mark takes the name of the section that begins: jobmeter mark NAME")
    address = environ.get(SOCKET_VARIABLE)
    if not address:
        say(f"nobody meters here ({SOCKET_VARIABLE} is not set), so the mark {name!r} is not kept")
    elif not send_mark(address, name):
        say(f"nobody hears marks at {address}, so the mark {name!r} is not kept")
    return 0
