"""What others of the machine read in the list of processes."""

import ctypes
import os

_ARG_START, _ARG_END = 48, 49
"""Fields of /proc/PID/stat (proc(5)): where the arguments lie in memory."""


def show_instead(argument: str, shown: str) -> None:
    """Let the list of processes show something else than one of our arguments, with which this process was started.

    Until now it could be read. What cannot be done stays undone: it is a second fence, not the first.
    """
    try:
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return
    start, end = (int(fields[field - 3]) for field in (_ARG_START, _ARG_END))
    text = ctypes.string_at(start, end - start) if start else b""
    secret = os.fsencode(argument)
    place = text.find(secret)
    while secret and place >= 0:
        ctypes.memmove(start + place, os.fsencode(shown)[: len(secret)].ljust(len(secret)), len(secret))
        place = text.find(secret, place + len(secret))
