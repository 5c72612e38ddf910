"""What the person who asks may choose."""

from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

from jobmeter.model.errors import UsageError

CpuPercentile = Literal["peak", "p99", "p95", "p75", "p50", "avg"]
CPU_PERCENTILES: tuple[CpuPercentile, ...] = get_args(CpuPercentile)
MAX_RUNS = 100
MAX_DAYS = 731
"""Two years."""
MAX_BUFFER_PERCENT = 400


class Parameters(Struct, frozen=True, kw_only=True):
    """How many runs are looked at, with how much to spare; raises UsageError for what is not accepted."""

    runs: Annotated[int, Meta(description="The last N runs of each leg of the matrix, 1 to 100.")] = 20
    days: Annotated[
        int | None,
        Meta(description="All runs of the last N days instead, 1 to 731; only a store keeps these."),
    ] = None
    buffer_percent: Annotated[
        float, Meta(description="What is added to the highest need and to CPU, 0 to 400.")
    ] = 20.0
    cpu_percentile: Annotated[
        CpuPercentile, Meta(description="Which statistic of a run's CPU use is requested.")
    ] = "p95"
    default_memory_bytes: Annotated[
        int, Meta(description="The least that a job without one clean run is advised to request.")
    ] = 4 * 2**30
    default_cpu_cores: Annotated[float, Meta(description="The same of CPU.")] = 0.5

    def __post_init__(self) -> None:
        if not 1 <= self.runs <= MAX_RUNS:
            raise UsageError(f"runs is {self.runs}; accepted are whole numbers from 1 to {MAX_RUNS}")
        if self.days is not None and not 1 <= self.days <= MAX_DAYS:
            raise UsageError(f"days is {self.days}; accepted are whole numbers from 1 to {MAX_DAYS}")
        if not 0 <= self.buffer_percent <= MAX_BUFFER_PERCENT:
            raise UsageError(
                f"buffer is {self.buffer_percent:g}; accepted are percentages from 0 to {MAX_BUFFER_PERCENT}"
            )
        if self.cpu_percentile not in CPU_PERCENTILES:
            accepted = ", ".join(CPU_PERCENTILES)
            raise UsageError(f"cpu_percentile is {self.cpu_percentile!r}; accepted are {accepted}")

    @property
    def factor(self) -> float:
        """What a need is multiplied by."""
        return 1 + self.buffer_percent / 100
