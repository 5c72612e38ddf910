"""Runs a command where nothing can be metered: its exit code, its streams and its signals are its own all the same."""

import os
import select
import signal
from collections.abc import Mapping, Sequence

from jobmeter.model.exits import exit_code
from jobmeter.supervise.command import Anywhere, Command, Inherited
from jobmeter.supervise.signals import SignalQueue


def run_unmetered(argv: Sequence[str], environ: Mapping[str, str], inherited: Inherited) -> int:
    """Run a command to its end, passing signals on; returns its exit code."""
    command = Command.start(argv, environ, inherited, Anywhere())
    try:
        signals = SignalQueue()
    except OSError:  # Not even one descriptor more: signals are not passed on.
        return exit_code(os.waitpid(command.pid, 0)[1])
    while True:
        select.select([signals], [], [])
        for signum, to_group in signals.read():
            if signum != signal.SIGCHLD:
                if not to_group:
                    command.send(signum)
                continue
            for ended in command.reap():
                if ended.pid == command.pid:
                    return exit_code(ended.status)
