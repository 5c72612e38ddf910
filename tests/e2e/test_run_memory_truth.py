"""Memory of `jobmeter run`: what lived between two ticks, and what is page cache."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.support.cgroup import Cgroup
from tests.e2e.support.components import JOBMETER
from tests.e2e.support.runs import Jobmeter
from tests.e2e.support.vm import VirtualMachine

MIB = 1024 * 1024
BURST_MIB = 300
SLACK_BYTES = 16 * MIB
"""What the shell, the marks before it and the kernel's own batches of pages add to the charge."""
FILE_MIB = 400

MARK = shlex.join([*JOBMETER, "mark"])

Build = Callable[[str], Path]


@pytest.fixture
def uncached_file(tmp_path: Path, cgroup: Cgroup) -> Iterator[Path]:
    """A file of 400 MiB with no page in memory: who reads it is charged for all of it."""
    path = tmp_path / "large"
    cgroup.run(["sh", "-c", f"head -c {FILE_MIB * MIB} /dev/zero > {path}"])
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)
    yield path
    path.unlink()


def between_two_ticks(program: Path, mark: str) -> list[str]:
    """Options and command: a mark makes a tick, so the burst lies between the second and the third of four.

    It is a grandchild, which only the shell waits for.
    """
    script = f"{mark} before; {program} {BURST_MIB} 100; {mark} after"
    return ["--interval=1h", "--", "sh", "-c", script]


def test_burst_between_ticks_is_in_the_charged_peak(
    jobmeter: Jobmeter, program: Build, cgroup: Cgroup
) -> None:
    """300 MiB for 100 ms: the kernel's peak has them exactly, the high water within 5 %."""
    done = jobmeter.run("--source=cgroup", *between_two_ticks(program("burst"), MARK))

    (job,) = done.result.containers
    assert done.result.sample_count == 4
    assert job.memory_charged_peak_bytes is not None
    assert BURST_MIB * MIB <= job.memory_charged_peak_bytes <= BURST_MIB * MIB + SLACK_BYTES
    assert job.memory_high_water_bytes == pytest.approx(BURST_MIB * MIB, rel=0.05)
    assert job.memory_working_set_peak_bytes is not None
    assert job.memory_working_set_peak_bytes < BURST_MIB * MIB / 10


def test_burst_is_in_the_high_water_without_a_cgroup(jobmeter: Jobmeter, program: Build) -> None:
    """With `--source proc` wait4(2) tells the largest resident set of every descendant; nothing is charged."""
    done = jobmeter.run("--source=proc", *between_two_ticks(program("burst"), MARK))

    (job,) = done.result.containers
    assert job.memory_high_water_bytes == pytest.approx(BURST_MIB * MIB, rel=0.05)
    assert job.memory_charged_peak_bytes is None
    assert job.memory_working_set_peak_bytes is None
    assert job.memory_source == "rss"


def test_high_water_of_small_processes_is_not_the_wrappers(jobmeter: Jobmeter) -> None:
    """`ru_maxrss` of a child begins at its parent's size: a tiny command is not said to be as large as Python."""
    done = jobmeter.run("--source=proc", "--", "true")

    (job,) = done.result.containers
    wrapper = done.result.collector.peak_memory_bytes
    assert wrapper is not None
    assert job.memory_high_water_bytes is None or job.memory_high_water_bytes < wrapper / 2


def test_reading_a_file_is_in_the_charged_peak_only(jobmeter: Jobmeter, uncached_file: Path) -> None:
    """`cat` of 400 MiB: page cache is charged, but neither the working set nor any process needs it."""
    done = jobmeter.run(
        "--source=cgroup", "--interval=50ms", "--", "sh", "-c", f"cat {uncached_file} > /dev/null"
    )

    (job,) = done.result.containers
    assert job.memory_charged_peak_bytes is not None
    assert job.memory_charged_peak_bytes >= FILE_MIB * MIB
    assert job.memory_working_set_peak_bytes is not None
    assert job.memory_working_set_peak_bytes < FILE_MIB * MIB / 10
    assert job.memory_high_water_bytes is None or job.memory_high_water_bytes < FILE_MIB * MIB / 10


def test_burst_is_in_memory_peak_of_cgroup_v2(vm: VirtualMachine, program: Build) -> None:
    """In a machine with cgroup v2 alone the charged peak is `memory.peak`."""
    burst = program("burst")
    command = shlex.join(
        ["jobmeter", "run", "--quiet", "--json=fd:1", *between_two_ticks(burst, "jobmeter mark")]
    )

    result = vm.run(f"{command} | tr -d '\\n'", files={str(burst): burst})

    (summary,) = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    (job,) = summary["containers"]
    assert BURST_MIB * MIB <= job["memory_charged_peak_bytes"] <= BURST_MIB * MIB + SLACK_BYTES
    assert job["memory_high_water_bytes"] == pytest.approx(BURST_MIB * MIB, rel=0.05)
    assert job["memory_source"] == "working_set"
