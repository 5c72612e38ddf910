"""Signals are taken through a descriptor, with who sent them."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobmeter.supervise.signals import Received, SignalQueue

SOURCE = str(Path(__file__).parents[2] / "src")
TAKEN = frozenset({signal.SIGUSR1, signal.SIGUSR2})


@pytest.fixture
def queue():
    """A queue of this process, whose signals are blocked meanwhile."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, TAKEN)
    found = SignalQueue(TAKEN)
    yield found
    os.close(found.fileno())
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_signals_come_through_a_descriptor(queue: SignalQueue) -> None:
    """Each once, by number; one that another process sent alone has not gone to the group."""
    assert queue.read() == []
    subprocess.run(
        [sys.executable, "-S", "-c", f"import os; os.kill({os.getpid()}, {signal.SIGUSR2})"], check=True
    )
    os.kill(os.getpid(), signal.SIGUSR1)

    assert select.select([queue], [], [], 10)[0] == [queue]
    assert queue.read() == [Received(signal.SIGUSR1, False), Received(signal.SIGUSR2, False)]
    assert queue.read() == []


def test_no_thread_waits_for_them() -> None:
    """A process that forks by clone3(2) may have one thread only, or its child may wait for the other for ever."""
    code = (
        "import os; from jobmeter.supervise.signals import SignalQueue; SignalQueue();"
        "print(len(os.listdir('/proc/self/task')))"
    )
    environ = {**os.environ, "PYTHONPATH": SOURCE}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, check=True)
    assert done.stdout == b"1\n"
