"""Any run that the contract allows, for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

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

HOSTILE = (
    "\x1b[31m",
    "\n",
    "\r",
    "\u202e",
    "<b onmouseover=x>",
    "`|`",
    "=1+1",
    "コンテナ",
    "\x9b",
    "\udc80",
    "]]>",
    "&lt;",
)

names = st.one_of(
    st.text(max_size=30), st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=6).map("".join)
)
seconds = st.one_of(
    st.none(), st.floats(0, 1e9, allow_nan=False), st.sampled_from([0.0, 0.0004, 59.96, 3599.7])
)
counts = st.one_of(st.none(), st.integers(0, 2**63))
floats = st.one_of(st.none(), st.floats(0, 1e15, allow_nan=False))
statistics = st.builds(Statistic, floats, floats, floats, floats, floats, floats)
stalls = st.one_of(st.none(), st.builds(Stall, seconds, seconds))
containers = st.builds(
    ContainerSummary,
    name=names,
    id=st.one_of(st.none(), st.sampled_from(["a", "b"])),
    parent=st.one_of(st.none(), st.sampled_from(["a", "b"]), names),
    cpu_cores=statistics,
    memory_bytes=statistics,
    rss_bytes=statistics,
    cpu_seconds=seconds,
    cpu_user_seconds=seconds,
    cpu_source=st.sampled_from([None, "cgroup", "exit_records", "proc"]),
    memory_source=st.sampled_from([None, "working_set", "rss"]),
    memory_high_water_bytes=counts,
    memory_charged_peak_bytes=counts,
    cpu_limit_cores=st.one_of(st.just("unlimited"), floats),
    memory_limit_bytes=st.one_of(st.just("unlimited"), counts),
    throttled_seconds=seconds,
    oom_kills=counts,
    pressure=st.one_of(st.none(), st.builds(Pressure, stalls, stalls, stalls)),
    io_read_bytes=counts,
    network_rx_bytes=counts,
    pids_peak=counts,
)
processes = st.builds(
    ProcessSummary,
    pid=st.integers(0, 2**31),
    name=names,
    container=st.one_of(st.none(), names),
    peak_cpu_percent=floats,
    cpu_seconds=seconds,
    peak_memory_bytes=counts,
)
times = st.one_of(st.just("2026-11-21T12:00:00.000Z"), st.just("2026-11-21T12:00:00"), names)
exits = st.builds(
    Exit,
    reason=st.sampled_from(
        ["success", "failure", "signal", "oom", "timeout", "cancelled", "lost", "unknown"]
    ),
    code=st.one_of(st.none(), st.integers(0, 255)),
    signal=st.one_of(st.none(), names),
    detail=st.one_of(st.none(), names),
    certainty=st.sampled_from([None, "certain", "probable"]),
)


def summaries() -> st.SearchStrategy[Summary]:
    """Summaries with any names, with and without each number."""
    return st.builds(
        Summary,
        run_uid=names,
        job=st.builds(
            Job,
            organization=st.one_of(st.none(), names),
            repository=st.one_of(st.none(), names),
            job=st.one_of(st.none(), names),
            matrix=st.one_of(st.none(), st.dictionaries(names, names, max_size=2)),
            ref=st.one_of(st.none(), names),
        ),
        start_time=times,
        end_time=times,
        duration_seconds=st.one_of(st.floats(0, 1e8, allow_nan=False), st.sampled_from([0.0, 0.003, 65.2])),
        sample_count=st.integers(0, 10**9),
        cpu_total_percent=statistics,
        cpu_seconds=seconds,
        unattributed_cpu_seconds=seconds,
        cpu_complete=st.booleans(),
        containers=st.lists(containers, max_size=3),
        top_cpu_processes=st.lists(processes, max_size=2),
        top_mem_processes=st.lists(processes, max_size=2),
        programs=st.lists(
            st.builds(ProgramSummary, name=names, count=st.integers(0, 10**7), cpu_seconds=seconds),
            max_size=2,
        ),
        sections=st.lists(
            st.builds(Section, name=names, start_time=times, end_time=times, cpu_seconds=seconds), max_size=2
        ),
        survivors=st.lists(st.builds(Survivor, st.integers(1, 2**31), names), max_size=2),
        warnings=st.lists(names, max_size=2),
        exit=exits,
        host=st.builds(
            Host, name=st.one_of(st.none(), names), cpus=st.one_of(st.none(), st.integers(1, 4096))
        ),
        collector=st.builds(CollectorSummary, interval_seconds=seconds, cpu_seconds=seconds),
    )


@st.composite
def timelines(draw: st.DrawFn) -> Timeline:
    """Timelines of few points, with gaps, whose containers need not be those of the summary."""
    count = draw(st.integers(0, 12))

    def column(values: st.SearchStrategy[float | None]) -> list[float | None]:
        return draw(st.lists(values, min_size=count, max_size=count))

    ratios = st.one_of(st.none(), st.floats(0, 8, allow_nan=False))
    tracks = [
        ContainerTrack(
            name=draw(names),
            cpu_cores=column(floats),
            cpu_cores_peak=column(floats),
            memory_bytes=draw(st.lists(counts, min_size=count, max_size=count)),
            throttled_ratio=column(ratios),
            io_stall_ratio=column(ratios),
        )
        for _ in range(draw(st.integers(0, 2)))
    ]
    step = draw(st.floats(0.01, 1000))
    marks = draw(st.lists(st.builds(TimelineMark, st.floats(0, 1e5), names), max_size=3))
    return Timeline(elapsed_seconds=[step * (i + 1) for i in range(count)], containers=tracks, marks=marks)
