"""Starts a command as `jobmeter run` does and says as JSON what became of it; run by the tests as a process.

usage: python launcher.py [--enter=fail] [--mark] COMMAND...
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys

from jobmeter.model.errors import CommandError
from jobmeter.supervise.command import Anywhere, Command, become_subreaper, inherit
from jobmeter.supervise.signals import HANDLED, RELAYED, SignalQueue


def main(argv: list[str]) -> None:
    """Run the command to its end; relay signals that came to us alone."""
    fail = argv[0] == "--enter=fail"
    report = int(os.environ["REPORT_FD"])
    inherited = inherit(HANDLED)
    become_subreaper()
    try:
        command = Command.start(argv[fail:], os.environ, inherited, Nowhere() if fail else Anywhere())
    except CommandError as error:
        _tell(report, {"error": type(error).__name__, "exit_code": error.exit_code, "text": str(error)})
        return
    queue = SignalQueue()
    _tell(report, {"pid": command.pid, "entered": command.entered})
    received = []
    while True:
        select.select([queue.fileno()], [], [])
        for signum, to_group in queue.read():
            if signum in RELAYED:
                received.append([signum.name, to_group])
                if not to_group:
                    command.send(signum)
            elif signum == signal.SIGCHLD:
                reaped = command.reap()
                _tell(report, {"reaped": [list(one) for one in reaped]})
                if command.pid in [one.pid for one in reaped]:
                    _tell(report, {"received": received})
                    return


class Nowhere(Anywhere):
    """A place that may not be entered."""

    def enter(self) -> None:
        """Not here."""
        raise PermissionError(1, "no")


def _tell(descriptor: int, what: dict[str, object]) -> None:
    os.write(descriptor, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    main(sys.argv[1:])
