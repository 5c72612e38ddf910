"""Signals are taken through a descriptor, with who sent them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

SOURCE = str(Path(__file__).parents[2] / "src")
TAKES = """
import json, os, select, signal, subprocess, sys
from jobmeter.supervise.signals import SignalQueue

taken = frozenset({signal.SIGUSR1, signal.SIGUSR2})
signal.pthread_sigmask(signal.SIG_BLOCK, taken)
queue = SignalQueue(taken)
before = queue.read()
subprocess.run([sys.executable, "-S", "-c", f"import os; os.kill({os.getpid()}, {signal.SIGUSR2})"], check=True)
os.kill(os.getpid(), signal.SIGUSR1)
ready = select.select([queue], [], [], 10)[0] == [queue]
found = [[one.signum.name, one.to_group] for one in queue.read()]
threads = len(os.listdir("/proc/self/task"))
print(json.dumps({"before": before, "ready": ready, "found": found, "after": queue.read(), "threads": threads}))
"""


def taken() -> dict[str, Any]:
    """What a process of its own says of the signals it takes: those of a test run could go to any thread of it."""
    environ = {**os.environ, "PYTHONPATH": SOURCE}
    done = subprocess.run([sys.executable, "-c", TAKES], env=environ, capture_output=True, check=True)
    return dict(json.loads(done.stdout))


def test_signals_come_through_a_descriptor() -> None:
    """Each once, by number; one that another process sent alone has not gone to the group."""
    said = taken()

    assert said["before"] == said["after"] == []
    assert said["ready"]
    assert said["found"] == [["SIGUSR1", False], ["SIGUSR2", False]]


def test_no_thread_waits_for_them() -> None:
    """A process that forks by clone3(2) may have one thread only, or its child may wait for the other for ever."""
    assert taken()["threads"] == 1
