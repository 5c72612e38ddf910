"""What a container needs of memory, as far as one run shows it."""

from jobmeter.model.summary import ContainerSummary


def in_use_peak_bytes(container: ContainerSummary) -> float | None:
    """The most that ticks saw in use: the working set, or what is known in its place."""
    seen = container.memory_working_set_peak_bytes
    return container.memory_bytes.peak if seen is None else seen


def memory_need_bytes(container: ContainerSummary) -> int | None:
    """The highest of what ticks saw in use and of what one process held.

    Never the kernel's charged peak: page cache is in it, which a job does not need.
    """
    known = (in_use_peak_bytes(container), container.memory_high_water_bytes)
    return max((int(each) for each in known if each is not None), default=None)
