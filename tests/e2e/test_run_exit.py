"""How `jobmeter run` ends: the command's exit code comes back, and the summary says why it ended."""

from __future__ import annotations

import signal
import sys

import pytest

from tests.e2e.support.cgroup import Cgroup
from tests.e2e.support.runs import Jobmeter
from tests.e2e.support.vm import VirtualMachine

MIB = 1024 * 1024
LIMIT_MIB = 96
HOG = "tail /dev/zero"
"""Takes memory without end."""

ON_SIGNALS = """
import os, signal, sys
signals = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
print("ready", flush=True)
print(signal.sigwait(signals).name, flush=True)
sys.exit(int(sys.argv[1]))
"""
"""Says which signal came first, then ends with the given code."""


@pytest.mark.parametrize(
    "script, code, reason, signal_name",
    [
        ("exit 0", 0, "success", None),
        ("exit 3", 3, "failure", None),
        ("exit 255", 255, "failure", None),
        ("kill -TERM $$", 143, "signal", "SIGTERM"),
        ("kill -KILL $$", 137, "signal", "SIGKILL"),
        ("kill -SEGV $$", 139, "signal", "SIGSEGV"),
        ("kill -PIPE $$", 141, "signal", "SIGPIPE"),
        ("sh -c 'kill -9 $$'; true", 0, "success", None),
    ],
)
def test_exit_code_and_reason(
    jobmeter: Jobmeter, script: str, code: int, reason: str, signal_name: str | None
) -> None:
    """The command's code comes back, 128 + N for signal N, and the reason is in the summary."""
    done = jobmeter.run("sh", "-c", script)

    end = done.result.exit
    assert (done.exit_code, end.code, end.reason, end.signal) == (code, code, reason, signal_name)
    assert end.certainty == "certain"


def test_a_kill_that_was_not_for_want_of_memory_says_so(jobmeter: Jobmeter) -> None:
    """SIGKILL makes everybody think of memory; the kernel's count rules it out where it can be read."""
    result = jobmeter.run("sh", "-c", "kill -KILL $$").result

    counted = result.containers[0].oom_kills == 0
    assert ("not by the kernel for lack of memory" in (result.exit.detail or "")) is counted


def test_command_without_dashes_keeps_its_own_flags(jobmeter: Jobmeter) -> None:
    """`jobmeter run ls --all` gives `--all` to ls: what follows the command is the command's."""
    assert jobmeter.run("echo", "--quiet", "--", "-x").stdout == "--quiet -- -x\n"
    assert jobmeter.run("--", "echo", "--json", "a").stdout == "--json a\n"


@pytest.mark.parametrize(
    "words, code, sentence",
    [
        (["/no/such/command"], 127, "the command '/no/such/command' was not found"),
        (["no-such-command-anywhere"], 127, "was not found"),
        (["/etc/passwd"], 126, "cannot be executed: Permission denied"),
        (["/"], 126, "cannot be executed"),
        ([], 125, "there is no command to run"),
        (["--interval=1ms", "true"], 125, "an interval is from 50ms to 1h"),
        (["--no-such-flag", "true"], 125, "the flag --no-such-flag is not known"),
        (["--json=-", "true"], 125, "stdout is the command's"),
        (["--json", "-", "true"], 125, "stdout is the command's"),
        (["--json=fd:77", "true"], 125, "descriptor 77 is not open"),
        (["--json=/proc/no/x", "true"], 125, "does not exist"),
        (["--markdown=-", "true"], 125, "'-' is not accepted"),
        (["--html=/", "true"], 125, "is a directory"),
        (["--duration=1s", "true"], 125, "--duration goes with --pid"),
        (["--pid=1", "true"], 125, "is not accepted with it"),
        (["--pid=999999999"], 125, "cannot be metered"),
    ],
)
def test_what_cannot_run_is_one_sentence(
    jobmeter: Jobmeter, words: list[str], code: int, sentence: str
) -> None:
    """125 is ours, 126 not executable, 127 not found, as in timeout(1); one sentence, no traceback, no report.

    A command that could not be started is a run that failed; what is refused before is none.
    """
    done = jobmeter.run(*words)

    assert done.exit_code == code
    assert sentence in done.stderr
    assert done.stderr.startswith("jobmeter run: ")
    assert done.stderr.count("\n") == 1
    if code == 125:
        assert done.summary is None
    else:
        assert (done.result.exit.reason, done.result.exit.code) == ("failure", code)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signal_of_another_process_is_passed_on(jobmeter: Jobmeter, signum: signal.Signals) -> None:
    """What a CI runner sends to the wrapper reaches the command; one that ends badly then was cancelled."""
    with jobmeter.start(sys.executable, "-c", ON_SIGNALS, "5") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signum)
        done = jobmeter.finish(process)

    assert done.stdout == f"{signum.name}\n"
    assert (done.exit_code, done.result.exit.reason) == (5, "cancelled")
    assert signum.name in (done.result.exit.detail or "")


def test_command_that_handles_the_signal_has_succeeded(jobmeter: Jobmeter) -> None:
    """A daemon that stops well when it is asked to has not failed."""
    with jobmeter.start(sys.executable, "-c", ON_SIGNALS, "0") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        done = jobmeter.finish(process)

    assert (done.exit_code, done.result.exit.reason) == (0, "success")


def test_command_killed_by_the_signal_passed_on(jobmeter: Jobmeter) -> None:
    """SIGTERM to the wrapper of a command that does not handle it: 143, cancelled, the signal named."""
    with jobmeter.start("sh", "-c", "echo ready; exec sleep 1000") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        done = jobmeter.finish(process)

    end = done.result.exit
    assert (done.exit_code, end.reason, end.code, end.signal) == (143, "cancelled", 143, "SIGTERM")


@pytest.mark.parametrize(
    "script, code, signal_name, certainty",
    [
        (f"exec {HOG}", 137, "SIGKILL", "certain"),
        (f"{HOG}; exit $?", 137, None, "certain"),
        (f"{HOG}; exit 3", 3, None, "probable"),
        (f"{HOG}; sleep 1.5; kill -9 $$", 137, "SIGKILL", "probable"),
    ],
    ids=["command", "child", "child of a command that fails", "child of a command that goes on"],
)
def test_oom_kill_is_the_cause_of_death(
    jobmeter: Jobmeter, cgroup: Cgroup, script: str, code: int, signal_name: str | None, certainty: str
) -> None:
    """A kill below the limit of an enclosing cgroup: named with the limit and the biggest process.

    That it is the cause is certain where the exit code tells of a kill just before; a command may also fail otherwise.
    """
    cgroup.limit_memory(LIMIT_MIB * MIB)

    done = jobmeter.run("--interval=50ms", "sh", "-c", script, prefix=cgroup.command([]))

    end = done.result.exit
    (job,) = done.result.containers
    assert (done.exit_code, end.reason, end.code, end.signal) == (code, "oom", code, signal_name)
    assert end.certainty == certainty
    assert f"the memory limit is {LIMIT_MIB} MiB" in (end.detail or "")
    assert "the biggest process was tail" in (end.detail or "")
    assert (job.oom_kills, job.memory_limit_bytes) == (1, LIMIT_MIB * MIB)
    said = " ".join(done.stderr.split())
    assert "killed for lack of memory after" in said
    assert f"limit {LIMIT_MIB} MiB, largest process tail" in said
    assert cgroup.oom_kills() == 0, "the kill is counted where it was: in the cgroup of the command"


def test_oom_kill_that_others_may_have_caused_is_probable(jobmeter: Jobmeter, cgroup: Cgroup) -> None:
    """Without a cgroup of its own, the count is of the enclosing one, which others share: probable."""
    cgroup.limit_memory(LIMIT_MIB * MIB)

    done = jobmeter.run("--source=proc", "sh", "-c", f"{HOG}; exit 3", prefix=cgroup.command([]))

    end = done.result.exit
    assert (done.exit_code, end.reason, end.certainty) == (3, "oom", "probable")
    assert "probably killed for lack of memory" in done.stderr


def test_command_that_survives_an_oom_kill_has_succeeded(jobmeter: Jobmeter, cgroup: Cgroup) -> None:
    """A build may retry what was killed: success it is, but the kill is told."""
    cgroup.limit_memory(LIMIT_MIB * MIB)

    done = jobmeter.run("sh", "-c", f"{HOG}; exit 0", prefix=cgroup.command([]))

    assert (done.exit_code, done.result.exit.reason) == (0, "success")
    assert done.result.containers[0].oom_kills == 1
    assert "1 OOM kill" in done.stderr


OOM_IN_THE_GUEST = f"""
from tests.e2e.support.cgroup import Cgroup
import json, sys

for script in ("{HOG}; exit 3", "exec {HOG}"):
    with Cgroup.create() as group:
        group.limit_memory({LIMIT_MIB} << 20)
        command = ["jobmeter", "run", "--quiet", "--json=/tmp/summary.json", "sh", "-c", script]
        code = group.run(command).returncode
    summary = json.load(open("/tmp/summary.json"))
    print(json.dumps(dict(summary["exit"], returned=code, kills=summary["containers"][0]["oom_kills"])))
"""


def test_oom_kill_in_cgroup_v2(vm: VirtualMachine) -> None:
    """`memory.max` of an enclosing cgroup v2, whose processes leave it no controllers: named all the same."""
    result = vm.run("python3 /oom.py", files={"/oom.py": OOM_IN_THE_GUEST.encode()})

    child, command = result.json_lines()
    assert (child["returned"], child["reason"], child["signal"]) == (3, "oom", None)
    assert (command["returned"], command["reason"], command["signal"]) == (137, "oom", "SIGKILL")
    for end in (child, command):
        assert end["kills"] == 1
        assert f"the memory limit is {LIMIT_MIB} MiB" in end["detail"]
        assert "the biggest process was tail" in end["detail"]
        assert end["certainty"] == "probable", (
            "processes in the enclosing cgroup leave no memory controller below it"
        )
