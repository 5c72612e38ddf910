"""The harness itself: each real component starts here, and its accounts agree with each other."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.support.cgroup import V2, Cgroup
from tests.e2e.support.docker import BUSYBOX, HOST, DockerEngine
from tests.e2e.support.vm import VirtualMachine
from tests.e2e.support.workloads import AUTOREAP, DAEMONS, PYTHON_TESTS, SHELL_LOOP, THREADS, Workload

if TYPE_CHECKING:
    from playwright.sync_api import Page

MIB = 1024 * 1024

ACCOUNT = """
import json
from tests.e2e.support.cgroup import Cgroup

with Cgroup.create() as group:
    group.limit_memory(64 << 20)
    group.limit_cpu(0.5)
    code = group.run(["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do /bin/true; done"]).returncode
    peak = group.memory_peak_bytes()
    print(json.dumps({"code": code, "cpu_seconds": group.cpu_seconds(), "peak_bytes": peak}))
"""


def test_container_runs_a_command(docker_engine: DockerEngine) -> None:
    """A container of busybox runs under the engine's cgroup."""
    done = docker_engine.run(BUSYBOX, "cat", "/proc/self/cgroup")

    assert "/docker/" in done.stdout or done.stdout == "0::/\n"


def test_container_has_the_toolchain_of_the_host(docker_engine: DockerEngine) -> None:
    """A container of links runs what is installed on the host."""
    done = docker_engine.run(HOST, "sh", "-c", "gcc --version && python3 --version")

    assert "Python 3" in done.stdout


def test_containers_share_a_pid_namespace(docker_engine: DockerEngine) -> None:
    """A second container sees the processes of the first, and steps can be run in it."""
    with docker_engine.spawn(BUSYBOX, "sleep", "1234", name="job") as job:
        seen = docker_engine.run(BUSYBOX, "ps", flags=["--pid=container:job"])
        step = job.exec("sh", "-c", "echo from the step")

        assert "sleep 1234" in seen.stdout
        assert step.stdout == "from the step\n"
        assert job.pid > 0


def test_python_of_the_tests_runs_in_a_container(docker_engine: DockerEngine) -> None:
    """The interpreter of this checkout, with msgspec, starts where the collector will."""
    with docker_engine.run_collector("--help") as collector:
        collector.wait()

        assert "No module named 'msgspec'" not in collector.logs()
        assert "not found" not in collector.logs()


def test_bridge_connects_containers(docker_engine: DockerEngine) -> None:
    """Containers on the engine's bridge reach each other, in a network namespace apart from the host's."""
    with docker_engine.spawn(BUSYBOX, "httpd", "-f", "-h", "/etc", network="bridge") as server:
        address = server.inspect()["NetworkSettings"]["IPAddress"]
        done = docker_engine.run(BUSYBOX, "wget", "-q", "-O-", f"http://{address}/hostname", network="bridge")

        assert done.stdout.strip() == server.id[:12]


def test_guest_has_cgroup_v2_alone(vm: VirtualMachine) -> None:
    """The virtual machine has every controller of cgroup v2; its Python has msgspec and this checkout."""
    result = vm.run(
        """
        cat /sys/fs/cgroup/cgroup.controllers /proc/self/cgroup /given
        python3 -c 'import json, jobmeter, msgspec; print(json.dumps({"msgspec": msgspec.__version__}))'
        exit 7
        """,
        files={"/given": b"a file from the test\n"},
    )

    controllers, own, given, _ = result.stdout.splitlines()
    assert {"cpu", "memory", "io", "pids"} <= set(controllers.split())
    assert own == "0::/"
    assert given == "a file from the test"
    assert [*result.json_lines()[0]] == ["msgspec"]
    assert result.exit_code == 7


def test_cgroup_helper_works_in_the_guest(vm: VirtualMachine) -> None:
    """The test's own account works with cgroup v2 alone, limits included."""
    result = vm.run("python3 /account.py", files={"/account.py": ACCOUNT.encode()})

    (account,) = result.json_lines()
    assert account["code"] == 0
    assert account["cpu_seconds"] > 0.01
    assert 0 < account["peak_bytes"] <= 64 * MIB


def test_workload_runs_in_the_guest(vm: VirtualMachine, tmp_path: Path) -> None:
    """A workload laid out on the host runs in the virtual machine."""
    DAEMONS.prepare(tmp_path)

    result = vm.run(shlex.join(DAEMONS.argv(tmp_path)), files={str(tmp_path): tmp_path})

    assert result.exit_code == 0, result.stdout


@pytest.mark.parametrize("workload", [DAEMONS, THREADS, AUTOREAP, SHELL_LOOP, PYTHON_TESTS], ids=str)
def test_workload_uses_cpu_on_the_host(cgroup: Cgroup, workload: Workload, tmp_path: Path) -> None:
    """Each workload ends well and its time is in the cgroup's account, by v1 and by v2 alike."""
    workload.prepare(tmp_path)

    done = cgroup.run(workload.argv(tmp_path), stdout=subprocess.DEVNULL)

    assert done.returncode == 0
    assert cgroup.cpu_seconds() > 0.2
    if (nanoseconds := cgroup.cpuacct_usage_ns()) is not None:
        assert cgroup.cpu_stat()["usage_usec"] == pytest.approx(nanoseconds / 1000, abs=1000)


def test_autoreaped_children_leave_no_trace_with_their_parent(cgroup: Cgroup, tmp_path: Path) -> None:
    """The workload does what it is for: the time of its children is not in what its parent is told."""
    AUTOREAP.prepare(tmp_path)
    process = cgroup.spawn(AUTOREAP.argv(tmp_path))
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0

    assert usage.ru_utime + usage.ru_stime < 0.1
    assert cgroup.cpu_seconds() > 0.5


def test_cgroup_accounts_and_limits_memory(cgroup: Cgroup) -> None:
    """The peak holds what was charged; a process beyond the limit is killed and counted."""
    cgroup.limit_memory(64 * MIB)

    small = cgroup.run(["sh", "-c", "head -c 20000000 /dev/zero | tail -c 20000000 > /dev/null"])
    peak = cgroup.memory_peak_bytes()
    large = cgroup.run(["tail", "/dev/zero"])

    assert small.returncode == 0
    assert peak is not None
    assert 19 * MIB < peak < 64 * MIB
    assert large.returncode == -9
    assert cgroup.oom_kills() == 1


def test_cgroup_removes_itself_with_what_runs_inside() -> None:
    """Nothing is left of a cgroup whose process still runs."""
    with Cgroup.create() as group:
        process = group.spawn(["sleep", "1000"])
        (group.paths[V2] / "child").mkdir()

        assert group.children() == [group.paths[V2] / "child"]
    process.wait()

    assert not any(path.exists() for path in group.paths.values())


def test_browser_opens_a_page(page: Page) -> None:
    """Chromium renders a page and takes its picture."""
    page.set_content("<h1>jobmeter</h1>")

    assert page.inner_text("h1") == "jobmeter"
    assert page.screenshot().startswith(b"\x89PNG")
