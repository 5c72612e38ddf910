"""The course of a run for drawing: a bounded number of points, columns of equal length."""

from typing import Annotated

from msgspec import Meta, Struct, field


class TimelineMark(Struct, frozen=True):
    """A named point in the run."""

    elapsed_seconds: Annotated[float, Meta(description="Seconds from the run's start.")]
    name: Annotated[str, Meta(description="What was marked.")]


class ContainerTrack(Struct, kw_only=True):
    """One container over the run; one value per point, None where nothing was read.

    ``cpu_cores`` is the mean of a point's time, ``cpu_cores_peak`` its highest rate and ``cpu_cores_low`` its lowest
    one, which not every course has;
    ``memory_bytes`` is the highest value in it. The ratios are shares of the point's time, 0 to 1
    (throttled time is summed over CPUs and may exceed 1).
    """

    name: str
    cpu_cores: list[float | None] = field(default_factory=list)
    cpu_cores_peak: list[float | None] = field(default_factory=list)
    cpu_cores_low: list[float | None] = field(default_factory=list)
    memory_bytes: list[int | None] = field(default_factory=list)
    throttled_ratio: list[float | None] = field(default_factory=list)
    cpu_stall_ratio: list[float | None] = field(default_factory=list)
    memory_stall_ratio: list[float | None] = field(default_factory=list)
    io_stall_ratio: list[float | None] = field(default_factory=list)


class Timeline(Struct, kw_only=True):
    """Points in time (``elapsed_seconds``, the end of each point's span) and what was read in them."""

    elapsed_seconds: list[float] = field(default_factory=list)
    machine_cpu_percent: list[float | None] = field(default_factory=list)
    machine_memory_bytes: list[int | None] = field(default_factory=list)
    containers: list[ContainerTrack] = field(default_factory=list)
    marks: list[TimelineMark] = field(default_factory=list)
