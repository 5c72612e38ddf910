"""Meters a command and, at the same time, keeps an account of its CPU time that jobmeter has no part in.

Runs on the host and, by `main`, in the guest of `support.vm`; so it needs the standard library alone.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.e2e.support.cgroup import V2, Cgroup
from tests.e2e.support.exit_records import ExitRecords, unused_user_id

CGROUP = "cgroup of the test"
WAIT4 = "wait4"
EXIT_RECORDS = "exit records"


@dataclass(frozen=True)
class Truth:
    """One run: what jobmeter said, and what the account beside it said."""

    workload: str
    source: str
    interval: str
    account: str
    account_seconds: float
    jobmeter_seconds: float
    exit_code: int
    cpu_source: str
    cpu_complete: bool
    warnings: tuple[str, ...]
    machine: str
    processes: int | None = None
    recorded_seconds: tuple[float, float] | None = None
    """The sum of exit records by the scheduler's clock, and by sampled ticks."""

    @property
    def difference_seconds(self) -> float:
        """Above zero where jobmeter says more."""
        return self.jobmeter_seconds - self.account_seconds

    def within(self, share: float, seconds: float) -> bool:
        """True when jobmeter is right to a share of the account, or to so many seconds."""
        return abs(self.difference_seconds) <= max(share * self.account_seconds, seconds)


def proc_against_cgroup(workload: str, argv: Sequence[str], interval: str, programs: Path) -> Truth:
    """`--source proc` against a cgroup that holds the command and nothing else.

    The process moves itself there as its first act and says what it had used by then, which belongs to the
    account. For `--source proc` jobmeter makes no cgroup of its own. `programs` has `enter`, built.
    """
    with tempfile.TemporaryDirectory() as directory, Cgroup.create() as group:
        said = Path(directory) / "before"
        accounted = "cpuacct" if "cpuacct" in group.paths else V2
        places = [str(path) for key, path in group.paths.items() if key != accounted]
        enter = [str(programs / "enter"), str(said), *places, str(group.paths[accounted]), "--"]
        summary, exit_code = _meter("proc", interval, [*enter, *argv])
        account = group.cpu_seconds() + int(said.read_text()) / 1e6
    return _truth(workload, interval, summary, exit_code, "proc", CGROUP, account)


def cgroup_against_wait4(workload: str, argv: Sequence[str], programs: Path, *, waits: bool = True) -> Truth:
    """`--source cgroup` against what wait4(2) says of the command, or where nobody `waits`, its exit records.

    `programs` has `reporter`, built: the command's subreaper, so that daemons are in its account too.
    """
    user_id = unused_user_id()
    with tempfile.TemporaryDirectory() as directory, ExitRecords(user_id) as records:
        said = Path(directory) / "account.json"
        reporter = [str(programs / "reporter"), str(said), str(user_id)]
        summary, exit_code = _meter("cgroup", "1s", [*reporter, *argv])
        waited = json.loads(said.read_text())["microseconds"] / 1e6
    return _truth(
        workload, "1s", summary, exit_code, "cgroup",
        WAIT4 if waits else EXIT_RECORDS, waited if waits else records.run_seconds,
        processes=records.processes, recorded_seconds=(records.run_seconds, records.tick_seconds),
    )  # fmt: skip


def _meter(source: str, interval: str, command: Sequence[str]) -> tuple[dict[str, Any], int]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "summary.json"
        options = ["--quiet", f"--source={source}", f"--interval={interval}", f"--json={path}"]
        options.append(f"--journal={directory}/journal")
        argv = [sys.executable, "-m", "jobmeter", "run", *options, "--", *command]
        done = subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        if not path.exists():
            raise RuntimeError(f"no summary; exit code {done.returncode}: {done.stderr}")
        return json.loads(path.read_text()), done.returncode


def _truth(
    workload: str,
    interval: str,
    summary: dict[str, Any],
    exit_code: int,
    source: str,
    account: str,
    account_seconds: float,
    **more: Any,
) -> Truth:
    return Truth(
        workload=workload,
        source=source,
        interval=interval,
        account=account,
        account_seconds=account_seconds,
        jobmeter_seconds=summary["cpu_seconds"],
        exit_code=exit_code,
        cpu_source=summary["containers"][0]["cpu_source"],
        cpu_complete=summary["cpu_complete"],
        warnings=tuple(summary["warnings"]),
        machine=f"{os.cpu_count()} cores, Linux {platform.release()}",
        **more,
    )


def main(programs: str, *workloads: str) -> None:
    """In the guest: meter each workload, as JSON of [name, argv, intervals, waits], and print a line for each run."""
    os.environ.setdefault("HOME", "/root")
    for text in workloads:
        name, argv, intervals, waits = json.loads(text)
        runs = [proc_against_cgroup(name, argv, interval, Path(programs)) for interval in intervals]
        runs.append(cgroup_against_wait4(name, argv, Path(programs), waits=waits))
        for run in runs:
            print(json.dumps(asdict(run)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
