"""`jobmeter collector` in a pod of a machine with cgroup v2 alone, where every container has its own cgroup namespace.

A peer then is `/../ID` in /proc/PID/cgroup, and its files are read through its own root.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support.collectors import container_of
from tests.e2e.support.components import require_command
from tests.e2e.support.elf import shared_libraries
from tests.e2e.support.vm import VirtualMachine

MIB = 1024 * 1024
KILLED = 137


@pytest.fixture(scope="module")
def pod(vm: VirtualMachine) -> dict[str, Any]:
    """What the guest says of a pod whose job works, reaches its CPU limit and runs out of memory twice."""
    require_command("runc")
    runc = Path(str(shutil.which("runc", path="/usr/sbin:/usr/bin:/sbin:/bin")))
    files = {"/bin/runc": runc} | {str(library): library for library in shared_libraries(runc)}
    done = vm.run("python3 -m tests.e2e.support.guest_pod", files=files, cpus=2, timeout=150)
    answers = done.json_lines()
    assert len(answers) == 1, done.stdout
    return dict(answers[0])


def said(pod: dict[str, Any], name: str) -> dict[str, Any]:
    """One container of the summary."""
    return container_of(pod["summary"], pod["ids"][name])


def test_peers_are_metered_by_their_cgroups(pod: dict[str, Any]) -> None:
    """Each peer is found although its path lies outside of the collector's cgroup namespace; the collector is not."""
    assert {one["id"] for one in pod["summary"]["containers"]} == {
        pod["ids"][name] for name in ("job", "busy", "eater")
    }
    assert {one["cpu_source"] for one in pod["summary"]["containers"]} == {"cgroup"}
    assert pod["summary"]["cpu_complete"] is True


def test_cpu_time_is_the_account_of_the_root(pod: dict[str, Any]) -> None:
    """What the collector read from within is what the guest's root sees from outside."""
    assert pod["account"] > 0.01
    assert said(pod, "job")["cpu_seconds"] == pytest.approx(pod["account_with_tail"], rel=0.001, abs=0.02)


def test_names_and_limits_are_found(pod: dict[str, Any]) -> None:
    """Limits are those that the container sees for itself; a name of the map goes to the first that has the process."""
    assert said(pod, "job")["name"] == "job"
    assert (said(pod, "job")["memory_limit_bytes"], said(pod, "job")["cpu_limit_cores"]) == (
        32 * MIB,
        "unlimited",
    )
    assert (said(pod, "busy")["memory_limit_bytes"], said(pod, "busy")["cpu_limit_cores"]) == (
        "unlimited",
        0.2,
    )


def test_cpu_limit_is_shown(pod: dict[str, Any]) -> None:
    """Who burns against its quota is throttled and waits for CPU; no container uses more than the machine has."""
    busy = said(pod, "busy")

    assert busy["throttled_seconds"] > 0
    assert busy["pressure"]["cpu"]["some_seconds"] > 0
    assert all(
        one["cpu_cores"]["peak"] <= pod["summary"]["host"]["cpus"] * 1.1
        for one in pod["summary"]["containers"]
    )


@pytest.mark.parametrize(
    "name, limit", [("job", 32 * MIB), ("eater", 24 * MIB)], ids=["a child", "the first process"]
)
def test_oom_kill_is_counted(pod: dict[str, Any], name: str, limit: int) -> None:
    """A kill is read by event from `memory.events`, also when the container dies of it."""
    assert pod["child"] == KILLED
    assert said(pod, name)["oom_kills"] == 1
    assert said(pod, name)["memory_charged_peak_bytes"] == pytest.approx(limit, rel=0.05)


def test_oom_kill_is_the_cause_for_certain(pod: dict[str, Any]) -> None:
    """Both kills are in the exit, proven by the kernel's account; what merely was there is not blamed."""
    exit_ = pod["summary"]["exit"]

    assert (exit_["reason"], exit_["certainty"]) == ("oom", "certain")
    assert exit_["detail"].startswith("The kernel killed 2 processes of the job for want of memory")
    assert "sh with" not in exit_["detail"]


def test_fields_that_v2_alone_has(pod: dict[str, Any]) -> None:
    """Pressure, block I/O and the peak of tasks have their files here."""
    job = said(pod, "job")

    assert set(job["pressure"]) == {"cpu", "memory", "io"}
    assert job["io_read_bytes"] is not None
    assert job["pids_peak"] >= 1
