"""What the exporter answers: fresh series in the form and coding that are asked for, its health, its profiles."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterable
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as prometheus_text
from starlette.types import Message

from jobmeter.exporter.figures import EngineState, Figures
from jobmeter.exporter.sampler import Sampler
from jobmeter.exporter.scrapers import Asking
from jobmeter.exporter.service import Exporter
from jobmeter.ops.access import Tokens
from jobmeter.ops.metrics import daemon_registry
from tests.exporter.test_sampler import Counting, Notes

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


class Held:
    """Something that is closed once."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


class Watched:
    """Numbers of a fleet."""

    refused, shown, total_rows, unwatched = 3, 4, 5, 6

    @property
    def errors(self) -> dict[str, int]:
        return {"open": 2}


class Service:
    """An exporter over a host on which nothing happens."""

    def __init__(self, tokens: Tokens | None = None) -> None:
        self.host, self.held = Counting(), Held()
        self.asked: list[tuple[Asking, bool]] = []
        figures = Figures(daemon_registry(), "1.2")
        engines = (EngineState("docker", "/run/docker.sock", True), EngineState("docker", "/b", False))
        figures.watch(Watched(), lambda: engines, max_containers=10, max_total_rows=20)
        self.sampler = Sampler(self.host, 3600.0, figures, Notes())
        self.exporter = Exporter(
            self.sampler, self._page, figures, tokens or Tokens(loopback=True), Notes(), self, [self.held]
        )

    async def jobs(self) -> Iterable[dict[str, str]]:
        return ({"url": "https://forge/acme/engine", "state": "running"},)

    def _page(self, scraper: Asking, openmetrics: bool) -> Iterable[str]:
        self.asked.append((scraper, openmetrics))
        name = "a" if openmetrics else "a_total"
        return (f"# HELP {name} Things.\n# TYPE {name} counter\n", 'a_total{id="x"} 1\n')

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """The answer while the exporter lives."""
        return asyncio.run(self._get(path, headers))

    async def _get(self, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        scope: dict[str, Any] = {
            "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
            "client": ("10.0.0.7", 1234),
            "headers": [
                (name.lower().replace("_", "-").encode(), value.encode()) for name, value in headers.items()
            ],
        }  # fmt: skip
        async with self.exporter.life():
            await asyncio.sleep(0.05)
            await self.exporter.application(scope, receive, send)
        found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], found, b"".join(one.get("body", b"") for one in sent[1:])


def test_a_server_that_keeps_series_is_told_from_a_person() -> None:
    """By a header that Prometheus sends, whatever it calls itself."""
    service = Service()
    service.get("/metrics", X_Prometheus_Scrape_Timeout_Seconds="10")
    assert service.asked[0][0].keeps


@pytest.mark.parametrize("accept, parse", [("", prometheus_text), (OPEN_METRICS, open_metrics)])
def test_a_scrape_has_the_containers_and_the_exporter_itself(accept: str, parse: Any) -> None:
    """One document in either form; the scraper is known by its address and name."""
    service = Service()
    status, headers, body = service.get("/metrics", Accept=accept, User_Agent="Prometheus/3")
    found = {one.name: one.value for family in parse(body.decode()) for one in family.samples}
    assert (status, service.asked) == (200, [(Asking("10.0.0.7 Prometheus/3"), bool(accept))])
    assert headers["content-type"].startswith("application/openmetrics-text" if accept else "text/plain")
    expected = {
        "a_total": 1, "jobmeter_exporter_containers": 4, "jobmeter_exporter_containers_max": 10,
        "jobmeter_exporter_totals_rows": 5, "jobmeter_exporter_totals_rows_max": 20,
        "jobmeter_exporter_containers_refused_total": 3, "jobmeter_exporter_cgroups_unwatched": 6,
        "jobmeter_exporter_sample_duration_seconds_count": 1, "jobmeter_exporter_samples_dropped_total": 0,
        "jobmeter_exporter_build_info": 1,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    assert found["process_cpu_seconds_total"] > 0
    assert "python_event_loop_lag_seconds_count" in found


def test_an_engine_is_up_or_not() -> None:
    """By its socket."""
    _, _, body = Service().get("/metrics")
    assert 'jobmeter_exporter_engine_up{engine="docker",socket="/run/docker.sock"} 1.0' in body.decode()
    assert 'jobmeter_exporter_engine_up{engine="docker",socket="/b"} 0.0' in body.decode()


@pytest.mark.parametrize(
    "accepted, zipped",
    [
        ("gzip", True), ("deflate, gzip;q=0.5", True), ("*", True), ("GZIP", True),
        ("", False), ("identity", False), ("gzip;q=0", False), ("gzip; q=0.0, *", False), ("gzip;q=x", False),
    ],
)  # fmt: skip
def test_an_answer_is_compressed_for_who_takes_that(accepted: str, zipped: bool) -> None:
    """As RFC 9110 weighs it."""
    _, headers, body = Service().get("/metrics", Accept_Encoding=accepted)
    assert (headers.get("content-encoding") == "gzip") is zipped
    assert b"a_total" in (gzip.decompress(body) if zipped else body)
    assert headers["vary"] == "Accept, Accept-Encoding"


@pytest.mark.parametrize(
    "path, status, text",
    [
        ("/", 200, "/metrics"), ("/healthz", 200, "ok"), ("/readyz", 200, "ok"),
        ("/debug/pprof/", 200, "profile"), ("/debug/process/state", 200, "running\n"),
        ("/debug/jobs/list", 200, "url=https://forge/acme/engine state=running\n"),
        ("/nothing", 404, "nothing at this path"),
    ],
)  # fmt: skip
def test_there_is_more_than_series(path: str, status: int, text: str) -> None:
    """A page that lists it, health, profiles."""
    found, _, body = Service().get(path)
    assert (found, text in body.decode()) == (status, True)


@pytest.mark.parametrize(
    "path, needs", [("/metrics", True), ("/debug/pprof/", True), ("/healthz", False), ("/readyz", False)]
)
def test_with_a_token_series_and_profiles_are_for_who_has_it(path: str, needs: bool) -> None:
    """Probes are for everyone."""
    assert Service(Tokens("secret")).get(path)[0] == (401 if needs else 200)
    assert Service(Tokens("secret")).get(path, Authorization="Bearer secret")[0] == 200


def test_profiles_are_not_for_the_network_without_a_token() -> None:
    """The series are, as everywhere in this field."""
    open_to_all = Tokens(loopback=False)
    assert Service(open_to_all).get("/metrics")[0] == 200
    assert Service(open_to_all).get("/debug/pprof/")[0] == 403


def test_a_host_that_cannot_be_read_is_not_ready() -> None:
    """It answers with what it had and says so."""
    service = Service()
    service.host.fails = PermissionError(13, "Permission denied")
    status, _, body = service.get("/readyz")
    assert (status, b"the last sample failed: PermissionError" in body) == (503, True)


def test_at_the_end_all_that_is_held_is_closed() -> None:
    """After the last reading."""
    service = Service()
    service.get("/healthz")
    assert service.held.closed == 1


def test_what_a_reading_still_uses_is_not_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that hangs is left alone."""
    service = Service()
    with monkeypatch.context() as patched:
        patched.setattr(Sampler, "close", lambda self: False)
        service.get("/healthz")
    assert service.held.closed == 0
    assert service.sampler.close() is True
