"""A timer on the CPU time of one thread, which Python does not offer: timer_create(2), by the C library."""

import ctypes
import os
import time

_SECOND = 1_000_000_000


class _SigEvent(ctypes.Structure):
    _fields_ = (
        ("value", ctypes.c_void_p),
        ("number", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("rest", ctypes.c_char * 48),
    )


class _TimerSpec(ctypes.Structure):
    _fields_ = (
        ("interval_seconds", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("first_seconds", ctypes.c_long),
        ("first_ns", ctypes.c_long),
    )


class ThreadCpuTimer:
    """Sends the process a signal whenever the calling thread has used so much CPU time more; until it is stopped.

    Raises OSError when the kernel or the C library has no such timer.
    """

    def __init__(self, signal_number: int, period_ns: int) -> None:
        self._library = _library()
        self._timer = ctypes.c_void_p()
        event = _SigEvent(number=signal_number)  # SIGEV_SIGNAL is 0.
        self._call(
            "timer_create", time.CLOCK_THREAD_CPUTIME_ID, ctypes.byref(event), ctypes.byref(self._timer)
        )
        period = divmod(period_ns, _SECOND)
        self._call("timer_settime", self._timer, 0, ctypes.byref(_TimerSpec(*period, *period)), None)

    def stop(self) -> None:
        """No signal is sent from now on."""
        self._call("timer_delete", self._timer)

    def _call(self, name: str, *arguments: object) -> None:
        if self._library[name](*arguments) != 0:
            raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


# Until version 2.34 the GNU C library has the functions in a library beside it.
def _library() -> ctypes.CDLL:
    for name in (None, "librt.so.1"):
        library = ctypes.CDLL(name, use_errno=True)
        if hasattr(library, "timer_create"):
            return library
    raise OSError("the C library has no timer_create")
