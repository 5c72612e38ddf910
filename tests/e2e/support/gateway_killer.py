"""Starts a gateway again and again on one state and one port, and kills each at a random moment.

`python -m tests.e2e.support.gateway_killer KILLS SEED ARGUMENT...` prints when each was killed, by the monotonic
clock. Each gateway is a fork of this process: an interpreter and its imports take ten times as long as what a
gateway does to start, and the moments shall fall into its work.
"""

from __future__ import annotations

import gc
import importlib
import os
import random
import signal
import sys
import time

from jobmeter.cli import main

LONGEST_SECONDS = 0.5
"""Some 50 ms of it are the start."""
_IMPORTED_BEFORE_THE_FORK = (
    "jobmeter.apps.gateway",
    "jobmeter.apps.gateway_wiring",
    "uvicorn.lifespan.off",
    "uvloop",
)


def run(kills: int, seed: int, arguments: list[str]) -> None:
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
        killed = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        assert os.WIFSIGNALED(status), f"a gateway ended by itself: {status}"
        print(killed, flush=True)


if __name__ == "__main__":
    run(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
