"""CPU time of `jobmeter run` against an independent account, for workloads that are hard on a meter.

JOBMETER_ACCURACY=write (`make accuracy`) also writes the results into docs/accuracy.md.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.support import accuracy
from tests.e2e.support.components import jobmeter_environment, require_root
from tests.e2e.support.truth import Truth, cgroup_against_wait4, proc_against_cgroup
from tests.e2e.support.vm import VirtualMachine
from tests.e2e.support.workloads import AUTOREAP, WORKLOADS, Workload

METERED = [workload for workload in WORKLOADS if workload is not AUTOREAP]
IN_VM = [workload for workload in WORKLOADS if workload.runs_in_vm]
PROC_BOUND = (0.01, 0.05)
"""A share of the account, or seconds, whichever is more."""
CGROUP_BOUND = (0.001, 0.02)
INTERVALS = ("2s", "200ms")
INTERVALS_IN_VM = INTERVALS if accuracy.WRITE else INTERVALS[:1]
"""An emulated machine takes its time, so the tests take the harder interval alone."""

Lay = Callable[[Workload], list[str]]
Keep = Callable[[str, Truth], Truth]


@pytest.fixture(scope="module")
def keep() -> Iterator[Keep]:
    """Keeps a result for the page of accuracies, by the table it belongs to."""
    kept: dict[str, list[Truth]] = {}

    def keep_one(table: str, truth: Truth) -> Truth:
        kept.setdefault(table, []).append(truth)
        return truth

    yield keep_one
    if accuracy.WRITE:
        names = [workload.name for workload in WORKLOADS]
        for table, truths in kept.items():
            truths.sort(key=lambda truth: names.index(truth.workload))
            rows = map(accuracy.cpu_row, truths)
            accuracy.write_table(table, accuracy.CPU_HEADING, rows, truths[0].machine)
        recorded = [truth for truth in kept["run"] if truth.recorded_seconds is not None]
        rows = map(accuracy.record_row, recorded)
        accuracy.write_table("exit records", accuracy.RECORD_HEADING, rows, recorded[0].machine)


@pytest.fixture(scope="module")
def programs(program: Callable[[str], Path]) -> Path:
    """The folder of the programs that keep the accounts."""
    program("enter")
    return program("reporter").parent


@pytest.fixture
def lay(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lay]:
    """Lays a workload out where every user may run it; returns its command."""
    require_root("an account of the test's own")
    directory = Path(tempfile.mkdtemp(prefix="jobmeter-truth-"))
    for name, value in jobmeter_environment(HOME=str(directory)).items():
        monkeypatch.setenv(name, value)

    def lay_out(workload: Workload) -> list[str]:
        workload.prepare(directory / "work")
        subprocess.run(["chmod", "-R", "a+rwX", directory], check=True)
        return workload.argv(directory / "work")

    yield lay_out
    shutil.rmtree(directory)


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("workload", METERED, ids=str)
def test_proc_agrees_with_a_cgroup_of_the_test(
    lay: Lay, keep: Keep, programs: Path, workload: Workload, interval: str
) -> None:
    """`--source proc` is within 1 % or 50 ms of the kernel's account of a cgroup with the command alone."""
    truth = keep("run", proc_against_cgroup(workload.name, lay(workload), interval, programs))

    assert (truth.exit_code, truth.cpu_source, truth.cpu_complete) == (0, "proc", True)
    assert truth.within(*PROC_BOUND), truth


@pytest.mark.parametrize("workload", METERED, ids=str)
def test_cgroup_agrees_with_wait4(lay: Lay, keep: Keep, programs: Path, workload: Workload) -> None:
    """`--source cgroup` is within 0.1 % or 20 ms of what wait4(2) says of the command and all its orphans."""
    truth = keep("run", cgroup_against_wait4(workload.name, lay(workload), programs))

    assert (truth.exit_code, truth.cpu_source, truth.cpu_complete) == (0, "cgroup", True)
    assert truth.within(*CGROUP_BOUND), truth


def test_autoreaped_children_are_what_proc_cannot_see(lay: Lay, keep: Keep, programs: Path) -> None:
    """With SIGCHLD ignored, children leave no trace in /proc: the result says that it is a lower bound."""
    truth = keep("autoreap", proc_against_cgroup(AUTOREAP.name, lay(AUTOREAP), "50ms", programs))

    assert truth.cpu_source == "proc"
    assert not truth.cpu_complete
    assert any("ignores SIGCHLD" in warning for warning in truth.warnings)
    assert truth.jobmeter_seconds <= truth.account_seconds


def test_cgroup_sees_autoreaped_children(lay: Lay, keep: Keep, programs: Path) -> None:
    """The cgroup's account has them whole, by the exit records of the kernel."""
    truth = keep("autoreap", cgroup_against_wait4(AUTOREAP.name, lay(AUTOREAP), programs, waits=False))

    assert (truth.cpu_source, truth.cpu_complete, truth.warnings) == ("cgroup", True, ())
    assert truth.within(*CGROUP_BOUND), truth


def test_guest_with_cgroup_v2_alone_agrees_too(
    vm: VirtualMachine, programs: Path, keep: Keep, tmp_path: Path
) -> None:
    """In a machine with cgroup v2 alone, inside of which both accounts are made, the same bounds hold."""
    given = []
    for workload in IN_VM:
        directory, waits = tmp_path / workload.name, workload is not AUTOREAP
        workload.prepare(directory)
        given.append(
            json.dumps([workload.name, workload.argv(directory), INTERVALS_IN_VM if waits else [], waits])
        )

    result = vm.run(
        shlex.join(["python3", "-m", "tests.e2e.support.truth", str(programs), *given]),
        files={str(tmp_path): tmp_path, str(programs): programs},
        timeout=900,
    )

    assert result.exit_code == 0, result.stdout
    truths = [Truth(**line) for line in result.json_lines()]
    assert len(truths) == len(IN_VM) + len(INTERVALS_IN_VM) * (len(IN_VM) - 1)
    for truth in truths:
        keep("guest", truth)
        assert (truth.exit_code, truth.cpu_source) == (0, truth.source)
        assert truth.account_seconds > 0.5, f"{truth.workload} did not do its work"
        assert truth.within(*(PROC_BOUND if truth.source == "proc" else CGROUP_BOUND)), truth
