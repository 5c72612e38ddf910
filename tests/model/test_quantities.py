"""What users write as durations and quantities, and what people read."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.model.errors import UsageError
from jobmeter.model.quantities import (
    format_bytes,
    format_change,
    format_cores,
    format_duration,
    format_percent,
    parse_bytes,
    parse_cores,
    parse_duration,
)


@pytest.mark.parametrize(
    "text, seconds",
    [
        ("500ms", 0.5), ("2s", 2), ("1m", 60), ("1m30s", 90), ("1h", 3600), ("1.5h", 5400), (".5s", 0.5),
        ("2.s", 2), ("250us", 0.00025), ("250µs", 0.00025), ("0s", 0), ("1h1m1s1ms", 3661.001),
    ],
)  # fmt: skip
def test_durations(text, seconds) -> None:
    """The form of Go's time.ParseDuration."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text, cores",
    [("2", 2), ("0.5", 0.5), ("500m", 0.5), (" 1 ", 1), ("1.", 1), (".25", 0.25), ("1500m", 1.5), ("0", 0)],
)
def test_cores(text, cores) -> None:
    """Kubernetes' notation of CPU."""
    assert parse_cores(text) == pytest.approx(cores)


@pytest.mark.parametrize(
    "text, size",
    [
        ("1073741824", 2**30), ("256Mi", 256 * 2**20), ("1.5Gi", 3 * 2**29), ("1G", 10**9), ("1k", 1000), ("1K", 1000),
        ("1Ki", 1024), ("2T", 2 * 10**12), ("1Ti", 2**40), ("1P", 10**15), ("1Pi", 2**50), ("0", 0), ("0.1", 0),
    ],
)  # fmt: skip
def test_memory(text, size) -> None:
    """Kubernetes' notation of memory: Mi is a power of 1024, M of 1000."""
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    "parse, text",
    [
        *((parse_duration, text) for text in ["", "2", "s", "-1s", "1s ", "1 s", "1d", "1e3s", "nan", "99999999999h"]),
        *((parse_cores, text) for text in ["", "-1", "1x", "m", "1 m", "1,5", "nan", "inf", "0x2", "9" * 400]),
        *((parse_bytes, text) for text in ["", "-1", "1Zi", "Mi", "1 Mi", "1MB", "1mi", "inf", "9" * 30, "99999P"]),
    ],
)  # fmt: skip
def test_what_is_refused_is_named_in_one_sentence(parse, text) -> None:
    """The message holds what was written and what would be accepted, or the bound."""
    with pytest.raises(UsageError) as caught:
        parse(text)
    sentence = str(caught.value)
    assert repr(text) in sentence
    assert "\n" not in sentence
    assert "accepted" in sentence or "too large" in sentence


@given(st.text(max_size=12), st.sampled_from([parse_duration, parse_cores, parse_bytes]))
def test_any_text_is_a_quantity_or_a_usage_error(text, parse) -> None:
    """Nothing that a user writes is a traceback."""
    with contextlib.suppress(UsageError):
        assert parse(text) >= 0


@pytest.mark.parametrize(
    "value, text",
    [
        (0, "0 B"), (999, "999 B"), (1000, "0.977 KiB"), (1024, "1 KiB"), (17.2 * 2**20, "17.2 MiB"),
        (100 * 2**20, "100 MiB"), (999.6 * 2**20, "1000 MiB"), (1.5 * 2**30, "1.5 GiB"), (2**50, "1024 TiB"),
        (10 * 2**20, "10 MiB"),
    ],
)  # fmt: skip
def test_bytes_for_people(value, text) -> None:
    """Three significant digits in powers of 1024."""
    assert format_bytes(value) == text


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0, "0 ms"), (0.0004, "0 ms"), (0.74, "740 ms"), (0.9994, "999 ms"), (0.9996, "1.0 s"), (12.34, "12.3 s"),
        (59.94, "59.9 s"), (59.96, "1 m 00 s"), (245, "4 m 05 s"), (3599.6, "1 h 00 m"), (7385, "2 h 03 m"),
        (360000, "100 h 00 m"),
    ],
)  # fmt: skip
def test_durations_for_people(seconds, text) -> None:
    """Never 60 seconds, never 60 minutes."""
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    "ratio, text",
    [
        (0, "0 %"),
        (0.004, "0.4 %"),
        (0.0994, "9.9 %"),
        (0.0996, "10 %"),
        (0.42, "42 %"),
        (1, "100 %"),
        (1.5, "150 %"),
    ],
)
def test_percents_for_people(ratio, text) -> None:
    """One decimal where it tells something."""
    assert format_percent(ratio) == text


@pytest.mark.parametrize(
    "before, after, text",
    [
        (100, 100, "±0 %"),
        (100, 100.04, "±0 %"),
        (100, 102.8, "+2.8 %"),
        (100, 90.2, "-9.8 %"),
        (100, 60, "-40 %"),
        (100, 207, "+107 %"),
        (1, 51.5, "+5,050 %"),
        (1, 1e9, "+1e+11 %"),
        (5, 0, "-100 %"),
        (0, 5, ""),
        (5e-324, 5, ""),
    ],
)
def test_changes_for_people(before, after, text) -> None:
    """In percent, however much it is; of nothing there is no share."""
    assert format_change(before, after) == text


def test_cores_for_people() -> None:
    """Two decimals."""
    assert format_cores(1.9251) == "1.93"
    # A summary says 0.005 of either, the receiver's course 0.00498.
    assert format_cores(0.00498) == format_cores(0.005) == "0.01"
