"""Answers of an engine on Windows, in the shapes of the Docker Engine API: no Windows host was asked."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

FIRST = "f1" * 32
SECOND = "52" * 32
INFO = {"OSType": "windows", "Isolation": "process", "NCPU": 8, "Name": "BUILD-3", "ServerVersion": "25.0.5"}
NEVER = "0001-01-01T00:00:00Z"

_CPU = {"total_usage": 123456789, "usage_in_kernelmode": 23437500, "usage_in_usermode": 98437500}
_UNUSED_CPU = {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0}
_THROTTLING = {"periods": 0, "throttled_periods": 0, "throttled_time": 0}


def _network(**counters: int) -> dict[str, Any]:
    names = (
        "rx_bytes",
        "rx_packets",
        "rx_errors",
        "rx_dropped",
        "tx_bytes",
        "tx_packets",
        "tx_errors",
        "tx_dropped",
    )
    return dict.fromkeys(names, 0) | counters


STATS: dict[str, Any] = {
    "id": FIRST,
    "name": "/runner-x1-project-7-concurrent-0-build",
    "os_type": "windows",
    "read": "2026-03-04T05:06:07.123456789Z",
    "preread": NEVER,
    "num_procs": 8,
    "cpu_stats": {"cpu_usage": _CPU, "throttling_data": _THROTTLING},
    "precpu_stats": {"cpu_usage": _UNUSED_CPU, "throttling_data": _THROTTLING},
    "memory_stats": {"commitbytes": 505036800, "commitpeakbytes": 545357824, "privateworkingset": 129720320},
    "storage_stats": {
        "read_count_normalized": 41, "read_size_bytes": 262144, "write_count_normalized": 7, "write_size_bytes": 65536,
    },
    "networks": {
        "3ae5cf15-4b8f": _network(rx_bytes=1000, rx_packets=10, rx_dropped=1, tx_bytes=500, tx_packets=5),
        "a01d6c2e-9f00": _network(rx_bytes=24, rx_packets=1, tx_bytes=12, tx_packets=1, tx_dropped=2),
    },
    "pids_stats": {},
    "blkio_stats": {
        "io_service_bytes_recursive": None, "io_serviced_recursive": None, "io_queue_recursive": None,
        "io_service_time_recursive": None, "io_wait_time_recursive": None, "io_merged_recursive": None,
        "io_time_recursive": None, "sectors_recursive": None,
    },
}  # fmt: skip
"""Of a container that runs in the kernel of the host; the numbers of memory are those of moby's issue 36359."""
HYPERV_STATS = STATS | {
    "cpu_stats": {"cpu_usage": {**_UNUSED_CPU, "total_usage": 123456789}, "throttling_data": _THROTTLING}
}
NOT_RUNNING: dict[str, Any] = {
    "id": FIRST, "name": "/build", "os_type": "windows", "read": NEVER, "preread": NEVER, "num_procs": 0,
    "cpu_stats": {"cpu_usage": _UNUSED_CPU, "throttling_data": _THROTTLING},
    "precpu_stats": {"cpu_usage": _UNUSED_CPU, "throttling_data": _THROTTLING},
    "memory_stats": {}, "pids_stats": {}, "blkio_stats": {}, "storage_stats": {},
}  # fmt: skip
UNREADABLE = NOT_RUNNING | {"read": STATS["read"], "num_procs": 8}
"""Of a container of which Windows told the engine nothing."""

LISTED: dict[str, Any] = {
    "Id": FIRST,
    "Names": ["/web/other", "/runner-x1-project-7-concurrent-0-build"],
    "Image": "mcr.microsoft.com/windows/servercore:ltsc2022",
    "ImageID": "sha256:4f0c",
    "Command": "powershell",
    "Created": 1795300000,
    "Labels": {"jobmeter.repository": "acme/engine", "jobmeter.job": "build", "jobmeter.workflow": "ci.yml"},
    "State": "running",
    "Status": "Up 3 minutes",
    "HostConfig": {"NetworkMode": "nat"},
    "NetworkSettings": {"Networks": {"nat": {}}},
    "Mounts": [],
    "Ports": [],
}


def inspected(**host_config: object) -> dict[str, Any]:
    """A container with these limits."""
    unset = {
        "Isolation": "process",
        "Memory": 0,
        "NanoCpus": 0,
        "CpuCount": 0,
        "CpuPercent": 0,
        "CpuShares": 0,
    }
    return {
        "Id": FIRST,
        "Created": "2026-11-21T21:46:40Z",
        "State": {"Status": "running", "Running": True, "Pid": 4711, "StartedAt": "2026-11-21T21:46:41.5Z"},
        "HostConfig": {**unset, **host_config},
    }


def changed(answer: dict[str, Any], *path: str, to: object) -> dict[str, Any]:
    """The answer with another value there."""
    answer = deepcopy(answer)
    place = answer
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = to
    return answer


def without(answer: dict[str, Any], *names: str) -> dict[str, Any]:
    """The answer without these fields."""
    return {name: value for name, value in answer.items() if name not in names}


def text(answer: object) -> bytes:
    """As it is sent."""
    return json.dumps(answer).encode()
