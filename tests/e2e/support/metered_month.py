"""A month of three jobs: each run is a real one under `jobmeter run`, in a cgroup with limits, and only dated back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from jobmeter.model.summary import Summary
from tests.e2e.support.cgroup import Cgroup
from tests.e2e.support.runs import Jobmeter
from tests.e2e.support.workloads import PYTHON, PYTHON_TESTS, SERIAL_GCC

DAYS = 28
_BUILD = (
    "cd {gcc} && rm -f *.o && ls unit_*.c | head -n {units} | xargs -P 2 -n 1 gcc -O2 -c"
    " && {python} -c \"import time; held = b'x' * ({megabytes} << 20); time.sleep(0.4)\""
)
_TEST = "cd {tests} && {python} -m unittest discover -q"
_PACK = "cat {gcc}/*.c {tests}/*.py /usr/lib/*/libc.so.6 | xz -{level} -T 1 > {gcc}/packed.xz"


class _Job(Struct, frozen=True):
    repository: str
    workflow: str
    name: str
    script: str
    limit_cores: float
    limit_bytes: int


_JOBS = (
    _Job("acme/engine", "ci.yaml", "build", _BUILD, 2.0, 1 << 30),
    _Job("acme/engine", "ci.yaml", "unit tests", _TEST, 1.5, 512 << 20),
    _Job("acme/site", "release.yaml", "pack", _PACK, 1.0, 80 << 20),
)


def metered_month(directory: Path, runs: int) -> Iterator[Summary]:
    """Summaries of `runs` runs of each job, oldest first; the build's need rises lastingly at two thirds of them.

    Every sixth of the builds is one of another branch, which links with less memory; the last archive is packed with
    more memory than its job may have.
    """
    SERIAL_GCC.prepare(directory / "gcc")
    PYTHON_TESTS.prepare(directory / "tests")
    begins = datetime.now(UTC).replace(microsecond=0) - timedelta(days=DAYS)
    for number in range(runs):
        for minutes, job in enumerate(_JOBS):
            summary = _metered(job, number, runs, directory)
            start = begins + timedelta(days=DAYS) * number / runs + timedelta(minutes=7 * minutes)
            yield replace(summary, start_time=f"{start:%Y-%m-%dT%H:%M:%SZ}")


def _metered(job: _Job, number: int, runs: int, directory: Path) -> Summary:
    """One run, its limits held by the kernel."""
    risen, aside, last = number >= runs * 2 // 3, number % 6 == 5, number == runs - 1
    script = job.script.format(
        gcc=directory / "gcc",
        tests=directory / "tests",
        python=PYTHON,
        units=10 if risen else 6,
        megabytes=(90 if aside else 240) if risen else 120,
        level=9 if last else 4,
    )
    variables = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_SERVER_URL": "https://forge.example",
        "GITHUB_REPOSITORY": job.repository,
        "GITHUB_REPOSITORY_OWNER": job.repository.partition("/")[0],
        "GITHUB_WORKFLOW_REF": f"{job.repository}/.github/workflows/{job.workflow}@refs/heads/main",
        "GITHUB_JOB": job.name,
        "GITHUB_RUN_ID": str(8100 + number),
        "GITHUB_SHA": f"{number + 11:02x}a1c9e4d07b52f8" * 2 + "0123456789abcdef"[:8],
        "GITHUB_REF": "refs/heads/less-memory" if aside else "refs/heads/main",
    }
    meter = Jobmeter(directory)
    with Cgroup.create() as group:
        group.limit_cpu(job.limit_cores)
        group.limit_memory(job.limit_bytes)
        words = ("--interval=50ms", "--source=cgroup", "--", "sh", "-c", script)
        return meter.run(*words, env=variables, prefix=group.command([])).result
