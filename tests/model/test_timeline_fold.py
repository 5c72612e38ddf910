"""The course of a run in a bounded number of points."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobmeter.model.container_fold import ContainerRates
from jobmeter.model.statistics import Series
from jobmeter.model.timeline import Timeline, TimelineMark
from jobmeter.model.timeline_fold import TimelineFold


def drawn(limit: int, values: list[float | None]) -> Timeline:
    """One sample a second; the value is the machine's percentage and the container's cores and memory."""
    fold = TimelineFold(limit)
    for second, value in enumerate(values):
        memory = None if value is None else int(value)
        fold.add(float(second), value, memory, {"a": ContainerRates(value, memory)})
    return fold.timeline({"a": "build"}, [TimelineMark(1.5, "tests")])


def test_few_samples_are_points_of_their_own() -> None:
    """Nothing is merged before the points are full; what was not read is a gap."""
    found = drawn(4, [1.0, None, 3.0])
    assert found.elapsed_seconds == [0, 1, 2]
    assert found.machine_cpu_percent == [1, None, 3]
    track = found.containers[0]
    assert (track.name, track.cpu_cores, track.memory_bytes) == ("build", [1, None, 3], [1, None, 3])
    assert track.throttled_ratio == [None, None, None]
    assert found.marks == [TimelineMark(1.5, "tests")]


def test_full_points_are_halved() -> None:
    """Two become one: the mean of rates beside their peak, the highest memory, the end of the span."""
    found = drawn(4, [1.0, 2.0, 3.0, 5.0, 7.0, 9.0])
    assert found.elapsed_seconds == [1, 3, 5]
    assert found.machine_cpu_percent == [1.5, 4, 8]
    assert found.containers[0].cpu_cores == [1.5, 4, 8]
    assert found.containers[0].cpu_cores_peak == [2, 5, 9]
    assert found.machine_memory_bytes == [2, 5, 9]


def test_a_gap_is_not_zero() -> None:
    """A point in which something was read is the mean of that alone."""
    found = drawn(2, [4.0, None, None, None])
    assert found.machine_cpu_percent == [4, None]


@given(st.integers(1, 20), st.lists(st.floats(0, 100), min_size=1, max_size=300))
def test_points_are_bounded_and_keep_peak_and_mean(limit, values) -> None:
    """At most the asked number of points, half of it at least once full; the peak is the summary's."""
    found = drawn(limit, values)
    points = len(found.elapsed_seconds)
    assert points <= limit + limit % 2
    assert points > (limit + limit % 2) // 2 or points == len(values)
    assert found.elapsed_seconds == sorted(set(found.elapsed_seconds))
    assert found.elapsed_seconds[-1] == len(values) - 1
    peaks = Series()
    for value in values:
        peaks.add(value)
    assert max(v for v in found.containers[0].cpu_cores_peak if v is not None) == peaks.statistic().peak
    for column in (found.machine_cpu_percent, found.machine_memory_bytes, found.containers[0].cpu_cores):
        assert len(column) == points


def test_a_container_that_comes_later_has_gaps_before() -> None:
    """Each track has a value or a gap for each point, also a container that was never read."""
    fold = TimelineFold(4)
    for second in range(6):
        rates = {"late": ContainerRates(cpu_cores=1.0)} if second >= 4 else {}
        fold.add(float(second), None, None, rates)
    found = fold.timeline({"late": "late", "never": "never"}, [])
    assert [one.cpu_cores for one in found.containers] == [[None, None, 1], [None, None, None]]


def test_an_empty_run_has_no_points() -> None:
    """A run that was lost before its first sample can be drawn too."""
    assert TimelineFold(10).timeline({}, []) == Timeline()
