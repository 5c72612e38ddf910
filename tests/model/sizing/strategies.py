"""Any history of a job: kills, gaps, legs, containers that come and go."""

from __future__ import annotations

from hypothesis import strategies as st

from jobmeter.model.sizing.observation import ContainerUse, Observation
from jobmeter.model.sizing.parameters import CPU_PERCENTILES, Parameters
from jobmeter.model.statistics import Statistic

MIB = 2**20
sizes = st.integers(0, 64 * 2**30)
cores = st.integers(0, 8000).map(lambda thousandths: thousandths / 1000)
maybe_cores = st.none() | cores

parameters = st.builds(
    Parameters,
    runs=st.integers(1, 4),
    buffer_percent=st.sampled_from([0, 10, 20, 250]),
    cpu_percentile=st.sampled_from(CPU_PERCENTILES),
)


def uses(name: str) -> st.SearchStrategy[ContainerUse]:
    """One container of a run, with whatever was read of it."""
    return st.builds(
        ContainerUse,
        name=st.just(name),
        cpu_cores=st.builds(Statistic, *[maybe_cores] * 6),
        memory_need_bytes=st.none() | sizes,
        killed_at_bytes=st.none() | st.none() | sizes,
        throttled_cores=maybe_cores,
        memory_charged_peak_bytes=st.none() | sizes,
        memory_limit_bytes=st.none() | sizes | st.just("unlimited"),
        memory_request_bytes=st.none() | sizes,
        cpu_limit_cores=st.none() | cores | st.just("unlimited"),
        cpu_request_cores=maybe_cores,
    )


runs = st.builds(
    Observation,
    run_uid=st.integers(0, 10**9).map(str),
    end_time=st.dates().map(lambda day: f"{day.isoformat()}T12:00:00.000Z"),
    duration_seconds=st.integers(0, 4000).map(lambda quarters: quarters / 4),
    outcome=st.sampled_from(["ok", "ok", "ok", "failed", "lost", "killed"]),
    containers=st.sets(st.sampled_from(["build", "redis", "db"])).flatmap(
        lambda names: st.tuples(*[uses(name) for name in sorted(names)])
    ),
    leg=st.sampled_from(["", "os=linux"]),
    cpu_complete=st.booleans(),
    host_cpus=st.none() | st.integers(1, 64),
    host_memory_bytes=st.none() | st.integers(MIB, 2**40),
)
histories = st.lists(runs, max_size=10, unique_by=lambda run: run.run_uid)
