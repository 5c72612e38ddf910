"""The key of a run."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from jobmeter.model.uid import uuid7

TIMES = st.integers(0, 2**48 - 1)
RANDOM = st.binary(min_size=10, max_size=10)


@given(TIMES, RANDOM)
def test_it_is_a_uuid_of_version_7(milliseconds, random) -> None:
    """Version, variant and time are where RFC 9562 puts them."""
    found = uuid.UUID(uuid7(milliseconds, random))
    assert (found.version, found.variant) == (7, uuid.RFC_4122)
    assert found.int >> 80 == milliseconds
    assert str(found) == uuid7(milliseconds, random)


@given(TIMES, TIMES, RANDOM, RANDOM)
def test_later_runs_sort_later(one, other, random, others_random) -> None:
    """The text sorts by time."""
    first, second = uuid7(one, random), uuid7(other, others_random)
    assert (first < second) == (one < other) or one == other


def test_a_known_value() -> None:
    """The example of RFC 9562, appendix A.6."""
    random = bytes.fromhex("0cc318c4dc0c0c07398f")
    assert uuid7(0x017F22E279B0, random) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
