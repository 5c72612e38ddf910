"""Descriptors and threads are the same after a thousand ticks as after ten, and all given back at the end."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from jobmeter.linux.process_table import ProcessTable
from jobmeter.metering.group import Group
from jobmeter.metering.host import HostReader
from jobmeter.metering.membership import JOB, Descent
from jobmeter.metering.meter import Meter, boot_seconds
from jobmeter.metering.one_group import OneGroup
from jobmeter.metering.processes import ProcessWatch
from jobmeter.model.sample import ContainerInfo
from jobmeter.model.summarize import RunFold
from jobmeter.spool.journal import Journal
from jobmeter.spool.recorder import Recorder

LIVE = 5


class MeteredRun:
    """What `jobmeter run --source proc` ticks with, over the real /proc: the descendants of this process."""

    def __init__(self, journal: Path) -> None:
        self.journal = Journal(str(journal), pytest.fail)
        self.recorder = Recorder("leaks", RunFold())
        self.recorder.add_sink(self.journal.write)
        membership = Descent(os.getpid())
        self.watch = ProcessWatch(
            ProcessTable(wanted=membership.admit), membership, started_after=boot_seconds()
        )
        self.meter = Meter(
            self.watch,
            OneGroup(Group(ContainerInfo(key=JOB, name=JOB))),
            HostReader(),
            source="proc",
            declare=self.recorder.declare,
            warn=self.recorder.warn,
        )
        self.ticks = 0

    def tick(self) -> None:
        self.ticks += 1
        self.recorder.sample(self.meter.tick(float(self.ticks), float(self.ticks)))

    def close(self) -> None:
        self.meter.close()
        self.journal.close()


class Commands:
    """So many live commands; the oldest gives way to a new one."""

    def __init__(self, count: int) -> None:
        self._live = [self._start() for _ in range(count)]

    def replace_one(self) -> None:
        self._end(self._live.pop(0))
        self._live.append(self._start())

    def pids(self) -> set[int]:
        return {one.pid for one in self._live}

    def close(self) -> None:
        for one in self._live:
            self._end(one)

    @staticmethod
    def _start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(["sleep", "600"])

    @staticmethod
    def _end(command: subprocess.Popen[bytes]) -> None:
        command.kill()
        command.wait()


def held() -> tuple[int, int]:
    """Open descriptors and threads of this process."""
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))


def test_a_thousand_ticks_hold_what_ten_hold(tmp_path) -> None:
    """Processes come and go all the while."""
    before = held()
    commands = Commands(LIVE)
    run = MeteredRun(tmp_path / "journal")
    try:
        after = {}
        while run.ticks < 1000:
            if run.ticks % 10 == 9:
                commands.replace_one()
            run.tick()
            after[run.ticks] = held()
        assert commands.pids() <= {one.pid for one in run.watch.members()}
        assert after[1000] == after[10]
        assert after[10][0] <= before[0] + LIVE + 8
    finally:
        commands.close()
        run.close()
    assert held() == before
