"""What is read of a run, and what is said where nothing or not all was."""

from __future__ import annotations

import pytest

from jobmeter.model.budgets.measures import BY_KEY, Reading, reading_of
from jobmeter.model.errors import UsageError
from jobmeter.model.exits import Exit
from jobmeter.model.statistics import Statistic
from jobmeter.model.summary import ContainerSummary, Summary
from tests.model.budgets.runs import GIB, MIB, box, run_of


def read(key: str, summary: Summary, **options: bool) -> Reading:
    return reading_of(BY_KEY[key], summary, **options)


@pytest.mark.parametrize(
    "containers, need, what",
    [
        ([box()], 300 * MIB, "build"),
        ([box(memory_high_water_bytes=GIB)], GIB, "the largest process of build"),
        ([box(memory_high_water_bytes=None)], 300 * MIB, "build"),
        (
            [box(memory_working_set_peak_bytes=None, memory_bytes=Statistic(peak=GIB))],
            GIB,
            "build",
        ),
        ([box(), box("db", memory_working_set_peak_bytes=GIB)], GIB, "db"),
        ([box(), box("inner", parent="build", memory_working_set_peak_bytes=GIB)], 300 * MIB, "build"),
        ([box("one", parent="other"), box("other", parent="one")], 300 * MIB, "one"),
        ([box(parent="build")], 300 * MIB, "build"),
        ([box(parent="gone")], 300 * MIB, "build"),
    ],
)  # fmt: skip
def test_the_need_is_the_highest_of_working_set_and_process(containers, need, what):
    """Of the container at the top that needs most; what the kernel charged for page cache is never in it."""
    assert read("memory", run_of(*containers)) == Reading(need, what=what)


@pytest.mark.parametrize(
    "containers, value, why",
    [
        ([box(memory_working_set_peak_bytes=None)], 200 * MIB, "of build only its largest process was read"),
        ([box(), ContainerSummary(name="db")], 300 * MIB, "no memory of db was read"),
        ([box(oom_kills=1)], 300 * MIB, "the kernel killed a process of build"),
        ([ContainerSummary(name="db", memory_charged_peak_bytes=GIB)], None, "no memory of db was read"),
    ],
)
def test_memory_that_was_not_read_whole_is_a_lower_bound(containers, value, why):
    """And nothing at all where nothing but the charged peak was read."""
    reading = read("memory", run_of(*containers))
    assert (reading.value, reading.is_lower_bound) == (value, value is not None)
    assert reading.why.startswith(why)


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({"cpu_seconds": 90.0, "unattributed_cpu_seconds": 6.0}, Reading(96.0)),
        ({"cpu_seconds": 90.0, "unattributed_cpu_seconds": None}, Reading(90.0)),
        ({"cpu_complete": False}, Reading(90.0, True, "some processes may have ended unseen")),
        ({"cpu_seconds": None}, Reading(why="no CPU time was read")),
        (
            {"cpu_seconds": None, "unattributed_cpu_seconds": 6.0},
            Reading(6.0, True, "the CPU time of no container was read"),
        ),
    ],
)
def test_cpu_time_is_that_of_the_whole_job(fields, expected):
    """What may have been missed makes it a lower bound."""
    assert read("cpu_seconds", run_of(**fields)) == expected


def test_cpu_time_by_exit_records_says_so():
    """They come close, and may lack something."""
    summary = run_of(box(cpu_source="exit_records"), cpu_complete=False)
    assert read("cpu_seconds", summary).why == "the kernel's exit records lack the end of each process"


@pytest.mark.parametrize(
    "containers, value, is_lower_bound",
    [
        ([box()], 1000, False),
        ([box(), box("db", network_rx_bytes=5, network_tx_bytes=0)], 1005, False),
        ([box(), box("db", network_rx_bytes=None)], 1300, True),
        ([box(network_rx_bytes=None, network_tx_bytes=None)], None, False),
        ([box(network_rx_bytes=0, network_tx_bytes=0)], 0, False),
    ],
)
def test_network_is_both_ways_of_all_at_the_top(containers, value, is_lower_bound):
    """Of a shared network nothing is known, which is not the same as no traffic."""
    reading = read("network", run_of(*containers))
    assert (reading.value, reading.is_lower_bound) == (value, is_lower_bound)
    assert bool(reading.why) == (value is None or is_lower_bound)


@pytest.mark.parametrize("key", BY_KEY)
def test_a_run_whose_end_was_not_seen_tells_lower_bounds(key):
    """It may have used more, or go on to use more."""
    assert read(key, run_of()).is_lower_bound is False
    assert read(key, run_of(exit=Exit(reason="lost"))).why == "the end of the run was not seen"
    assert read(key, run_of(), is_running=True).why == "the run goes on"


def test_a_run_that_was_killed_needed_more_than_it_had():
    """Memory alone: its other numbers are what they are."""
    summary = run_of(exit=Exit(reason="oom"))
    assert read("memory", summary) == Reading(
        300 * MIB, True, "the run was killed for want of memory", "build"
    )
    assert read("cpu_seconds", summary) == Reading(90.0)


@pytest.mark.parametrize("key", ["memory", "network"])
def test_without_a_container_nothing_is_known(key):
    """Not even zero."""
    summary = run_of()
    summary.containers = []
    assert read(key, summary) == Reading(why="no container was seen")


@pytest.mark.parametrize(
    "key, text, value",
    [
        ("memory", "2 GiB", 2 * GIB),
        ("memory", "2Gi", 2 * GIB),
        ("memory", "1.5 GiB", 1.5 * GIB),
        ("memory", "500 MB", 500_000_000),
        ("memory", "1073741824", GIB),
        ("network", "0", 0),
        ("network", "12 B", 12),
        ("cpu_seconds", "600", 600.0),
        ("cpu_seconds", "10m", 600.0),
        ("cpu_seconds", "1 m 05 s", 65.0),
        ("duration", "1h30m", 5400.0),
        ("duration", "740 ms", 0.74),
    ],
)
def test_amounts_are_read_as_elsewhere_and_as_reports_write_them(key, text, value):
    """What a person copies out of a report is accepted."""
    assert BY_KEY[key].parse(text) == pytest.approx(value)


@pytest.mark.parametrize(
    "key, text",
    [
        ("memory", "2 GB x"),
        ("memory", "B"),
        ("duration", "600"),
        ("duration", "5 x"),
        ("cpu_seconds", "2e9"),
        ("cpu_seconds", "2000000000"),
        ("network", ""),
    ],
)
def test_what_is_no_amount_is_said_as_it_was_written(key, text):
    """The sentence repeats the text and says what is accepted."""
    with pytest.raises(UsageError, match="accepted") as raised:
        BY_KEY[key].parse(text)
    assert repr(text) in str(raised.value)
