"""Summaries with the numbers that budgets are about."""

from typing import Any

from jobmeter.model.exits import Exit
from jobmeter.model.job import Job
from jobmeter.model.summary import ContainerSummary, Summary

MIB, GIB = 2**20, 2**30
JOB = Job(
    forge="forgejo",
    organization="acme",
    repository="acme/engine",
    workflow="ci.yaml",
    job="build",
    ref="refs/heads/faster",
    base_ref="main",
)


def box(name: str = "build", **fields: Any) -> ContainerSummary:
    """A container whose ticks saw 300 MiB and whose largest process held 200 MiB; its page cache filled the limit."""
    known: dict[str, Any] = {
        "memory_working_set_peak_bytes": 300 * MIB,
        "memory_high_water_bytes": 200 * MIB,
        "memory_charged_peak_bytes": 4 * GIB,
        "network_rx_bytes": 700,
        "network_tx_bytes": 300,
    }
    return ContainerSummary(name=name, **(known | fields))


def run_of(*containers: ContainerSummary, **fields: Any) -> Summary:
    """A run of ``containers``, one unless they are said, that took 60 s and 90 CPU seconds."""
    known: dict[str, Any] = {
        "run_uid": "019aa5e2-4f00-7abc-8def-0123456789ab",
        "job": JOB,
        "start_time": "2026-11-21T12:00:00.000Z",
        "end_time": "2026-11-21T12:01:00.000Z",
        "duration_seconds": 60.0,
        "sample_count": 61,
        "cpu_seconds": 90.0,
        "unattributed_cpu_seconds": 0.0,
        "exit": Exit(reason="success", code=0),
    }
    return Summary(containers=list(containers or (box(),)), **(known | fields))
