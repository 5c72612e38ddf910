"""A job is a value: it can be a member of a set, whatever is known of it."""

from __future__ import annotations

from jobmeter.model.job import Job


def test_legs_of_a_matrix_are_different_jobs():
    """Although a matrix has no hash of its own."""
    legs = [Job(repository="org/tool", matrix={"os": name}) for name in ("linux", "linux", "macos")]
    assert len({*legs, Job(repository="org/tool")}) == 3
    assert len({hash(leg) for leg in legs}) == 1
