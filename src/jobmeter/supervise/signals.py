"""Signals for the wrapper: who sent them decides whether the command still needs to be told."""

import _thread
import os
import signal
from typing import NamedTuple

# A terminal sends its signals to the whole foreground process group, the command included.
_SI_KERNEL = 0x80
RELAYED = frozenset(
    {
        *(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2),
        *(signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGIO, signal.SIGPWR),
    }
)
HANDLED = RELAYED | {signal.SIGCHLD}


class Received(NamedTuple):
    """A signal and whether the command has it already, since it went to the whole process group."""

    signum: signal.Signals
    to_group: bool


class SignalQueue:
    """Takes ``signals``, which must be blocked, in a thread of its own and hands them over through a pipe.

    A handler would not say who sent a signal (si_code of sigaction(2)); sigwaitinfo(2) does.
    """

    def __init__(self, signals: frozenset[signal.Signals] = HANDLED) -> None:
        self._signals = signals
        self._reading, self._writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        # The module `threading` would give this one thread nothing, and takes 2 ms of each start to import.
        _thread.start_new_thread(self._wait, ())

    def fileno(self) -> int:
        """Readable when a signal has arrived."""
        return self._reading

    def read(self) -> list[Received]:
        """The signals that have arrived, in order."""
        try:
            data = os.read(self._reading, 4096)
        except BlockingIOError:
            return []
        return [Received(signal.Signals(data[at]), bool(data[at + 1])) for at in range(0, len(data) - 1, 2)]

    def _wait(self) -> None:
        while True:
            info = signal.sigwaitinfo(self._signals)
            to_group = info.si_code == _SI_KERNEL or _signals_its_group(info.si_pid)
            try:
                os.write(self._writing, bytes((info.si_signo, to_group)))
            except BlockingIOError:
                continue  # Thousands are waiting to be read; a child that ended is found by the next one.


def _signals_its_group(pid: int) -> bool:
    """True for a timeout(1) that leads our process group: it signals its child and then the whole group."""
    try:
        if not pid == os.getpgid(pid) == os.getpgrp():
            return False
        with open(f"/proc/{pid}/comm") as file:
            return file.read() == "timeout\n"
    except OSError:
        return False
