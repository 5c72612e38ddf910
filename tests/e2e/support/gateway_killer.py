"""Starts a gateway again and again on one state and one port, and kills each at a random moment.

`python -m tests.e2e.support.gateway_killer KILLS SEED STATE ARGUMENT...` prints after each kill the ids of the tasks
that are in the file STATE, as a line of JSON. Each gateway is a fork of this process: an interpreter and its imports
take ten times as long as what a gateway does to start, and the moments shall fall into its work.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from jobmeter.cli import main

LONGEST_SECONDS = 0.5
"""Some 50 ms of it are the start."""
_IMPORTED_BEFORE_THE_FORK = (
    "jobmeter.apps.gateway",
    "jobmeter.apps.gateway_wiring",
    "uvicorn.lifespan.off",
    "uvloop",
)


def tasks_on_disk(state: Path) -> list[int]:
    """What the next gateway knows of; nothing before the first one has written."""
    text = state.read_text() if state.exists() else '{"tasks": []}'
    return [int(task["id"]) for task in json.loads(text)["tasks"]]


def run(kills: int, seed: int, state: Path, arguments: list[str]) -> None:
    """Start and kill so many."""
    chance = random.Random(seed)
    for name in _IMPORTED_BEFORE_THE_FORK:
        importlib.import_module(name)
    gc.freeze()
    for _ in range(kills):
        pid = os.fork()
        if pid == 0:
            os._exit(main(arguments))
        time.sleep(chance.uniform(0, LONGEST_SECONDS))
        os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        assert os.WIFSIGNALED(status), f"a gateway ended by itself: {status}"
        print(json.dumps(tasks_on_disk(state)), flush=True)


if __name__ == "__main__":
    run(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
