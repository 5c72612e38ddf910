"""What requests are made of, in words: each agrees with the figure that `figure` makes."""

from __future__ import annotations

import pytest

from jobmeter.model.sizing.figure import Aggregate, figure, memory_request
from jobmeter.model.sizing.parameters import Parameters
from jobmeter.model.sizing.rules import cpu_rule, memory_rule
from tests.model.sizing.histories import GIB, MIB

LEARNING = Aggregate(clean_runs=1, need_bytes=GIB, cores=0.5, peak_cores=1.0)
KNOWN = LEARNING._replace(clean_runs=3)
KILLED = KNOWN._replace(killed_at_bytes=2 * GIB)


@pytest.mark.parametrize(
    "known, buffer, wanted, rule",
    [
        (KNOWN, 20, 1.2 * GIB, "the highest need and 20 % to spare"),
        (KNOWN, 0, GIB, "the highest need and nothing to spare"),
        (KNOWN._replace(killed_at_bytes=7), 20, 1.2 * GIB, "the highest need and 20 % to spare"),
        (LEARNING, 20, 3 * GIB, "3 times the highest need"),
        (LEARNING, 250, 3.5 * GIB, "the highest need and 250 % to spare"),
        (KILLED, 20, 4 * GIB, "2 times what was not enough (2 GiB)"),
        (KILLED, 150, 5 * GIB, "what was not enough (2 GiB) and 150 % to spare"),
        (KILLED._replace(clean_runs=2), 20, 6 * GIB, "3 times what was not enough (2 GiB)"),
        (KILLED._replace(host_memory_bytes=3 * GIB), 20, 3 * GIB, "all of the largest machine, 3 GiB"),
        (KNOWN._replace(host_memory_bytes=GIB // 2), 20, GIB, "the highest need, more than the largest machine has"),
        (LEARNING._replace(clean_runs=0), 20, 4 * GIB, "the default of 4 GiB"),
        (KNOWN._replace(clean_runs=0, need_bytes=None), 20, 4 * GIB, "the default of 4 GiB"),
        (KILLED._replace(clean_runs=0), 20, 6 * GIB, "3 times what was not enough (2 GiB)"),
        (KNOWN._replace(need_bytes=MIB), 20, 16 * MIB, "the least that is advised, 16 MiB"),
        (KNOWN._replace(need_bytes=None), 20, None, ""),
    ],
)  # fmt: skip
def test_memory_is_what_its_words_say(
    known: Aggregate, buffer: float, wanted: float | None, rule: str
) -> None:
    """For each way to a figure."""
    parameters = Parameters(buffer_percent=buffer)

    assert memory_rule([known], parameters) == rule
    assert figure(known, parameters).request_bytes == (None if wanted is None else memory_request(wanted))


@pytest.mark.parametrize(
    "known, statistic, wanted, rule",
    [
        (KNOWN, "p95", 0.6, "the highest p95 and 20 % to spare"),
        (KNOWN, "avg", 0.6, "the highest average and 20 % to spare"),
        (KNOWN, "peak", 0.6, "the highest peak and 20 % to spare"),
        (LEARNING, "p95", 1.2, "the highest peak and 20 % to spare"),
        (KNOWN._replace(cores=2.0, host_cpus=2), "p95", 2.0, "all CPUs of the largest machine, 2"),
        (LEARNING._replace(clean_runs=0, peak_cores=0.1), "p95", 0.5, "the default of 0.50 cores"),
        (LEARNING._replace(clean_runs=0), "p95", 1.2, "the highest peak and 20 % to spare"),
        (KNOWN._replace(clean_runs=0, peak_cores=None), "p95", 0.5, "the default of 0.50 cores"),
        (KNOWN._replace(cores=0.0), "p95", 0.01, "the least that is advised, 0.01"),
        (KNOWN._replace(cores=None), "p95", None, ""),
    ],
)  # fmt: skip
def test_cpu_is_what_its_words_say(known: Aggregate, statistic: str, wanted: float | None, rule: str) -> None:
    """For each way to a figure."""
    parameters = Parameters(cpu_percentile=statistic)  # type: ignore[arg-type]

    assert cpu_rule([known], parameters) == rule
    assert figure(known, parameters).request_cores == wanted


def test_of_several_legs_the_words_are_of_the_one_that_asks_for_the_most() -> None:
    """The others do not decide."""
    small = LEARNING._replace(need_bytes=MIB, peak_cores=0.1)

    assert memory_rule([small, KNOWN], Parameters()) == "the highest need and 20 % to spare"
    assert cpu_rule([small, KNOWN], Parameters()) == "the highest p95 and 20 % to spare"
