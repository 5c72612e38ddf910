"""The course of a run in buckets of equal time."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.model.container_fold import ContainerRates
from jobmeter.model.timeline import TimelineMark
from jobmeter.receiver.api.buckets import BucketFold, Course, Range


def told(fold: BucketFold, *samples: tuple[float, float | None, int | None]) -> Course:
    """Samples of one container and of the machine alike: the time, the rate, what was read at that moment."""
    for elapsed, rate, gauge in samples:
        fold.add(elapsed, rate, gauge, {"a": ContainerRates(rate, gauge)})
    return fold.course({"a": "build"}, [TimelineMark(1.5, "tests")])


def test_a_bucket_has_the_lowest_mean_and_highest_value() -> None:
    """The mean of a rate is weighted by the time it held."""
    found = told(BucketFold(4.0, 10), (0.0, None, 5), (1.0, 4.0, 7), (4.0, 1.0, 9), (6.0, 2.0, 3))

    assert found.elapsed_seconds == [4, 6]
    assert found.machine_cpu_percent == Range(min=[1, 2], avg=[1.75, 2], max=[4, 2])
    assert found.machine_memory_bytes == Range(min=[5, 3], avg=[7, 3], max=[9, 3])
    container = found.containers[0]
    assert (container.name, container.cpu_cores, container.memory_bytes) == (
        "build",
        found.machine_cpu_percent,
        found.machine_memory_bytes,
    )
    assert found.marks == [TimelineMark(1.5, "tests")]


def test_a_rate_counts_in_every_bucket_of_its_time_and_a_reading_in_that_of_its_moment() -> None:
    """A tick that is longer than a bucket leaves no hole in the rate; memory was not read in between."""
    found = told(BucketFold(1.0, 10), (0.5, None, 8), (3.5, 2.0, 9))
    assert found.machine_cpu_percent.avg == [2, 2, 2, 2]
    assert found.machine_memory_bytes.avg == [8, None, None, 9]


def test_shares_of_time_are_means_weighted_by_the_time_they_held() -> None:
    """Throttling and waiting, each in a column of its own; null where nothing was read."""
    fold = BucketFold(4.0, 10)
    fold.add(1.0, None, None, {"a": ContainerRates(None, None, 0.4, 0.0, None, 1.0)})
    fold.add(4.0, None, None, {"a": ContainerRates(None, None, 0.0, 0.2, None, 0.0)})
    fold.add(6.0, None, None, {"a": ContainerRates()})
    (found,) = fold.course({"a": "build"}, []).containers
    assert found.throttled_ratio == [0.1, None]
    assert found.cpu_stall_ratio == [0.15, None]
    assert found.memory_stall_ratio == [None, None]
    assert found.io_stall_ratio == [0.25, None]


def test_a_gap_is_null_and_not_zero() -> None:
    """What could not be read is missing; a container without samples has the same number of buckets."""
    fold = BucketFold(1.0, 10)
    fold.add(1.0, 5.0, None, {})
    fold.add(2.0, None, None, {})
    found = fold.course({"a": "build"}, [])
    assert found.machine_cpu_percent.max == [5, None]
    assert found.containers[0].cpu_cores == Range(min=[None] * 2, avg=[None] * 2, max=[None] * 2)


def test_too_many_buckets_become_coarser_and_say_so() -> None:
    """Two become one as often as needed; the answer names the resolution it has."""
    found = told(BucketFold(1.0, 2), *((float(second), float(second), second) for second in range(9)))
    assert found.resolution_seconds == 4
    assert found.elapsed_seconds == [4, 8]
    assert found.machine_cpu_percent == Range(min=[1, 5], avg=[2.5, 6.5], max=[4, 8])
    assert found.machine_memory_bytes == Range(min=[0, 5], avg=[2, 6.5], max=[4, 8])


def test_an_answer_stays_small_with_any_number_of_containers() -> None:
    """With very many of them the buckets are coarser still."""
    fold = BucketFold(1.0, 1000)
    for second in range(1000):
        fold.add(float(second), 1.0, None, {})
    found = fold.course({str(number): "c" for number in range(1000)}, [])
    assert len(found.elapsed_seconds) == 63
    assert found.resolution_seconds == 16
    assert found.elapsed_seconds[-2:] == [992, 999]
    assert len(found.containers) == 1000


def test_a_fold_stays_small_with_any_number_of_containers() -> None:
    """Not only its answer: what it keeps of every second of each of them would fill the memory."""
    rates = {str(number): ContainerRates(None, 1) for number in range(1000)}
    fold = BucketFold(1.0, 1000)
    for second in range(240):
        fold.add(float(second), None, None, rates)
    size = len(pickle.dumps(fold))
    assert size < 5_000_000
    found = fold.course(dict.fromkeys(rates, "c"), [])
    assert found.resolution_seconds == 4
    assert found.containers[0].cpu_cores == Range(min=[None] * 60, avg=[None] * 60, max=[None] * 60)
    assert found.containers[0].memory_bytes.avg == [1.0] * 60


def test_a_tick_that_is_a_little_late_ends_its_bucket() -> None:
    """What held before it is not the peak of the bucket after it."""
    found = told(BucketFold(1.0, 10), (0.001, None, 1), (1.002, 4.0, 2), (2.04, 1.0, 3), (3.0, 2.0, 4))
    assert found.elapsed_seconds == [1, 2, 3]
    assert found.machine_cpu_percent == Range(min=[4, 1, 2], avg=[4, 1, 2], max=[4, 1, 2])
    assert found.machine_memory_bytes.avg == [1.5, 3, 4]


@pytest.mark.parametrize(
    "newest, end, ends",
    [
        (1.5, None, [1.5]),
        (7.9, 7.9, [2, 4, 6, 7.9]),
        (7.9, 9.5, [2, 4, 6, 8, 9.5]),
        (7.9, 3.0, [2, 4, 6, 7.9]),
        (8.04, None, [2, 4, 6, 8.04]),
        (0.0, None, [0]),
        (0.04, 0.06, [0.05, 0.06]),
        (0.04, 1.7e308, [0.04]),
    ],
)
def test_the_last_bucket_ends_with_the_run(newest: float, end: float | None, ends: list[float]) -> None:
    """With its end where that came after the newest sample, else with that; no end makes a course fail."""
    fold = BucketFold(0.05 if newest < 1 else 2.0, 30)
    fold.add(newest, 1.0, 1, {})
    found = fold.course({}, [], end)
    assert found.elapsed_seconds == ends
    assert len(found.machine_cpu_percent.avg) == len(ends)


def test_a_run_without_samples_has_no_buckets() -> None:
    """Its end alone is no course."""
    assert BucketFold(1.0, 10).course({}, [], 9.0).elapsed_seconds == []


@given(
    st.floats(0.01, 100),
    st.integers(1, 50),
    st.lists(st.tuples(st.floats(0.001, 1000), st.floats(0, 64)), min_size=1, max_size=100),
)
def test_the_area_under_a_rate_is_kept(step: float, limit: int, samples: list[tuple[float, float]]) -> None:
    """However the time is cut, the buckets are as many as allowed and hold what was used."""
    fold, elapsed, used = BucketFold(step, limit), 0.0, 0.0
    for span, rate in samples:
        elapsed += span
        used += span * rate
        fold.add(elapsed, rate, None, {})
    found = fold.course({}, [])
    ends = found.elapsed_seconds

    assert 1 <= len(ends) <= limit
    assert ends[-1] == pytest.approx(elapsed, abs=0.001)
    last = elapsed - (len(ends) - 1) * found.resolution_seconds
    spans = [found.resolution_seconds] * (len(ends) - 1) + [last]
    area = sum((avg or 0.0) * span for avg, span in zip(found.machine_cpu_percent.avg, spans, strict=True))
    late = 0.05 * found.resolution_seconds * 64 * len(ends)
    assert area == pytest.approx(used, rel=1e-6, abs=late + 1e-3 * elapsed)


def test_a_time_beyond_all_bounds_is_refused() -> None:
    """What no bucket can hold is an error of arithmetic, which the fold of a run reports."""
    with pytest.raises(OverflowError):
        BucketFold(0.05, 10).add(1.7e308, 1.0, 1, {})
