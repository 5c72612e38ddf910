"""The cgroup of `jobmeter run`: below the caller's own in each hierarchy, and never left behind."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.support.cgroup import V2, Cgroup
from tests.e2e.support.components import JOBMETER
from tests.e2e.support.runs import AS_NOBODY, NOBODY, Jobmeter, kill
from tests.e2e.support.vm import VirtualMachine

OURS = re.compile(r"/jobmeter-\d+-\d+-\d+$")
STARTS = 200
BUSY = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"
LEAVE_A_DAEMON = (
    "sleep 1000 < /dev/null > /dev/null 2>&1 & "
    "until grep -q sleep /proc/$!/comm; do sleep 0.01; done; echo $!"
)


def places(text: str) -> dict[str, str]:
    """/proc/PID/cgroup: controllers (the unified hierarchy's are "") -> path."""
    return {line.split(":", 2)[1]: line.split(":", 2)[2] for line in text.splitlines()}


@pytest.fixture
def daemon() -> Iterator[list[int]]:
    """Pids that a test leaves behind; they are killed at its end."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        kill(pid)


def test_command_is_one_below_the_caller_in_each_account(jobmeter: Jobmeter, cgroup: Cgroup) -> None:
    """CPU, memory and task accounts are of a child of the caller's cgroup; scheduling stays where it was."""
    done = jobmeter.run("--quiet", "cat", "/proc/self/cgroup", prefix=cgroup.command([]))
    caller = places(cgroup.run(["cat", "/proc/self/cgroup"], stdout=subprocess.PIPE, text=True).stdout)

    for controllers, path in places(done.stdout).items():
        if controllers in ("", "memory", "pids", "cpuacct"):
            assert OURS.search(path), (controllers, path)
        assert OURS.sub("", path) == caller[controllers]


def test_nothing_is_left_after_the_end(jobmeter: Jobmeter, cgroup: Cgroup) -> None:
    """Neither a cgroup nor a process."""
    jobmeter.run("--quiet", "true", prefix=cgroup.command([]))

    assert (cgroup.children(), cgroup.pids()) == ([], set())


def test_limits_of_the_caller_hold(jobmeter: Jobmeter, cgroup: Cgroup) -> None:
    """A limit on tasks above is not escaped: with the wrapper and the shell, five more are seven."""
    cgroup.limit_pids(7)
    script = "for i in 1 2 3 4 5 6; do sleep 1000 > /dev/null 2>&1 & done"

    done = jobmeter.run("--quiet", "sh", "-c", script, prefix=cgroup.command([]))

    assert "Cannot fork" in done.stderr
    assert done.exit_code == 2
    assert len(done.result.survivors) == 5
    assert cgroup.children() == []


def test_limits_are_named(jobmeter: Jobmeter, cgroup: Cgroup) -> None:
    """The lowest limit of all enclosing cgroups is the job's, and what it was throttled by."""
    cgroup.limit_cpu(0.25)
    cgroup.limit_memory(256 << 20)

    done = jobmeter.run("sh", "-c", BUSY, prefix=cgroup.command([]))

    (job,) = done.result.containers
    assert (job.cpu_limit_cores, job.memory_limit_bytes) == (0.25, 256 << 20)
    assert job.throttled_seconds
    assert job.throttled_seconds <= cgroup.throttling()["throttled_time"] / 1e9


def test_survivors_are_let_live(jobmeter: Jobmeter, cgroup: Cgroup, daemon: list[int]) -> None:
    """A daemon that the command leaves is neither waited for nor killed, but moved back and named."""
    done = jobmeter.run("sh", "-c", LEAVE_A_DAEMON, prefix=cgroup.command([]))

    pid = int(done.stdout)
    daemon.append(pid)
    assert [(one.pid, one.name) for one in done.result.survivors] == [(pid, "sleep")]
    assert f"still running: sleep ({pid})" in done.stderr
    assert cgroup.pids() == {pid}
    assert cgroup.children() == []
    for path in cgroup.paths.values():
        assert (path / "cgroup.procs").read_text().split() == [str(pid)]


def test_survivors_of_cgroups_that_the_command_made(
    jobmeter: Jobmeter, cgroup: Cgroup, daemon: list[int]
) -> None:
    """A command that makes cgroups of its own, as an engine does, leaves none of them below ours."""
    script = f"""
        set -e
        own=/sys/fs/cgroup/unified$(sed -n s/^0:://p /proc/self/cgroup)
        test -d $own || own=/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup)
        mkdir $own/engine $own/engine/container
        {LEAVE_A_DAEMON}
        echo $! > $own/engine/container/cgroup.procs
    """
    done = jobmeter.run("--quiet", "sh", "-c", script, prefix=cgroup.command([]))

    assert done.exit_code == 0, done.stderr
    daemon.append(int(done.stdout))
    assert cgroup.children() == []
    assert (cgroup.paths[V2] / "cgroup.procs").read_text().split() == [done.stdout.strip()]


def test_next_start_removes_what_a_killed_wrapper_left(
    jobmeter: Jobmeter, cgroup: Cgroup, daemon: list[int]
) -> None:
    """SIGKILL leaves the cgroup and the command in it; the next run moves the command back, alive, and removes it."""
    argv = jobmeter.argv("--quiet", "sh", "-c", "echo $$; exec sleep 1000")
    with cgroup.spawn(argv, env=jobmeter.environment(), stdout=subprocess.PIPE, text=True) as wrapper:
        assert wrapper.stdout is not None
        daemon.append(int(wrapper.stdout.readline()))
        left = cgroup.children()
        wrapper.kill()
        wrapper.wait()
    assert len(left) >= 1
    assert cgroup.children() == left

    jobmeter.run("--quiet", "true", prefix=cgroup.command([]))

    assert cgroup.children() == []
    assert cgroup.pids() == set(daemon)


def test_cgroup_of_a_run_that_goes_on_is_let_alone(
    jobmeter: Jobmeter, cgroup: Cgroup, tmp_path: Path
) -> None:
    """A start removes only what nobody owns: a second run in the same cgroup leaves the first one's."""
    (tmp_path / "second").mkdir()
    argv = jobmeter.argv("--source=cgroup", "sh", "-c", "echo ready; read line; exit 4")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with cgroup.spawn(argv, env=jobmeter.environment(), **pipes) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "ready\n"
        before = cgroup.children()
        second = Jobmeter(tmp_path / "second").run("--quiet", "true", prefix=cgroup.command([]))
        assert second.exit_code == 0
        assert cgroup.children() == before
        first.communicate("\n")

    summary = jobmeter.summary()
    assert first.returncode == 4
    assert summary is not None
    assert (summary.containers[0].cpu_source, summary.warnings) == ("cgroup", [])
    assert cgroup.children() == []


def give_to(user: int, cgroup: Cgroup, *, processes: bool) -> None:
    """Delegate a cgroup to a user: the directories, and with `processes` also the right to move them about."""
    for path in cgroup.paths.values():
        os.chown(path, user, user)
        if processes:
            os.chown(path / "cgroup.procs", user, user)


def test_user_with_a_delegated_cgroup(nobody: Jobmeter, cgroup: Cgroup) -> None:
    """Without any privilege, but in a cgroup of one's own, the kernel's account is there; nothing is left."""
    give_to(NOBODY, cgroup, processes=True)

    done = nobody.run("sh", "-c", BUSY, prefix=[*cgroup.command([]), *AS_NOBODY], cwd="/")

    (job,) = done.result.containers
    assert (job.cpu_source, done.result.warnings) == ("cgroup", [])
    assert done.result.cpu_seconds == pytest.approx(job.cpu_seconds)
    assert job.memory_charged_peak_bytes
    assert (cgroup.children(), cgroup.pids()) == ([], set())


def test_command_that_cannot_enter_its_cgroup(nobody: Jobmeter, cgroup: Cgroup) -> None:
    """A cgroup that may be made but not entered: the ledger over /proc has all of the CPU time, and says so."""
    if "cpuacct" not in cgroup.paths:
        pytest.skip("with cgroup v2 alone, a cgroup that may be made may be entered")
    give_to(NOBODY, cgroup, processes=False)

    done = nobody.run("sh", "-c", BUSY, prefix=[*cgroup.command([]), *AS_NOBODY], cwd="/")

    assert done.result.containers[0].cpu_source == "proc"
    assert done.result.warnings == [
        "The command could not be moved into its cgroup; CPU time is taken from /proc instead."
    ]
    assert done.result.cpu_seconds is not None
    assert 0.02 < done.result.cpu_seconds < cgroup.cpu_seconds()
    assert (cgroup.children(), cgroup.pids()) == ([], set())


def test_run_within_a_run(jobmeter: Jobmeter, cgroup: Cgroup, tmp_path: Path) -> None:
    """The inner run's cgroup lies below the outer's, whose account includes it; nothing is left of either."""
    (tmp_path / "inner").mkdir()
    inner = Jobmeter(tmp_path / "inner")

    done = jobmeter.run(
        "--quiet",
        *inner.argv("--quiet", "sh", "-c", "cat /proc/self/cgroup; exit 6"),
        prefix=cgroup.command([]),
    )

    within = inner.summary()
    assert done.exit_code == 6
    assert within is not None
    assert within.exit.code == 6
    assert within.cpu_seconds is not None
    assert done.result.cpu_seconds is not None
    assert 0 < within.cpu_seconds < done.result.cpu_seconds
    unified = places(done.stdout)[""]
    assert OURS.search(unified)
    assert OURS.search(OURS.sub("", unified))
    assert (cgroup.children(), cgroup.pids()) == ([], set())


def test_many_quick_starts_leave_nothing(jobmeter: Jobmeter, cgroup: Cgroup) -> None:
    """200 runs, four at a time, each removing what it finds abandoned: all end well, none disturbs another."""
    argv = cgroup.command([*JOBMETER, "run", "--quiet", "--source=cgroup", "sh", "-c", "exit 9"])
    environment = jobmeter.environment()

    def start(_: int) -> tuple[int, str]:
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(start, range(STARTS)))

    assert set(results) == {(9, "")}
    assert (cgroup.children(), cgroup.pids()) == ([], set())


IN_THE_GUEST = f"""
import json, os, subprocess
from pathlib import Path
from tests.e2e.support.cgroup import Cgroup

TOP = Path("/sys/fs/cgroup")
OPTIONS = ["jobmeter", "run", "--quiet", "--json=/tmp/summary.json"]


def metered(*command, prefix=()):
    done = subprocess.run([*prefix, *OPTIONS, *command], stdout=subprocess.PIPE, text=True)
    summary = json.load(open("/tmp/summary.json"))
    return dict(summary["containers"][0], code=done.returncode, stdout=done.stdout, warnings=summary["warnings"])


def tell(case, **values):
    print(json.dumps(dict(case=case, **values)))


(TOP / "cgroup.subtree_control").write_text("-memory -io -pids")
before = (TOP / "cgroup.subtree_control").read_text()
root = metered("cat", "/proc/self/cgroup")
left = [path.name for path in TOP.iterdir() if path.is_dir()]
tell("root", before=before, after=(TOP / "cgroup.subtree_control").read_text(), left=left, **root)
(TOP / "cgroup.subtree_control").write_text("+memory +io +pids")
with Cgroup.create() as group:
    below = metered("sh", "-c", "cat /proc/self/cgroup; {LEAVE_A_DAEMON}", prefix=group.command([]))
    tell("below", children=len(group.children()), pids=list(group.pids()), own=str(group.paths["v2"]), **below)
    wrapper = group.spawn([*OPTIONS, "sh", "-c", "echo $$; exec sleep 1000"], stdout=subprocess.PIPE, text=True)
    pid = int(wrapper.stdout.readline())
    wrapper.kill()
    wrapper.wait()
    abandoned = len(group.children())
    metered("true", prefix=group.command([]))
    tell("killed", abandoned=abandoned, children=len(group.children()), alive=pid in group.pids())
TURN_OFF = "sleep 1; echo -memory -pids > /sys/fs/cgroup/cgroup.subtree_control; seq 3000000 >/dev/null"
tell("turned off", **metered("--interval=100ms", "sh", "-c", TURN_OFF))
"""


def test_cgroup_v2_alone(vm: VirtualMachine) -> None:
    """At the root and below it: a child of the caller's own, nothing is left, daemons are moved back.

    The CPU account goes on where somebody turns the controllers of the other accounts off.
    """
    result = vm.run("python3 /guest.py", files={"/guest.py": IN_THE_GUEST.encode()})

    assert result.exit_code == 0, result.stdout
    told = {line["case"]: line for line in result.json_lines()}
    root, below, killed = told["root"], told["below"], told["killed"]
    assert re.fullmatch(r"0::/jobmeter-\d+-\d+-\d+\n", root["stdout"])
    assert (root["cpu_source"], root["oom_kills"]) == ("cgroup", 0)
    assert root["memory_charged_peak_bytes"] > 0
    assert (root["after"], root["left"]) == (root["before"], [])
    place, pid = below["stdout"].split()
    assert OURS.sub("", place) == f"0::{below['own'].removeprefix('/sys/fs/cgroup')}"
    assert (below["cpu_source"], below["children"], below["pids"]) == ("cgroup", 0, [int(pid)])
    assert (killed["abandoned"], killed["children"], killed["alive"]) == (1, 0, True)
    turned_off = told["turned off"]
    assert (turned_off["code"], turned_off["cpu_source"]) == (0, "cgroup")
    assert turned_off["cpu_seconds"] > 0.1
    assert (turned_off["memory_charged_peak_bytes"], turned_off["oom_kills"]) == (None, None)
    assert any("controller was turned off" in sentence for sentence in turned_off["warnings"])
