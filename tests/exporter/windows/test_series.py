"""What a scrape shows of a Windows host: names and values in each dialect, its totals, and how it goes with it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from jobmeter.exporter.elsewhere import Elsewhere
from jobmeter.exporter.exposition import Exposition
from jobmeter.exporter.scrapers import Asking
from jobmeter.exporter.totals import Of, Totals
from jobmeter.exporter.windows.client import EngineClient
from jobmeter.exporter.windows.figures import WindowsCollector
from jobmeter.exporter.windows.host import WindowsHost
from tests.exporter.reading import read
from tests.exporter.windows import told
from tests.exporter.windows.engine import WindowsEngine, listening


class Quiet:
    def info(self, message: str, **fields: object) -> None: ...

    def warn(self, message: str, **fields: object) -> None: ...


class Shown:
    """A host of one container after its first round, and after as many as a test asks for."""

    def __init__(self) -> None:
        self.engine = WindowsEngine()
        self.passed = 0.0
        self.totals = Totals(monotonic=lambda: self.passed)
        self.elsewhere = Elsewhere(
            self.totals, linger_seconds=60.0, grace_seconds=120.0, clock=lambda: 1795300000.0 + self.passed,
            monotonic=lambda: self.passed,
        )  # fmt: skip
        self.host: WindowsHost | None = None

    def rounds(self, *used: dict[str, Any], after: float = 60.0) -> None:
        async def main() -> None:
            async with listening(self.engine) as (where, _), EngineClient(where, None) as client:
                self.host = self.host or WindowsHost(
                    where,
                    lambda: client,
                    self.elsewhere,
                    Quiet(),
                    interval_seconds=10.0,
                    monotonic=lambda: self.passed,
                )
                await client.meet()
                for stats in used:
                    self.engine.stats[told.FIRST] = stats
                    await self.host.round(client)
                    self.passed += after
                    self.elsewhere.tick()

        asyncio.run(main())

    def page(self, dialect: str) -> dict[str, float]:
        text = "".join(Exposition([dialect]).render(self.elsewhere.rows, (), (), openmetrics=False))
        return {
            one.name: one.value for one in read(text) if one.name != "container_network_receive_bytes_total"
        }


@pytest.fixture
def shown() -> Shown:
    return Shown()


def test_our_own_names(shown: Shown) -> None:
    """Commit is what is charged, the private working set is the working set; what Windows has not is not there."""
    shown.engine.made[told.FIRST] = told.inspected(NanoCpus=2 * 10**9, Memory=4 << 30)
    shown.rounds(told.STATS)
    page = shown.page("jobmeter")
    prefix = "jobmeter_container_"
    found = {name.removeprefix(prefix): value for name, value in page.items() if name.startswith(prefix)}
    assert found == {
        "cpu_usage_seconds_total": 12.3456789, "cpu_user_seconds_total": 9.84375, "cpu_system_seconds_total": 2.34375,
        "cpu_limit_cores": 2.0, "memory_usage_bytes": 505036800, "memory_working_set_bytes": 129720320,
        "memory_charged_peak_bytes": 545357824, "memory_limit_bytes": 4 << 30, "network_receive_bytes_total": 1024,
        "network_transmit_bytes_total": 512, "io_read_bytes_total": 262144, "io_written_bytes_total": 65536,
        "io_reads_total": 41, "io_writes_total": 7, "start_time_seconds": 1795297601.5, "info": 1,
    }  # fmt: skip


def test_the_names_of_ephemerd(shown: Shown) -> None:
    """As there: memory is commit, anonymous memory is 0, and so is what is unlimited."""
    shown.rounds(told.STATS)
    prefix = "ephemerd_container_"
    assert {name.removeprefix(prefix): value for name, value in shown.page("ephemerd").items()} == {
        "cpu_usage_seconds_total": 12.3456789, "memory_bytes": 505036800, "memory_anon_bytes": 0,
        "memory_limit_bytes": 0, "cpu_limit": 0, "network_rx_bytes_total": 1024, "network_tx_bytes_total": 512,
    }  # fmt: skip


def test_limits_that_nobody_tells_have_no_series(shown: Shown) -> None:
    """Of a virtual machine without limits of its own; 0 would say that it has none."""
    shown.engine.made[told.FIRST] = told.inspected(Isolation="hyperv")
    shown.rounds(told.HYPERV_STATS)
    assert (
        not {"ephemerd_container_memory_limit_bytes", "ephemerd_container_cpu_limit"}
        & shown.page("ephemerd").keys()
    )
    (sample,) = (
        one
        for one in read(
            "".join(Exposition(["ephemerd"]).render(shown.elsewhere.rows, (), (), openmetrics=False))
        )
        if one.name == "ephemerd_container_memory_bytes"
    )
    assert (sample.labels["runtime"], sample.labels["repo"]) == ("windows-hyperv", "acme/engine")


def test_the_names_of_cadvisor(shown: Shown) -> None:
    """With each endpoint; errors are not counted on Windows, so nothing is said of them."""
    shown.rounds(told.STATS)
    text = "".join(Exposition(["cadvisor"]).render(shown.elsewhere.rows, (), (), openmetrics=False))
    found = [(one.name, one.labels.get("interface"), one.value) for one in read(text)]
    assert ("container_memory_working_set_bytes", None, 129720320) in found
    assert ("container_network_receive_bytes_total", "3ae5cf15-4b8f", 1000) in found
    assert ("container_network_transmit_packets_dropped_total", "a01d6c2e-9f00", 2) in found
    assert not [name for name, _, _ in found if "errors" in name]


def test_what_its_jobs_used_is_in_the_totals(shown: Shown) -> None:
    """From the first reading on, as it was there before anyone watched; a stop and a start in between included."""
    later = told.changed(told.STATS, "cpu_stats", "cpu_usage", "total_usage", to=173456789)
    shown.rounds(told.STATS, later)
    again = told.inspected()
    again["State"]["StartedAt"] = "2027-01-01T00:00:00Z"
    shown.engine.made[told.FIRST] = again
    restarted = told.changed(told.STATS, "cpu_stats", "cpu_usage", "total_usage", to=30000000)
    shown.rounds(restarted, restarted)
    sums = dict(shown.totals.shown_to(Asking("prometheus")))[Of("acme/engine", "ci.yml", "build")]
    assert round(sums.cpu_seconds, 7) == 5.0 + 3.0


def test_what_the_exporter_counts_of_it(shown: Shown) -> None:
    """Each host once, by its name."""
    shown.rounds(told.STATS)
    shown.rounds(told.changed(told.STATS, "networks", to=[]))
    assert shown.host is not None
    registry = CollectorRegistry()
    registry.register(WindowsCollector([shown.host], monotonic=lambda: shown.passed + 1.0))
    found = {one.name: (one.labels, one.value) for one in read(generate_latest(registry).decode())}
    assert found == {
        f"jobmeter_windows_{name}": ({"machine": "build-3"}, value)
        for name, value in (
            ("containers", 1), ("last_answer_age_seconds", 61.0), ("round_duration_seconds", 0.0),
            ("read_errors_total", 1), ("containers_refused_total", 0),
        )
    }  # fmt: skip
