"""The runs of tests/golden/journal_v1.jsonl: one with every record and every field, one with the least."""

from __future__ import annotations

from jobmeter.model import wire
from jobmeter.model.exits import Exit, Survivor
from jobmeter.model.job import Host, Job
from jobmeter.model.sample import (
    ContainerInfo,
    ContainerSample,
    HostSample,
    MeterSample,
    Pressure,
    ProcessSample,
    ProgramSample,
    Sample,
    Stall,
)
from jobmeter.model.summarize import RunFold
from jobmeter.spool.recorder import Recorder

WHOLE = "019aa6a4-9b40-7000-8000-000000000001"
LEAST = "019aa6a4-9b40-7000-8000-000000000002"
MIB = 2**20


def golden_records() -> list[wire.AnyRecord]:
    """Both runs, one after the other."""
    found: list[wire.AnyRecord] = []
    for run_uid, write in ((WHOLE, _whole), (LEAST, _least)):
        recorder = Recorder(run_uid, RunFold())
        recorder.add_sink(found.append)
        write(recorder)
    return found


def _whole(recorder: Recorder) -> None:
    recorder.start(
        start_time="2026-11-21T12:00:00.250Z",
        monotonic_seconds=4000.5,
        boot_id="7b4c8d1e-55f3-4f0c-9a53-0c6f1a6f2d11",
        interval_seconds=1.0,
        version="1.0.0",
        meter="collector",
        job=_job(),
        host=Host(name="runner-7", cpus=4, memory_bytes=8192 * MIB, kernel="6.1.0-56-cloud-amd64"),
    )
    recorder.declare(0.0, _build())
    recorder.declare(0.0, _service())
    recorder.sample(_sample(0))
    recorder.sample(_sample(1))
    recorder.mark(1.0, "tests")
    recorder.sample(_sample(2))
    recorder.warn("/proc/7/status cannot be read (Permission denied).")
    recorder.resume(2.75, "1.0.1")
    recorder.sample(_sample(3))
    recorder.end(
        3.5,
        Exit(reason="oom", code=137, signal="SIGKILL", detail="The kernel killed cc1.", certainty="probable"),
        (Survivor(4242, "sccache"), Survivor(4243, "dockerd")),
    )


def _least(recorder: Recorder) -> None:
    """Each kind of record with nothing but what it must have."""
    recorder.start(
        start_time="2026-11-21T12:00:00.000Z",
        monotonic_seconds=0.0,
        boot_id=None,
        interval_seconds=1.0,
        version="1",
        meter="run",
        job=Job(),
        host=Host(),
    )
    recorder.declare(0.0, ContainerInfo(key="a", name="a"))
    recorder.sample(
        Sample(
            elapsed_seconds=0.0,
            due_seconds=0.0,
            unattributed_cpu_seconds=None,
            cpu_complete=True,
            containers=(ContainerSample(key="a"),),
            processes=(ProcessSample(pid=1, start_seconds=0.0, name=""),),
            programs=(ProgramSample(name="", count=1),),
        )
    )
    recorder.mark(0.0, "")
    recorder.warn("")
    recorder.resume(1.0, "1")
    recorder.end(1.0, Exit())


def _job() -> Job:
    return Job(
        forge="forgejo",
        server_url="https://forge.example",
        organization="acme",
        repository="acme/engine",
        workflow="ci.yml",
        job="build",
        run_id="815",
        attempt=2,
        matrix={"os": "debian", "python": 3.12, "cores": 4, "experimental": False, "extra": None},
        ref="refs/heads/main",
        base_ref="refs/heads/stable",
        sha="8910ac60ba6759fc8910ac60ba6759fc8910ac60",
        event="push",
        runner="runner-7",
        runner_labels=("docker", "x64"),
    )


def _build() -> ContainerInfo:
    return ContainerInfo(
        key="/docker/4f0c",
        name="build",
        id="4f0c",
        cgroup="/docker/4f0c",
        began=True,
        cpu_limit_cores=2.0,
        memory_limit_bytes=512 * MIB,
        cpu_request_cores=0.5,
        memory_request_bytes=256 * MIB,
    )


def _service() -> ContainerInfo:
    return ContainerInfo(
        key="/docker/4f0c/docker/9bca",
        name="postgres",
        id="9bca",
        parent="/docker/4f0c",
        cgroup="/docker/4f0c/docker/9bca",
        cpu_limit_cores="unlimited",
        memory_limit_bytes="unlimited",
    )


def _sample(number: int) -> Sample:
    """At second ``number``: the machine is half busy, the build uses 1.5 cores, the service 0.25."""
    return Sample(
        elapsed_seconds=float(number),
        due_seconds=max(0.0, number - 0.001),
        host=HostSample(
            busy_seconds=100.0 + 2 * number,
            idle_seconds=900.0 + 1.75 * number,
            steal_seconds=7.0 + 0.25 * number,
            memory_total_bytes=8192 * MIB,
            memory_available_bytes=(6000 - 100 * number) * MIB,
        ),
        containers=(_build_sample(number), _service_sample(number)),
        processes=_processes(number),
        programs=(
            ProgramSample(name="cc1", count=40, cpu_seconds=1.25, peak_memory_bytes=(60 + number) * MIB),
            ProgramSample(name="sh", count=3, cpu_seconds=0.01),
        ),
        unattributed_cpu_seconds=0.125 * number,
        cpu_complete=number < 3,
        devices=({"kind": "gpu", "index": 0},),
        meter=MeterSample(
            cpu_seconds=0.002 * (number + 1), peak_memory_bytes=11 * MIB, read_errors=number, late_ticks=1
        ),
    )


def _build_sample(number: int) -> ContainerSample:
    return ContainerSample(
        key="/docker/4f0c",
        cpu_source="cgroup",
        cpu_seconds=1.5 * number + 0.1,
        cpu_user_seconds=1.25 * number + 0.075,
        cpu_system_seconds=0.25 * number + 0.025,
        memory_source="working_set",
        memory_bytes=(200 + 50 * number) * MIB,
        rss_bytes=(180 + 50 * number) * MIB,
        high_water_bytes=(90 + number) * MIB,
        charged_peak_bytes=500 * MIB,
        throttled_seconds=0.5 * number,
        oom_kills=number // 3,
        pressure=Pressure(
            cpu=Stall(0.25 * number, 0.0),
            memory=Stall(0.125 * number, 0.0625 * number),
            io=Stall(0.5 * number, 0.25 * number),
        ),
        io_read_bytes=number * MIB,
        io_write_bytes=2 * number * MIB,
        network_rx_bytes=3 * number * MIB,
        network_tx_bytes=4 * number * MIB,
        pids=20 + number,
        pids_peak=40 + number,
    )


def _service_sample(number: int) -> ContainerSample:
    """A ledger over /proc, which starts anew at zero after the restart between seconds 2 and 3."""
    since = number if number < 3 else 0
    return ContainerSample(
        key="/docker/4f0c/docker/9bca",
        cpu_source="proc",
        cpu_seconds=0.25 * since,
        cpu_user_seconds=0.2 * since,
        cpu_system_seconds=0.05 * since,
        memory_source="rss",
        memory_bytes=30 * MIB,
        rss_bytes=30 * MIB,
        pids=4,
    )


def _processes(number: int) -> tuple[ProcessSample, ...]:
    return (
        ProcessSample(
            pid=300 + number,
            start_seconds=4000.0 + number,
            name="cc1",
            container="/docker/4f0c",
            cpu_seconds=0.75,
            recent_cpu_seconds=0.75,
            recent_seconds=0.8,
            rss_bytes=(55 + number) * MIB,
            high_water_bytes=(60 + number) * MIB,
        ),
        ProcessSample(
            pid=200,
            start_seconds=3999.5,
            name="postgres",
            container="/docker/4f0c/docker/9bca",
            cpu_seconds=0.25 * number,
            recent_cpu_seconds=0.25,
            recent_seconds=1.0,
            rss_bytes=30 * MIB,
        ),
    )
