"""A starter whose keeper is killed at one step of its start, once: `python -m … STEP MARK FD`; MARK is removed then."""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import Any

from jobmeter.apps import keeper
from jobmeter.apps.run_record import RunRecord
from jobmeter.supervise.command import Command
from jobmeter.supervise.keeper.launch import _Place
from jobmeter.supervise.keeper.records import Records
from jobmeter.supervise.keeper.server import serve
from jobmeter.supervise.keeper.start import Start
from jobmeter.supervise.keeper.task_cgroup import TaskCgroup

STEPS: dict[str, tuple[Any, str, bool]] = {
    "it is not there yet": (Start, "here", False),
    "it is there": (Start, "here", True),
    "the cgroup is made": (TaskCgroup, "_limit", True),
    "the pipe is made": (Records, "__init__", True),
    "the journal is begun": (RunRecord, "__init__", True),
    "keeper.json is written": (Records, "begin", True),
    "it may go on": (Start, "ready", True),
    "its child is outside of the cgroup": (_Place, "enter", False),
    "its child is in the cgroup": (_Place, "enter", True),
    "the runner runs": (Command, "start", True),
    "it has not said so": (Start, "started", False),
}
"""Before or after (True) which call it is killed."""


def arm(step: str, mark: str) -> None:
    """Have whoever comes to that step killed, if it is a keeper, or else its keeper: once."""
    owner, name, after = STEPS[step]
    call = getattr(owner, name)

    def dying(*args: Any, **named: Any) -> Any:
        if not after:
            kill_once(mark)
        result = call(*args, **named)
        if after:
            kill_once(mark)
        return result

    setattr(owner, name, dying)


def kill_once(mark: str) -> None:
    """End the keeper, also from its child."""
    try:
        os.unlink(mark)
    except FileNotFoundError:
        return
    is_keeper = os.getsid(0) == os.getpid() and os.getppid() == STARTER
    os.kill(os.getpid() if is_keeper else os.getppid(), signal.SIGKILL)


if __name__ == "__main__":
    STARTER = os.getpid()
    arm(sys.argv[1], sys.argv[2])
    serve(socket.socket(fileno=int(sys.argv[3])), keeper.keep)
