"""The processes of `jobmeter mark` among those of a job: in its CPU time, and in no list."""

PROGRAM = "jobmeter-mark"
"""Its name, at most 15 characters as the kernel keeps them."""
# One takes some 40 ms. What uses more than this is listed, whatever it calls itself.
_MOST_SECONDS = 1.0


def are_marks(name: str, cpu_seconds: float, count: int = 1) -> bool:
    """Whether so many processes of a name are the tool's own; ``cpu_seconds`` is that of all together."""
    return name == PROGRAM and cpu_seconds <= count * _MOST_SECONDS
