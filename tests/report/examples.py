"""Runs as they happen: the examples that golden files, screenshots and the documentation are made from."""

import math

from jobmeter.model.exits import Exit, Survivor
from jobmeter.model.job import Host, Job
from jobmeter.model.sample import Pressure, Stall
from jobmeter.model.statistics import Statistic
from jobmeter.model.summary import (
    CollectorSummary,
    ContainerSummary,
    ProcessSummary,
    ProgramSummary,
    Section,
    Summary,
)
from jobmeter.model.timeline import ContainerTrack, Timeline, TimelineMark

MIB = 1024**2
GIB = 1024**3
HOST = Host(name="ci-7", cpus=2, memory_bytes=8 * GIB, kernel="6.12.9")


def statistic(peak: float, avg: float) -> Statistic:
    """A plausible distribution between an average and a peak."""
    p99, p95, p75, p50 = (round(avg + (peak - avg) * share, 3) for share in (0.9, 0.8, 0.4, 0.1))
    return Statistic(peak, p99, p95, p75, p50, avg)


def clock(seconds: float) -> str:
    """The RFC 3339 time of a moment of the example runs."""
    return f"2026-11-21T12:{int(seconds) // 60:02d}:{seconds % 60:06.3f}Z"


def wave(count: int, low: float, high: float, *, ramps: float = 1.0, shape: float = 1.0) -> list[float]:
    """A smooth course with a little unrest, the same in every run."""
    values = []
    for i in range(count):
        course = 0.5 - 0.5 * math.cos(2 * math.pi * ramps * i / count)
        unrest = 0.06 * math.sin(i * 2.7) + 0.04 * math.sin(i * 7.1)
        values.append(low + (high - low) * min(1.0, max(0.0, course**shape + unrest)))
    return values


def make_build() -> tuple[Summary, Timeline]:
    """`jobmeter run make -j2` of GNU hello with configure: many short processes, marks, a survivor."""
    count = 65
    cpu = [0.9 + 0.12 * math.sin(i * 1.7) if i < 24 else 1.9 + 0.09 * math.sin(i * 2.3) for i in range(count)]
    cpu[-3:] = [1.1, 0.6, 0.2]
    memory = [
        40 * MIB + (0 if i < 24 else 700 * MIB * math.sin((i - 24) / 41 * math.pi)) for i in range(count)
    ]
    container = ContainerSummary(
        name="make",
        cpu_cores=Statistic(2.01, 2.0, 1.99, 1.95, 1.84, 1.513),
        memory_bytes=statistic(740 * MIB, 310 * MIB),
        cpu_seconds=98.63,
        cpu_user_seconds=74.21,
        cpu_system_seconds=24.42,
        cpu_source="cgroup",
        memory_source="working_set",
        rss_bytes=statistic(812 * MIB, 350 * MIB),
        memory_working_set_peak_bytes=740 * MIB,
        memory_high_water_bytes=612 * MIB,
        memory_charged_peak_bytes=1240 * MIB,
        cpu_limit_cores="unlimited",
        memory_limit_bytes=4 * GIB,
        throttled_seconds=0.0,
        oom_kills=0,
        pressure=Pressure(Stall(3.1, None), Stall(0.0, 0.0), Stall(0.42, 0.31)),
        io_read_bytes=120 * MIB,
        io_write_bytes=310 * MIB,
        pids_peak=24,
    )
    summary = Summary(
        run_uid="019aa5e2-4f00-7abc-8def-0123456789ab",
        job=Job(forge="github", organization="gnu", repository="gnu/hello", workflow="ci", job="build",
                run_id="4711", attempt=1, ref="refs/heads/main", sha="8910ac60ba6759fc", event="push"),
        start_time=clock(0),
        end_time=clock(65.2),
        duration_seconds=65.2,
        sample_count=66,
        cpu_total_percent=statistic(100.0, 79.0),
        mem_used_bytes=statistic(2.1 * GIB, 1.7 * GIB),
        mem_used_percent=statistic(26.3, 21.0),
        cpu_seconds=98.63,
        unattributed_cpu_seconds=0.0,
        containers=[container],
        top_cpu_processes=[
            ProcessSummary(pid=9001, name="ld", container="make", peak_cpu_percent=100.4, cpu_seconds=6.1,
                           peak_memory_bytes=612 * MIB),
            ProcessSummary(pid=8120, name="cc1", container="make", peak_cpu_percent=99.2, cpu_seconds=2.9,
                           peak_memory_bytes=88 * MIB),
        ],
        top_mem_processes=[
            ProcessSummary(pid=9001, name="ld", container="make", peak_cpu_percent=100.4, cpu_seconds=6.1,
                           peak_memory_bytes=612 * MIB),
            ProcessSummary(pid=8120, name="cc1", container="make", peak_cpu_percent=99.2, cpu_seconds=2.9,
                           peak_memory_bytes=88 * MIB),
            ProcessSummary(pid=8455, name="cc1", container="make", peak_cpu_percent=98.0, cpu_seconds=1.7,
                           peak_memory_bytes=71 * MIB),
            ProcessSummary(pid=4990, name="python3", container="make", peak_cpu_percent=61.0, cpu_seconds=0.4,
                           peak_memory_bytes=31 * MIB),
        ],
        programs=[
            ProgramSummary(name="cc1", count=4312, cpu_seconds=51.3, peak_memory_bytes=88 * MIB),
            ProgramSummary(name="sh", count=1893, cpu_seconds=14.9, peak_memory_bytes=4 * MIB),
            ProgramSummary(name="as", count=612, cpu_seconds=9.2, peak_memory_bytes=18 * MIB),
            ProgramSummary(name="ld", count=148, cpu_seconds=8.8, peak_memory_bytes=612 * MIB),
            ProgramSummary(name="make", count=17, cpu_seconds=1.1, peak_memory_bytes=12 * MIB),
            ProgramSummary(name="sed", count=870, cpu_seconds=0.9, peak_memory_bytes=3 * MIB),
        ],
        sections=[
            Section(name="start", start_time=clock(0), end_time=clock(1.2), cpu_seconds=0.4,
                    memory_working_set_peak_bytes=12 * MIB),
            Section(name="configure", start_time=clock(1.2), end_time=clock(24.1), cpu_seconds=21.2,
                    memory_working_set_peak_bytes=44 * MIB),
            Section(name="make -j2", start_time=clock(24.1), end_time=clock(61.5), cpu_seconds=75.1,
                    memory_working_set_peak_bytes=740 * MIB),
            Section(name="check", start_time=clock(61.5), end_time=clock(65.2), cpu_seconds=1.93,
                    memory_working_set_peak_bytes=120 * MIB),
        ],
        survivors=[Survivor(9822, "sccache")],
        exit=Exit(reason="failure", code=2, certainty="certain"),
        host=HOST,
        collector=CollectorSummary(version="0.1.0", interval_seconds=1.0, cpu_seconds=0.21,
                                   peak_memory_bytes=17 * MIB),
    )  # fmt: skip
    track = ContainerTrack(
        name="make",
        cpu_cores=[round(value, 3) for value in cpu],
        cpu_cores_peak=[round(min(2.01, value * 1.06), 3) for value in cpu],
        memory_bytes=[int(value) for value in memory],
        cpu_stall_ratio=[round(value, 4) for value in wave(count, 0, 0.11, ramps=3)],
        memory_stall_ratio=[0.0] * count,
        io_stall_ratio=[0.05 if i % 21 == 1 else 0.0 for i in range(count)],
    )
    timeline = Timeline(
        elapsed_seconds=[float(i + 1) for i in range(count)],
        machine_cpu_percent=[round(value * 50, 1) for value in cpu],
        machine_memory_bytes=[int(GIB + value) for value in memory],
        containers=[track],
        marks=[TimelineMark(1.2, "configure"), TimelineMark(24.1, "make -j2"), TimelineMark(61.5, "check")],
    )
    return summary, timeline


def oom_kill() -> tuple[Summary, Timeline]:
    """A link step that outgrows its container's memory limit and is killed by the kernel."""
    count = 48
    memory = [60 * MIB + int(452 * MIB * (i / 47) ** 2) for i in range(count)]
    container = ContainerSummary(
        name="build",
        id="4f1c2b9e8d77",
        cpu_cores=Statistic(1.02, 1.01, 1.0, 0.99, 0.98, 0.97),
        memory_bytes=statistic(512 * MIB, 220 * MIB),
        cpu_seconds=11.64,
        cpu_user_seconds=9.8,
        cpu_system_seconds=1.84,
        cpu_source="cgroup",
        memory_source="working_set",
        memory_working_set_peak_bytes=512 * MIB,
        memory_high_water_bytes=498 * MIB,
        memory_charged_peak_bytes=512 * MIB,
        cpu_limit_cores=1.0,
        memory_limit_bytes=512 * MIB,
        cpu_request_cores=0.5,
        memory_request_bytes=256 * MIB,
        throttled_seconds=0.4,
        oom_kills=1,
        pressure=Pressure(Stall(0.9, None), Stall(2.6, 2.1), Stall(0.1, 0.1)),
        io_read_bytes=240 * MIB,
        io_write_bytes=18 * MIB,
        network_rx_bytes=38 * MIB,
        network_tx_bytes=1 * MIB,
        pids_peak=7,
    )
    summary = Summary(
        run_uid="019aa5e2-4f00-7abc-8def-0123456789ac",
        job=Job(forge="forgejo", organization="acme", repository="acme/engine", workflow="release.yaml",
                job="link", run_id="812", attempt=2, matrix={"arch": "arm64", "lto": True},
                ref="refs/heads/lto"),
        start_time=clock(0),
        end_time=clock(12.0),
        duration_seconds=12.0,
        sample_count=49,
        cpu_seconds=11.64,
        unattributed_cpu_seconds=0.0,
        containers=[container],
        top_cpu_processes=[
            ProcessSummary(pid=77, name="ld.lld", container="build", peak_cpu_percent=101.0, cpu_seconds=10.9,
                           peak_memory_bytes=498 * MIB),
        ],
        top_mem_processes=[
            ProcessSummary(pid=77, name="ld.lld", container="build", peak_cpu_percent=101.0, cpu_seconds=10.9,
                           peak_memory_bytes=498 * MIB),
            ProcessSummary(pid=12, name="ninja", container="build", peak_cpu_percent=2.0, cpu_seconds=0.1,
                           peak_memory_bytes=14 * MIB),
        ],
        exit=Exit(reason="oom", code=137, signal="SIGKILL", certainty="certain",
                  detail="memory.events counted 1 OOM kill while ld.lld (pid 77) was the largest process"),
        host=HOST,
        collector=CollectorSummary(version="0.1.0", interval_seconds=0.25, late_ticks=3, read_errors=1,
                                   cpu_seconds=0.08, peak_memory_bytes=15 * MIB),
    )  # fmt: skip
    track = ContainerTrack(
        name="build",
        cpu_cores=[round(value, 3) for value in wave(count, 0.9, 1.0, ramps=5)],
        cpu_cores_peak=[round(value + 0.01, 3) for value in wave(count, 0.95, 1.0, ramps=5)],
        memory_bytes=[value if i != 20 else None for i, value in enumerate(memory)],
        throttled_ratio=[0.0 if i < 30 else 0.1 for i in range(count)],
        cpu_stall_ratio=[round(value, 4) for value in wave(count, 0, 0.2)],
        memory_stall_ratio=[0.0 if i < 36 else round((i - 36) / 14, 3) for i in range(count)],
        io_stall_ratio=[0.01] * count,
    )
    return summary, Timeline(elapsed_seconds=[(i + 1) / 4 for i in range(count)], containers=[track])


def sidecar() -> tuple[Summary, Timeline]:
    """A collector beside three containers: one throttled, one nested in it, one seen by /proc alone."""
    count = 240
    job = ContainerSummary(
        name="job",
        id="aa11",
        cpu_cores=Statistic(2.0, 2.0, 1.98, 1.9, 1.6, 1.42),
        memory_bytes=statistic(3.1 * GIB, 1.9 * GIB),
        cpu_seconds=681.6,
        cpu_user_seconds=590.1,
        cpu_system_seconds=91.5,
        cpu_source="cgroup",
        memory_source="working_set",
        memory_working_set_peak_bytes=int(3.1 * GIB),
        memory_charged_peak_bytes=4 * GIB,
        memory_high_water_bytes=int(1.2 * GIB),
        cpu_limit_cores=2.0,
        memory_limit_bytes=4 * GIB,
        throttled_seconds=143.2,
        oom_kills=0,
        pressure=Pressure(Stall(171.0, 100.0), Stall(0.0, 0.0), Stall(4.2, 3.9)),
        io_read_bytes=2 * GIB,
        io_write_bytes=5 * GIB,
        pids_peak=311,
    )
    nested = ContainerSummary(
        name="buildkit-cache-warmer",
        id="bb22",
        parent="aa11",
        cpu_cores=Statistic(1.1, 1.0, 0.9, 0.4, 0.2, 0.31),
        memory_bytes=statistic(640 * MIB, 300 * MIB),
        cpu_seconds=148.8,
        cpu_source="cgroup",
        memory_source="working_set",
        cpu_limit_cores="unlimited",
        memory_limit_bytes="unlimited",
    )
    database = ContainerSummary(
        name="postgres",
        id="cc33",
        cpu_cores=Statistic(0.31, 0.2, 0.11, 0.05, 0.02, 0.04),
        memory_bytes=statistic(212 * MIB, 190 * MIB),
        cpu_seconds=19.2,
        cpu_source="proc",
        memory_source="rss",
        rss_bytes=statistic(212 * MIB, 190 * MIB),
        memory_high_water_bytes=48 * MIB,
    )
    processes = [
        ProcessSummary(pid=431, name="rustc", container="job", peak_cpu_percent=199.0, cpu_seconds=188.0,
                       peak_memory_bytes=int(1.2 * GIB)),
        ProcessSummary(pid=902, name="buildkitd", container="buildkit-cache-warmer", peak_cpu_percent=110.0,
                       cpu_seconds=120.2, peak_memory_bytes=410 * MIB),
        ProcessSummary(pid=35, name="postgres", container="postgres", peak_cpu_percent=30.0, cpu_seconds=9.4,
                       peak_memory_bytes=48 * MIB),
    ]  # fmt: skip
    summary = Summary(
        run_uid="019aa5e2-4f00-7abc-8def-0123456789ad",
        job=Job(forge="gitea", organization="acme", repository="api", workflow="test.yml", job="integration",
                run_id="99", ref="refs/pull/12/head"),
        start_time=clock(0),
        end_time=clock(480),
        duration_seconds=480.0,
        sample_count=241,
        cpu_total_percent=statistic(38.0, 22.0),
        mem_used_percent=statistic(61.0, 48.0),
        cpu_seconds=700.8,
        unattributed_cpu_seconds=6.2,
        cpu_complete=False,
        containers=[database, nested, job],
        top_cpu_processes=processes,
        top_mem_processes=processes,
        warnings=["The cgroup of postgres cannot be read (permission denied); /proc is used for it."],
        host=Host(name="node-3", cpus=16, memory_bytes=64 * GIB),
        collector=CollectorSummary(version="0.1.0", interval_seconds=2.0, cpu_seconds=1.3,
                                   peak_memory_bytes=16 * MIB),
    )  # fmt: skip
    timeline = Timeline(
        elapsed_seconds=[2.0 * (i + 1) for i in range(count)],
        containers=[
            ContainerTrack(
                name="postgres",
                cpu_cores=[round(value, 3) for value in wave(count, 0.01, 0.12, ramps=9)],
                cpu_cores_peak=[round(value, 3) for value in wave(count, 0.02, 0.31, ramps=9)],
                memory_bytes=[int(value) for value in wave(count, 170 * MIB, 212 * MIB, shape=0.4)],
            ),
            ContainerTrack(
                name="buildkit-cache-warmer",
                cpu_cores=[
                    round(value, 3) if i < 130 else None for i, value in enumerate(wave(count, 0, 1, ramps=2))
                ],
                cpu_cores_peak=[
                    round(value, 3) if i < 130 else None
                    for i, value in enumerate(wave(count, 0.1, 1.1, ramps=2))
                ],
                memory_bytes=[
                    int(value) if i < 130 else None for i, value in enumerate(wave(count, MIB, 640 * MIB))
                ],
            ),
            ContainerTrack(
                name="job",
                cpu_cores=[round(value, 3) for value in wave(count, 0.5, 2.0, ramps=4, shape=0.3)],
                cpu_cores_peak=[round(value, 3) for value in wave(count, 0.9, 2.0, ramps=4, shape=0.2)],
                memory_bytes=[int(value) for value in wave(count, GIB, 3.1 * GIB, shape=0.6)],
                throttled_ratio=[round(value, 3) for value in wave(count, 0, 0.6, ramps=4)],
                cpu_stall_ratio=[round(value, 3) for value in wave(count, 0, 0.7, ramps=4)],
                memory_stall_ratio=[0.0] * count,
                io_stall_ratio=[round(value, 3) for value in wave(count, 0, 0.1, ramps=11)],
            ),
        ],
        marks=[
            TimelineMark(0.1, "checkout"),
            TimelineMark(20.0, "compile the release"),
            TimelineMark(320.5, "test"),
        ],
    )
    return summary, timeline


def brief() -> tuple[Summary, Timeline]:
    """`jobmeter run /bin/true`: three milliseconds, known from wait4 alone."""
    container = ContainerSummary(
        name="true", cpu_seconds=0.002, cpu_user_seconds=0.001, cpu_system_seconds=0.001, cpu_source="proc",
        cpu_cores=Statistic(avg=0.667), memory_high_water_bytes=1900 * 1024, memory_source="rss",
    )  # fmt: skip
    summary = Summary(
        run_uid="019aa5e2-4f00-7abc-8def-0123456789ae",
        start_time=clock(0),
        end_time=clock(0.003),
        duration_seconds=0.003,
        sample_count=2,
        cpu_seconds=0.002,
        containers=[container],
        exit=Exit(reason="success", code=0, certainty="certain"),
        host=HOST,
        collector=CollectorSummary(
            version="0.1.0", interval_seconds=1.0, cpu_seconds=0.03, peak_memory_bytes=12 * MIB
        ),
    )
    return summary, Timeline()


def hostile() -> tuple[Summary, Timeline]:
    """A build whose every name tries to break out of the format it is shown in."""
    evil = "\x1b]0;pwned\x07\x1b[2J<script>alert(1)</script>|`x`\n# H\r\u202e=cmd|' /C calc'!A0"
    summary, timeline = make_build()
    summary.job = Job(repository=evil, workflow=evil, job=evil, matrix={evil: evil}, ref=evil)
    summary.containers[0].name = evil
    summary.containers.append(ContainerSummary(name="コンテナ名前がとても長い", parent=evil, cpu_seconds=1.0))
    summary.containers.append(ContainerSummary(name="\udc80\u200b@SUM(A1)"))
    for process in (*summary.top_cpu_processes, *summary.top_mem_processes):
        process.name = process.container = evil
    for program in summary.programs:
        program.name = evil
    for section in summary.sections:
        section.name, section.start_time = evil, evil
    summary.survivors = [Survivor(1, evil)]
    summary.warnings = [evil]
    summary.exit = Exit(reason="signal", code=137, signal=evil, detail=evil, certainty="probable")
    summary.host = Host(name=evil, kernel=evil)
    timeline.containers[0].name = evil
    timeline.marks = [TimelineMark(mark.elapsed_seconds, evil) for mark in timeline.marks]
    return summary, timeline


def unknown() -> tuple[Summary, Timeline]:
    """A run of which nothing could be read but that it was there."""
    summary = Summary(
        run_uid="019aa5e2-4f00-7abc-8def-0123456789af",
        start_time=clock(0),
        end_time=clock(30),
        duration_seconds=30.0,
        sample_count=0,
        containers=[ContainerSummary(name="job")],
        exit=Exit(reason="lost"),
    )
    return summary, Timeline()


def only_begun(end: Exit) -> Summary:
    """A run that was seen once, right after its start."""
    return Summary(
        run_uid="019aa5e2-4f00-7abc-8def-0123456789ba",
        start_time=clock(0),
        end_time=clock(0),
        duration_seconds=0.004,
        sample_count=1,
        containers=[ContainerSummary(name="job", cpu_limit_cores=1.0, cpu_source="cgroup")],
        exit=end,
    )


EXAMPLES = {
    "build": make_build,
    "oom": oom_kill,
    "sidecar": sidecar,
    "brief": brief,
    "hostile": hostile,
    "unknown": unknown,
}
