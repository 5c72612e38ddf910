from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.model.sizing.sketch import RELATIVE_ERROR, Sketch, decode, encode, merge, sketch_of

values = st.lists(st.floats(0, 1e13) | st.integers(0, 2**45), min_size=1, max_size=60)
shares = st.floats(0, 1)


@given(values, shares)
def test_a_quantile_is_wrong_by_one_percent_at_most(counted: list[float], share: float) -> None:
    """Of the value at its rank; what is below a billionth counts as 0."""
    exact = sorted(counted)[int(share * (len(counted) - 1))]
    found = sketch_of(counted).quantile(share)

    assert found is not None
    assert abs(found - exact) <= exact * RELATIVE_ERROR * (1 + 1e-6) + 1e-9


@given(st.lists(values, max_size=5))
def test_merging_is_counting_all_together(parts: list[list[float]]) -> None:
    """Whatever the parts: the same bins, ends and quantiles; the parts stay as they are."""
    sketches = [sketch_of(part) for part in parts]
    copies = [decode(encode(each)) for each in sketches]

    merged, whole = merge(sketches), sketch_of(value for part in parts for value in part)

    assert (merged.bins, merged.zeros, merged.count) == (whole.bins, whole.zeros, whole.count)
    assert (merged.least, merged.most) == (whole.least, whole.most)
    assert merged.total == pytest.approx(whole.total)
    assert [merged.quantile(share) for share in (0, 0.5, 0.95, 1)] == [
        whole.quantile(share) for share in (0, 0.5, 0.95, 1)
    ]
    assert sketches == copies


@given(values)
def test_the_stored_form_is_read_back(counted: list[float]) -> None:
    """Bytes and back, and the ends are exact."""
    sketch = decode(encode(sketch_of(counted)))

    assert sketch == sketch_of(counted)
    assert (sketch.quantile(0), sketch.quantile(1)) == (min(counted), max(counted))


def test_a_year_of_runs_takes_little_room() -> None:
    """Thousands of needs between 300 MiB and 3 GiB are a few hundred bins."""
    draw = random.Random(1)
    sketch = sketch_of(draw.uniform(300 * 2**20, 3 * 2**30) for _ in range(20_000))

    assert len(sketch.bins) < 120
    assert len(encode(sketch)) < 1000


def test_nothing_counted_has_no_quantile() -> None:
    """Missing, not 0."""
    empty = Sketch()

    assert (empty.count, empty.mean, empty.quantile(0.5)) == (0, None, None)
    assert merge([]) == empty
    assert sketch_of([0.0, 0.0, 8.0]).quantile(0.5) == 0
    assert sketch_of([2.0, 4.0]).mean == 3


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), 1e31])
def test_what_cannot_be_counted_is_refused(value: float) -> None:
    """A negative, infinite or missing number would spoil all others."""
    with pytest.raises(ValueError, match="cannot be counted"):
        Sketch().add(value)


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_is_from_0_to_1(share: float) -> None:
    """Percent are not shares."""
    with pytest.raises(ValueError, match="no share"):
        sketch_of([1.0]).quantile(share)
