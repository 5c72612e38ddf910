"""What is read of a stored summary for history."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from jobmeter.model.exits import Exit
from jobmeter.model.history.usage import Reserved, Usage, usage_of
from jobmeter.model.job import Job
from jobmeter.model.statistics import Statistic
from tests.model.budgets.runs import GIB, JOB, MIB, box, run_of


def read(summary: Any, job: Job = JOB) -> Usage:
    return usage_of(msgspec.json.encode(summary), msgspec.json.encode(job))


def test_the_numbers_are_those_of_budgets() -> None:
    """A run of one container with a request and a limit."""
    container = box(
        cpu_seconds=90.0, memory_request_bytes=GIB, memory_limit_bytes=2 * GIB, cpu_request_cores=4.0,
        throttled_seconds=1.5, oom_kills=0,
    )  # fmt: skip

    assert read(run_of(container)) == Usage(
        exit_reason="success", duration_seconds=60.0, cpu_seconds=90.0, memory_bytes=300 * MIB, network_bytes=1000,
        memory_total_bytes=300 * MIB, throttled_seconds=1.5, oom_kills=0,
        reserved_cores=Reserved(4.0, 1.5, unused=2.5),
        reserved_memory_bytes=Reserved(GIB, 300 * MIB, unused=GIB - 300 * MIB),
        ref="refs/heads/faster",
    )  # fmt: skip


@pytest.mark.parametrize(
    "fields, reserved",
    [
        ({}, Reserved()),
        ({"memory_limit_bytes": "unlimited"}, Reserved()),
        ({"memory_limit_bytes": GIB}, Reserved(GIB, 300 * MIB, unused=GIB - 300 * MIB)),
        ({"memory_limit_bytes": GIB, "memory_request_bytes": 5}, Reserved(5, 300 * MIB, unused=0)),
    ],
)
def test_a_limit_alone_is_a_request(fields: dict[str, Any], reserved: Reserved) -> None:
    """And an unlimited container reserves nothing that is known."""
    assert read(run_of(box(**fields))).reserved_memory_bytes == reserved


def test_only_containers_at_the_top_count() -> None:
    """What is nested is within what holds it; one whose use was not read does not dilute the others, and is told."""
    boxes = (
        box("pod", id="p", memory_limit_bytes=GIB),
        box("inner", id="i", parent="p", memory_limit_bytes=GIB),
        box("side", memory_limit_bytes=2 * GIB),
        box("dark", memory_limit_bytes=GIB, memory_working_set_peak_bytes=None, memory_high_water_bytes=None),
    )

    found = read(run_of(*boxes))

    assert found.memory_total_bytes == 600 * MIB
    assert found.memory_bytes == 300 * MIB
    assert "memory" in found.lower_bounds
    assert found.reserved_memory_bytes == Reserved(3 * GIB, 600 * MIB, True, 3 * GIB - 600 * MIB)


def test_a_container_hides_no_waste_of_another() -> None:
    """What a sidecar uses beyond its own was not taken from what the build left unused."""
    build = box("build", cpu_seconds=0.0, cpu_request_cores=4.0, memory_request_bytes=GIB)
    sidecar = box("sidecar", cpu_seconds=300.0, cpu_request_cores=1.0, memory_request_bytes=100 * MIB)

    found = read(run_of(build, sidecar))

    assert found.reserved_cores == Reserved(5.0, 5.0, unused=4.0)
    assert found.reserved_memory_bytes.unused == GIB - 300 * MIB


def test_a_summary_of_seed_000_has_no_total_but_its_containers() -> None:
    """Their means make it; processes between two samples are missed, so it is a lower bound."""
    content = (
        b'{"start_time":"2026-02-06T12:00:00Z","end_time":"2026-02-06T12:00:20Z","duration_seconds":20,'
        b'"sample_count":11,"containers":[{"name":"runner","cpu_cores":{"peak":2.0,"avg":1.5},'
        b'"memory_bytes":{"peak":1000,"avg":900}}]}'
    )

    found = usage_of(content, b'{"repository":"my-org/my-repo"}')

    assert (found.cpu_seconds, found.memory_bytes, found.exit_reason) == (30.0, 1000, "unknown")
    assert found.cores == 1.5
    assert found.lower_bounds == ("cpu_seconds",)


@pytest.mark.parametrize(
    "content",
    [b"", b"no JSON", b"[]", b"\xff", b'{"containers":[{}]}', b'{"containers":7}', b"[" * 100_000,
     b'{"duration_seconds":-1}', b'{"cpu_seconds":1e300,"cpu_complete":true}', b'{"duration_seconds":"a"}'],
)  # fmt: skip
def test_what_is_no_summary_tells_nothing_but_its_job(content: bytes) -> None:
    """A receiver takes whatever it is sent."""
    job = Job(ref="main", matrix={"os": "linux"}, runner_labels=("a", "b"))

    assert usage_of(content, msgspec.json.encode(job)) == Usage(
        ref="main", leg="os=linux", runner_labels=("a", "b")
    )


def test_a_lost_run_tells_lower_bounds() -> None:
    """Its end was not seen."""
    found = read(run_of(box(cpu_cores=Statistic(avg=1.0)), exit=Exit(reason="lost")))

    assert set(found.lower_bounds) == {"memory", "cpu_seconds", "duration", "network"}


@pytest.mark.parametrize(
    "samples, seconds, reason, told",
    [(1, 0.0, "lost", None), (61, 60.0, "lost", 60.0), (1, 0.0, "success", 0.0), (1, 60.0, "lost", 60.0)],
)
def test_a_run_that_was_lost_when_it_began_has_no_duration(
    samples: int, seconds: float, reason: str, told: float | None
) -> None:
    """That of one sample is none; a run that came to its end may be short."""
    found = read(run_of(sample_count=samples, duration_seconds=seconds, exit=Exit(reason=reason)))

    assert found.duration_seconds == told


def test_cores_need_a_time() -> None:
    """A run of no length has none."""
    assert Usage(cpu_seconds=1.0, duration_seconds=0.0).cores is None
