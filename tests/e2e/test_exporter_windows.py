"""A Windows host followed by an exporter process, over TLS. The engine is a stand-in: no Windows is at hand."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.support.collectors import wait_until
from tests.e2e.support.exporters import RunningExporter, running_exporter
from tests.exporter.windows import told
from tests.exporter.windows.engine import WindowsEngine, cut
from tests.support.certificates import Authority, authority
from tests.support.forges.raw import RawForge

KEY = f"build-3/{told.FIRST}"
CPU = "jobmeter_container_cpu_usage_seconds_total"


class Listening:
    """A stand-in that listens in a thread of its own."""

    def __init__(self, engine: WindowsEngine, context: ssl.SSLContext) -> None:
        self.server = RawForge(engine, context)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.come_back()

    def come_back(self) -> None:
        asyncio.run_coroutine_threadsafe(self.server.listen(), self._loop).result(10)

    def go_away(self) -> None:
        asyncio.run_coroutine_threadsafe(self.server.go_away(), self._loop).result(10)

    def close(self) -> None:
        self.go_away()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture
def own(tmp_path: Path) -> Authority:
    (tmp_path / "certificates").mkdir()
    return authority(tmp_path / "certificates")


@pytest.fixture
def engine() -> WindowsEngine:
    return WindowsEngine()


@pytest.fixture
def listening(engine: WindowsEngine, own: Authority) -> Iterator[Listening]:
    context = own.server()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(own.certificate)
    found = Listening(engine, context)
    yield found
    found.close()


@pytest.fixture
def exporter(listening: Listening, own: Authority, tmp_path: Path) -> Iterator[RunningExporter]:
    cert, key = own.issue("client")
    behind = f";ca={own.certificate};cert={cert};key={key}"
    address = f"build-3=tcp://localhost:{listening.server.port}{behind}"
    flags = ("--interval=1s", "--linger=2s", "--dialect=jobmeter", "--dialect=ephemerd", "--dialect=cadvisor")
    with running_exporter(tmp_path, f"--windows-engine={address}", *flags) as found:
        wait_until(lambda: found.scrape().values(CPU, id=KEY), "the container")
        yield found


def test_a_host_is_shown_while_its_engine_comes_and_goes(
    engine: WindowsEngine, listening: Listening, exporter: RunningExporter
) -> None:
    """In every dialect; it has its job, and what it goes on using; without its engine it is there for a time."""
    scrape = exporter.scrape()
    (info,) = scrape.labels("jobmeter_container_info", id=KEY)
    assert (info["machine"], info["runtime"], info["job"]) == ("build-3", "windows-process", "build")
    assert scrape.value("ephemerd_container_memory_anon_bytes", id=told.FIRST, runtime="windows-process") == 0
    assert scrape.value("container_memory_usage_bytes", id=KEY) == 505036800
    assert scrape.value("jobmeter_exporter_engine_up", socket=f"tcp://localhost:{listening.server.port}") == 1

    engine.stats[told.FIRST] = told.changed(told.STATS, "cpu_stats", "cpu_usage", "total_usage", to=223456789)
    wait_until(lambda: exporter.scrape().values(CPU, id=KEY) == [22.3456789], "its CPU time")
    total = "jobmeter_repository_cpu_seconds_total"
    wait_until(
        lambda: exporter.scrape().values(total, repo="acme/engine", job="build") == [10.0], "the total"
    )

    listening.go_away()
    wait_until(lambda: exporter.scrape().values("jobmeter_exporter_engine_up") == [0.0], "that it is away")
    wait_until(lambda: not exporter.scrape().values(CPU, id=KEY), "that it is shown no more")
    listening.come_back()
    wait_until(lambda: exporter.scrape().values(CPU, id=KEY), "that it is back", 60)
    assert exporter.scrape().value(total, repo="acme/engine", job="build") == 10.0
    said = [one["msg"] for one in exporter.messages() if "Windows host" in one["msg"]]
    shown = "containers of the Windows host build-3 are shown"
    assert (said[0], said[-1]) == (shown, shown)
    assert any("containers of the Windows host build-3 are missing: " in one for one in said)


def test_no_descriptor_is_left_behind(engine: WindowsEngine, exporter: RunningExporter) -> None:
    """After eight rounds there are as many as after two, though an answer breaks off in each."""
    engine.add(told.SECOND)
    engine.wrong[f"{told.SECOND}/stats?stream=false&one-shot=true"] = cut

    def descriptors_after(rounds: int) -> int:
        wait_until(lambda: _errors(exporter) >= rounds, f"{rounds} rounds", 30)
        return len(list(Path(f"/proc/{exporter.process.pid}/fd").iterdir()))

    before = descriptors_after(2)
    assert descriptors_after(8) <= before + 1


def _errors(exporter: RunningExporter) -> float:
    return exporter.scrape().value("jobmeter_windows_read_errors_total", machine="build-3")
