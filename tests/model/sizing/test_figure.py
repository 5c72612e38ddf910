from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.model.errors import UsageError
from jobmeter.model.sizing.figure import (
    LEAST_MEMORY_BYTES,
    Aggregate,
    Figure,
    cpu_limit,
    cpu_request,
    figure,
    memory_limit,
    memory_request,
)
from jobmeter.model.sizing.parameters import Parameters
from tests.model.sizing.histories import GIB, MIB

EXACT = Parameters(buffer_percent=0)


@pytest.mark.parametrize(
    "known, request_bytes",
    [
        (Aggregate(clean_runs=3, need_bytes=GIB), GIB),
        (Aggregate(clean_runs=2, need_bytes=GIB), 3 * GIB),
        (Aggregate(clean_runs=2, need_bytes=GIB, host_memory_bytes=2 * GIB), 2 * GIB),
        (Aggregate(clean_runs=0, need_bytes=GIB), 4 * GIB),
        (Aggregate(clean_runs=0, need_bytes=2 * GIB), 6 * GIB),
        (Aggregate(clean_runs=0), 4 * GIB),
        (Aggregate(clean_runs=9, need_bytes=GIB, killed_at_bytes=GIB), 2 * GIB),
        (Aggregate(clean_runs=9, need_bytes=GIB + MIB, killed_at_bytes=GIB), GIB + 32 * MIB),
        (Aggregate(clean_runs=9, killed_at_bytes=GIB), 2 * GIB),
        (Aggregate(clean_runs=9, killed_at_bytes=GIB, host_memory_bytes=512 * MIB), GIB),
        (Aggregate(clean_runs=9), None),
    ],
)
def test_memory_by_what_is_known(known: Aggregate, request_bytes: int | None) -> None:
    """Times 3 while learning, the default without a clean run, twice a kill not explained, a machine at most."""
    assert figure(known, EXACT).request_bytes == request_bytes


@pytest.mark.parametrize(
    "known, request_cores, limit_cores",
    [
        (Aggregate(clean_runs=3, cores=1.5, peak_cores=2.2), 1.5, 2.5),
        (Aggregate(clean_runs=2, cores=1.5, peak_cores=2.2), 2.2, 2.5),
        (Aggregate(clean_runs=3, cores=0.1, peak_cores=0.1), 0.1, 0.5),
        (Aggregate(clean_runs=0, cores=0.1, peak_cores=0.1), 0.5, 0.5),
        (Aggregate(clean_runs=3, cores=0.0, peak_cores=0.0), 0.01, 0.5),
        (Aggregate(clean_runs=3), None, None),
    ],
)
def test_cpu_by_what_is_known(known: Aggregate, request_cores: float, limit_cores: float) -> None:
    """The chosen statistic, while learning the peak, which is never multiplied; the limit is above the peak."""
    found = figure(known, EXACT)

    assert (found.request_cores, found.limit_cores) == (request_cores, limit_cores)


def test_the_buffer_is_added_to_both() -> None:
    """But no machine is asked for more CPUs than it has."""
    known = Aggregate(clean_runs=3, need_bytes=GIB, cores=2.0, peak_cores=2.0)

    assert figure(known, Parameters(buffer_percent=50)) == Figure(1536 * MIB, 2 * GIB, 3.0, 3.0)
    assert figure(known._replace(host_cpus=2), Parameters()).request_cores == 2.0


@given(st.integers(0, 2**44))
def test_memory_is_rounded_up_by_a_thirty_second_at_most(wanted: int) -> None:
    """To whole MiB; its limit is a power of two less than twice as large."""
    request = memory_request(wanted)

    assert wanted <= request
    assert request <= max(LEAST_MEMORY_BYTES, wanted * 33 / 32 + MIB)
    assert request % MIB == 0
    assert request <= memory_limit(request) < 2 * request
    assert memory_limit(request).bit_count() == 1


@given(st.floats(0, 1000))
def test_cpu_is_rounded_up_by_a_twentieth_at_most(wanted: float) -> None:
    """To hundredths below one core; its limit to halves."""
    request = cpu_request(wanted)

    assert wanted - 1e-6 <= request <= max(0.01, wanted + (0.05 if wanted > 1 else 0.01) + 1e-6)
    assert round(request * 100) == pytest.approx(request * 100)
    assert request - 1e-6 <= cpu_limit(request) <= request + 0.5
    assert cpu_limit(request) * 2 % 1 == 0


@pytest.mark.parametrize(
    "choice, sentence",
    [
        ({"runs": 0}, "runs is 0; accepted are whole numbers from 1 to 100"),
        ({"runs": 101}, "runs is 101"),
        ({"buffer_percent": -1}, "buffer is -1; accepted are percentages from 0 to 400"),
        ({"buffer_percent": float("nan")}, "buffer is nan"),
        ({"cpu_percentile": "p90"}, "cpu_percentile is 'p90'; accepted are peak, p99, p95, p75, p50, avg"),
    ],
)
def test_parameters_that_are_not_accepted(choice: dict[str, object], sentence: str) -> None:
    """One sentence that names the value and what is accepted."""
    with pytest.raises(UsageError, match=re.escape(sentence)):
        Parameters(**choice)  # type: ignore[arg-type]
