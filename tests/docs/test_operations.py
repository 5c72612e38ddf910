"""The page for operators is true: addresses, routes, series."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from jobmeter.ops.addresses import AddressError, address_of
from jobmeter.ops.health import Health
from jobmeter.ops.jobs import jobs_route
from jobmeter.ops.metrics import daemon_registry
from jobmeter.ops.pprof.routes import Pprof
from jobmeter.ops.runtime import runtime_observed

PAGE = (Path(__file__).parents[2] / "docs/operations.md").read_text()
# Of the example of a runner's metrics, and what today's library of Go adds without being asked.
RUNNERS = [
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_virtual_memory_bytes",
    "process_virtual_memory_max_bytes",
    "process_network_receive_bytes_total",
    "process_network_transmit_bytes_total",
    "go_gc_duration_seconds",
    "go_goroutines",
    "go_threads",
    "go_info",
    "go_gc_gogc_percent",
    "go_gc_gomemlimit_bytes",
    "go_sched_gomaxprocs_threads",
    "go_memstats_alloc_bytes",
    "go_memstats_alloc_bytes_total",
    "go_memstats_buck_hash_sys_bytes",
    "go_memstats_frees_total",
    "go_memstats_gc_sys_bytes",
    "go_memstats_heap_alloc_bytes",
    "go_memstats_heap_idle_bytes",
    "go_memstats_heap_inuse_bytes",
    "go_memstats_heap_objects",
    "go_memstats_heap_released_bytes",
    "go_memstats_heap_released_bytes_total",
    "go_memstats_heap_sys_bytes",
    "go_memstats_last_gc_time_seconds",
    "go_memstats_lookups_total",
    "go_memstats_mallocs_total",
    "go_memstats_mcache_inuse_bytes",
    "go_memstats_mcache_sys_bytes",
    "go_memstats_mspan_inuse_bytes",
    "go_memstats_mspan_sys_bytes",
    "go_memstats_next_gc_bytes",
    "go_memstats_other_sys_bytes",
    "go_memstats_stack_inuse_bytes",
    "go_memstats_stack_sys_bytes",
    "go_memstats_sys_bytes",
]


def table(head: str) -> list[tuple[str, str]]:
    """The rows of the table with this first row."""
    rows = PAGE[PAGE.index(f"| {head} |") :].partition("\n\n")[0].splitlines()[2:]
    cells = [row.strip("| ").split(" | ") for row in rows]
    assert {len(row) for row in cells} == {2}
    return [(first, second) for first, second in cells]


def names(text: str) -> list[str]:
    """What is in a cell as code."""
    return re.findall(r"`([^`]+)`", text)


def registry() -> CollectorRegistry:
    """That of a daemon, after its event loop has run."""
    found = daemon_registry()

    async def observed() -> None:
        with runtime_observed(found):
            await asyncio.sleep(0)

    asyncio.run(observed())
    return found


def series() -> set[str]:
    """Names as a scrape has them: of a histogram and a summary without their parts."""
    return {
        family.name if family.type in ("histogram", "summary") else sample.name
        for family in registry().collect()
        for sample in family.samples
    }


@pytest.mark.parametrize(
    "written", [name for first, _ in table("written | listens on") for name in names(first)]
)
def test_what_is_said_to_be_an_address_is_one(written: str) -> None:
    """As it is written in the page."""
    address_of(written, 8080)


@pytest.mark.parametrize(
    "written", [name for first, _ in table("refused | because") for name in names(first)]
)
def test_what_is_said_to_be_none_is_refused(written: str) -> None:
    """As it is written in the page."""
    with pytest.raises(AddressError):
        address_of(written, 8080)


def test_every_series_of_a_runner_has_its_line() -> None:
    """And only one."""
    assert sorted(names(first)[0] for first, _ in table("there | here") if names(first)) == sorted(RUNNERS)


def test_the_series_that_stand_for_them_are_there() -> None:
    """Those that are named, and all that a daemon has are named."""
    told = {name for _, second in table("there | here") for name in names(second) if not name.startswith("/")}
    ours = {name for name in told if not name.startswith("go_")}
    assert ours == series()


def test_a_line_says_what_stands_for_a_series_or_why_nothing_does() -> None:
    """Nothing is left open."""
    for first, second in table("there | here"):
        assert second.startswith(("`", "nothing: ")), first


class Nobody:
    """Has no jobs."""

    async def jobs(self) -> list[dict[str, str]]:
        return []


async def nothing() -> None:
    """No trouble."""


def test_every_shared_route_is_described() -> None:
    """And no other."""
    routes: list[Any] = [*Health(nothing).routes(""), jobs_route(Nobody()), *Pprof().routes()]
    tables = PAGE.split("| path | answers |")[1:]
    told = {
        name
        for text in tables
        for row in text.partition("\n\n")[0].splitlines()[2:]
        for name in names(row.split(" | ")[0])
    }
    assert told | {"/debug/pprof"} == {route.path for route in routes}
