"""Small runs made of records, for tests that need a journal or a summary."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jobmeter.model import wire
from jobmeter.model.exits import Exit
from jobmeter.model.job import Job
from jobmeter.model.sample import ContainerInfo, ContainerSample, Sample
from jobmeter.model.summarize import RunFold

UID = "01a1fe54-d5df-7f6d-81f6-3b7a0a39e6d0"
OTHER_UID = "01a1fe54-d5df-7f6d-81f6-3b7a0a39e6d1"
BOOT = "0b1c9c8e-0000-4000-8000-000000000001"


def records(
    run_uid: str = UID,
    *,
    ticks: int = 3,
    ended: bool = True,
    job: Job | None = None,
    meter: str = "collector",
) -> Iterator[wire.AnyRecord]:
    """A run of one container that uses half a core, one tick a second."""
    key: dict[str, Any] = {"v": wire.VERSION, "run_uid": run_uid}
    yield wire.Start(
        **key, sequence=0, start_time="2026-11-21T12:00:00.000Z", monotonic_seconds=100.0, boot_id=BOOT,
        interval_seconds=1.0, version="0.1.0", meter=meter, job=job or Job(repository="org/name"),
    )  # fmt: skip
    yield wire.Declare(**key, sequence=1, elapsed_seconds=0.0, container=ContainerInfo(key="a", name="build"))
    for tick in range(ticks):
        used = ContainerSample(
            key="a", cpu_source="cgroup", cpu_seconds=10 + tick * 0.5, memory_bytes=1000 * tick
        )
        sample = Sample(
            elapsed_seconds=float(tick), due_seconds=float(tick), containers=(used,),
            unattributed_cpu_seconds=0.0, cpu_complete=True,
        )  # fmt: skip
        yield wire.Tick(**key, sequence=2 + tick, sample=sample)
    if ended:
        last = max(0.0, ticks - 1.0)
        yield wire.End(**key, sequence=2 + ticks, elapsed_seconds=last, exit=Exit(reason="success", code=0))


def fold(*found: wire.AnyRecord) -> RunFold:
    """The fold of some records."""
    folded = RunFold()
    for record in found:
        folded.add(record)
    return folded


def write_journal(path: Path, *found: wire.AnyRecord) -> Path:
    """A journal of some records."""
    path.write_bytes(b"".join(wire.encode(record) + b"\n" for record in found))
    return path
