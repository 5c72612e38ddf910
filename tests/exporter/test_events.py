"""What is heard while waiting."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from jobmeter.exporter.events import Events, Heard
from tests.support.fake_host import open_descriptors


@contextmanager
def process() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """One that sleeps, and a descriptor of it."""
    with subprocess.Popen(["sleep", "60"]) as sleeping:
        pidfd = os.pidfd_open(sleeping.pid)
        try:
            yield sleeping, pidfd
        finally:
            os.close(pidfd)
            sleeping.kill()


def test_each_end_is_told_once() -> None:
    """Of those that are still held."""
    before = open_descriptors()
    events = Events(lambda: None)
    with process() as (one, of_one), process() as (other, of_other):
        events.hold(of_one, "one")
        events.hold(of_other, "other")
        assert events.wait(0) == Heard()
        events.let_go(of_other)
        for each in (one, other):
            each.kill()
            each.wait()
        assert events.wait(5) == Heard(("one",))
        assert events.wait(0) == Heard()
        assert len(events) == 0
        events.let_go(of_one)
    events.close()
    assert open_descriptors() == before


def test_a_change_is_told_for_as_long_as_it_lasts() -> None:
    """Until who is told of it has read it; nothing once there is no descriptor."""
    reading, writing = os.pipe()
    watched: list[int | None] = [reading]
    events = Events(lambda: watched[0])
    assert not events.wait(0).changed
    os.write(writing, b"x")
    assert events.wait(5).changed
    assert events.wait(5).changed
    os.read(reading, 1)
    assert not events.wait(0).changed
    watched[0] = None
    os.write(writing, b"x")
    assert not events.wait(0).changed
    events.close()
    os.close(reading)
    os.close(writing)


def test_who_waits_can_be_woken() -> None:
    """Also before."""
    events = Events(lambda: None)
    events.wake()
    events.wake()
    assert events.wait(60) == Heard()
    assert events.take_wake()
    assert events.wait(0) == Heard()
    assert not events.take_wake()
    events.close()
