"""Signals for the wrapper: who sent them decides whether the command still needs to be told."""

import ctypes
import os
import signal
import struct
from typing import NamedTuple

# A terminal sends its signals to the whole foreground process group, the command included.
_SI_KERNEL = 0x80
RELAYED = frozenset(
    {
        *(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2),
        *(signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGIO, signal.SIGPWR),
    }
)
# struct signalfd_siginfo: signal, errno, code and the sender's pid come first.
_INFO = struct.Struct("=I4xiI")
_INFO_BYTES = 128
_SIGSET_BYTES = 128
HANDLED = RELAYED | {signal.SIGCHLD}


class Received(NamedTuple):
    """A signal and whether the command has it already, since it went to the whole process group."""

    signum: signal.Signals
    to_group: bool


class SignalQueue:
    """Takes ``signals``, which must be blocked, through a descriptor (signalfd(2)).

    A handler would not say who sent a signal (si_code of sigaction(2)), and a thread that waits for them would
    be a second one in a process that forks.
    """

    def __init__(self, signals: frozenset[signal.Signals] = HANDLED) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        wanted = ctypes.create_string_buffer(_SIGSET_BYTES)
        libc.sigemptyset(wanted)
        for one in signals:
            libc.sigaddset(wanted, one)
        # SFD_CLOEXEC and SFD_NONBLOCK are the flags of open(2).
        self._fd = int(libc.signalfd(-1, wanted, os.O_CLOEXEC | os.O_NONBLOCK))
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "signals cannot be taken")

    def fileno(self) -> int:
        """Readable when a signal has arrived."""
        return self._fd

    def read(self) -> list[Received]:
        """The signals that have arrived, in order."""
        try:
            data = os.read(self._fd, 64 * _INFO_BYTES)
        except BlockingIOError:
            return []
        found = (_INFO.unpack_from(data, at) for at in range(0, len(data), _INFO_BYTES))
        return [
            Received(signal.Signals(signum), code == _SI_KERNEL or _signals_its_group(pid))
            for signum, code, pid in found
        ]


def _signals_its_group(pid: int) -> bool:
    """True for a timeout(1) that leads our process group: it signals its child and then the whole group."""
    try:
        if not pid == os.getpgid(pid) == os.getpgrp():
            return False
        with open(f"/proc/{pid}/comm") as file:
            return file.read() == "timeout\n"
    except OSError:
        return False
