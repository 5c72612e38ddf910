"""The course of a run as the reports take it: points to draw or to write, out of buckets."""

from jobmeter.model.timeline import ContainerTrack, Timeline
from jobmeter.receiver.api.buckets import ContainerCourse, Course, Means


def timeline_of(course: Course) -> Timeline:
    """The buckets as points: of CPU use the lowest, mean and highest value, of memory the highest."""
    return Timeline(
        elapsed_seconds=course.elapsed_seconds,
        machine_cpu_percent=course.machine_cpu_percent.avg,
        machine_memory_bytes=_whole(course.machine_memory_bytes.max),
        containers=[_track(one) for one in course.containers],
        marks=course.marks,
    )


def _track(course: ContainerCourse) -> ContainerTrack:
    return ContainerTrack(
        name=course.name,
        cpu_cores=_bridged(course.cpu_cores.avg),
        cpu_cores_peak=_bridged(course.cpu_cores.max),
        cpu_cores_low=_bridged(course.cpu_cores.min),
        memory_bytes=_whole(_bridged(course.memory_bytes.max)),
        throttled_ratio=_bridged(course.throttled_ratio),
        cpu_stall_ratio=_bridged(course.cpu_stall_ratio),
        memory_stall_ratio=_bridged(course.memory_stall_ratio),
        io_stall_ratio=_bridged(course.io_stall_ratio),
    )


def _bridged(values: Means) -> Means:
    """The values; one that is missing alone, because a tick came late, is that before it."""
    found = list(values)
    for i in range(1, len(values) - 1):
        if values[i] is None and values[i + 1] is not None:
            found[i] = values[i - 1]
    return found


def _whole(values: Means) -> list[int | None]:
    return [None if value is None else int(value) for value in values]
