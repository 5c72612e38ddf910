"""The referee of a real build: Prometheus and VictoriaMetrics scrape node_exporter and our exporter meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from jobmeter.model.evidence import bounds, compat
from jobmeter.model.evidence.document import Evidence, decode, encode, seconds_of
from jobmeter.referee.default_queries import DEFAULT_QUERIES
from jobmeter.report.evidence_charts import drawn
from tests.e2e.support.collectors import container_of, start_beside, wait_until
from tests.e2e.support.components import JOBMETER, ROOT, jobmeter_environment
from tests.e2e.support.docker import HOST, DockerEngine
from tests.e2e.support.exporters import running_exporter
from tests.e2e.support.monitors import node_exporter, prometheus, victoria_metrics
from tests.receiver.api.running import READ, running_receiver

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SCRAPE_SECONDS = 1
GCC_FILES = 20
SERVERS = {"prometheus": prometheus, "victoria-metrics": victoria_metrics}
BUILD = """
until [ -e /tmp/go ]; do sleep 0.1; done
for file in /src/unit_*.c; do gcc -O2 -c $file -o /tmp/out.o || exit; done
touch /tmp/done
exec sleep 1000
"""
"""It begins when the collector beside it has, and stays until that has ended."""
CONFIG = """
[referee]
prometheus_address = "{address}"
executor = "shell"
label_value = "{host}"
interval = "200ms"
scrape_interval = "{scrape}s"
default_queries = ["node", "cadvisor", "jobmeter"]

[referee.queries]
colons = "max_over_time(up{{{{selector}}}}[10s:1s])"
"""


AWAY_SECONDS = 4
STALE = """
[referee]
prometheus_address = "{address}"
executor = "shell"
label_value = "{host}"
interval = "1s"
scrape_interval = "{scrape}s"
default_queries = []

[referee.queries]
memory = "node_memory_MemTotal_bytes{{{{selector}}}}"
"""


@dataclass(frozen=True)
class Built:
    """A build in a container that is over: its summary, and what each server saw of it."""

    container_id: str
    summary: dict[str, Any]
    evidence: dict[str, Evidence]

    @property
    def used_seconds(self) -> float:
        """CPU time of the container while it was metered, by the job's summary."""
        return float(container_of(self.summary, self.container_id)["cpu_seconds"])


@pytest.fixture(scope="module")
def built(docker_engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """One build, seen by both servers."""
    directory = tmp_path_factory.mktemp("referee")
    subprocess.run(
        [sys.executable, ROOT / "scripts/generate_c.py", directory / "src", str(GCC_FILES)], check=True
    )
    socket = f"--engine-socket=docker={docker_engine.directory}/docker.sock"
    flags = ("--interval=1s", "--dialect=jobmeter", "--dialect=cadvisor", socket)
    with ExitStack() as stack:
        exporter = stack.enter_context(running_exporter(directory, *flags))
        port = exporter.address.rpartition(":")[2]
        targets = (stack.enter_context(node_exporter(directory)), f"127.0.0.1:{port}")
        servers = [stack.enter_context(one(directory, targets, SCRAPE_SECONDS)) for one in SERVERS.values()]
        limits = [f"--volume={directory / 'src'}:/src:ro", "--cpus=0.9"]
        with docker_engine.spawn(HOST, "sh", "-c", BUILD, flags=limits, network="bridge") as container:
            collector = start_beside(docker_engine, container, directory / "beside", "--interval=500ms")
            container.exec("touch", "/tmp/go")
            wait_until(
                lambda: container.exec("test", "-e", "/tmp/done", check=False).returncode == 0, "the build"
            )
            summary = collector.stop()
            found = [ask(directory, server.url, summary) for server in servers]
        yield Built(container.id, summary, dict(zip(SERVERS, found, strict=True)))


def ask(directory: Path, address: str, summary: dict[str, Any], text: str = CONFIG) -> Evidence:
    """By the command, once the job's last scrape has been made."""
    config, out = directory / "referee.toml", directory / "evidence.json"
    config.write_text(text.format(address=address, host="127.0.0.1", scrape=SCRAPE_SECONDS))
    times = [f"--start={summary['start_time']}", f"--end={summary['end_time']}"]
    subprocess.run(
        [*JOBMETER, "referee", f"--config={config}", *times, "--wait", f"--out={out}"],
        env=jobmeter_environment(), check=True,
    )  # fmt: skip
    return decode(out.read_bytes())


@pytest.mark.parametrize("server", SERVERS)
def test_every_default_query_has_data(built: Built, server: str) -> None:
    """Of the host, of our exporter, and of the names of cAdvisor; of a query with colons too."""
    document = built.evidence[server]
    bounds.check(document)
    wanted = ["colons", *(query.name for some in DEFAULT_QUERIES.values() for query in some)]
    assert [query.name for query in document.queries] == wanted
    assert {
        query.name: (query.state, query.reason) for query in document.queries if query.state != "data"
    } == {}
    assert document.problems == ()


@pytest.mark.parametrize("server", SERVERS)
def test_the_file_holds_the_jobs_range(built: Built, server: str) -> None:
    """From its first moment on, to a point that is not before the next scrape: the tail has come."""
    document = built.evidence[server]
    assert (document.start_time, document.end_time) == (
        built.summary["start_time"],
        built.summary["end_time"],
    )
    start, end = seconds_of(document.start_time), seconds_of(document.end_time)
    times = {time for query in document.queries for one in query.series for time, _ in one.points}
    assert min(times) == pytest.approx(start, abs=0.001)
    assert max(times) == pytest.approx(end + document.tail_seconds, abs=0.001)
    assert SCRAPE_SECONDS <= document.tail_seconds <= 2 * SCRAPE_SECONDS
    assert not document.tail_open


@pytest.mark.parametrize("server", SERVERS)
def test_cpu_time_agrees_with_the_jobs_summary(built: Built, server: str) -> None:
    """Within what the container can use until the exporter has read it, and that has been scraped."""
    queries = {query.name: query for query in built.evidence[server].queries}
    (used,) = [
        one for one in queries["job_cpu_used_seconds"].series if one.labels["id"] == built.container_id
    ]
    grown = float(used.points[-1][1]) - float(used.points[0][1])
    assert built.used_seconds > 3
    assert grown == pytest.approx(built.used_seconds, abs=2 * SCRAPE_SECONDS)
    (course,) = [one for one in queries["job_cpu_seconds"].series if one.labels["id"] == built.container_id]
    integral = sum(float(cores) for _, cores in course.points) * queries["job_cpu_seconds"].step_seconds
    assert integral == pytest.approx(built.used_seconds, abs=4 * SCRAPE_SECONDS)


@pytest.mark.parametrize("server", SERVERS)
def test_it_can_be_had_in_the_form_of_gitlabs_referee(built: Built, server: str) -> None:
    """Every query once, with points that are a time and a text."""
    metrics = json.loads(compat.encode(built.evidence[server]))
    assert sorted(metrics) == sorted(query.name for query in built.evidence[server].queries)
    for points in metrics.values():
        for moment, value in points:
            assert isinstance(moment, int | float)
            float(value)


@pytest.mark.parametrize("server", SERVERS)
def test_the_page_of_the_run_draws_it(
    built: Built, server: str, browser: Browser, tmp_path: Path, images: Path
) -> None:
    """A chart of each default query that is not always 0, beside what the job itself measured."""
    run_uid, document = built.summary["run_uid"], without(built.evidence[server], "colons")
    places = [f"evidence-{place}" for place, _ in drawn(document)]
    assert 15 < len(places) < len(document.queries)
    with running_receiver(tmp_path) as receiver:
        receiver.push(built.summary)
        assert receiver.attach(run_uid, encode(document), gzipped=True).json()["stored"] is True
        context = browser.new_context(
            viewport={"width": 1168, "height": 1080}, extra_http_headers={"Authorization": f"Bearer {READ}"}
        )
        page = context.new_page()
        page.goto(f"{receiver.url}/runs/{run_uid}")
        page.locator("html[data-drawn-ms]").wait_for(state="attached")
        charts = page.locator('figure[data-chart^="evidence-"]')
        assert charts.evaluate_all("all => all.map(one => one.dataset.chart)") == places
        assert charts.locator(".drawn svg").count() == len(places)
        heading = page.get_by_role("heading", name="What Prometheus saw")
        heading.evaluate("heading => heading.scrollIntoView()")
        page.screenshot(path=(images if server == "prometheus" else tmp_path) / "page-evidence-light.png")
        context.close()


@pytest.mark.parametrize("server", SERVERS)
def test_a_target_that_goes_away_in_the_middle(server: str, tmp_path: Path) -> None:
    """Its series end where it was last seen: what is stale is no value, and no fault."""
    with ExitStack() as stack:
        target = stack.enter_context(node_exporter(tmp_path))
        with SERVERS[server](tmp_path, [target], SCRAPE_SECONDS) as running:
            start = time.time()
            time.sleep(AWAY_SECONDS)
            stack.close()
            gone = time.time()
            time.sleep(2 * AWAY_SECONDS)
            summary = {"start_time": f"{start:.3f}", "end_time": f"{time.time():.3f}"}
            document = ask(tmp_path, running.url, summary, STALE)
    (query,) = document.queries
    assert (query.state, query.reason) == ("data", None)
    (one,) = query.series
    times = [time for time, _ in one.points]
    assert start + AWAY_SECONDS / 2 < times[-1] < gone + 2 * SCRAPE_SECONDS
    assert all(float(value) > 0 for _, value in one.points)


def without(document: Evidence, name: str) -> Evidence:
    """The document as if that query had not been asked."""
    return structs.replace(document, queries=tuple(one for one in document.queries if one.name != name))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Where pictures go: into the documentation when it is asked for."""
    return ROOT / "docs/images" if os.environ.get("JOBMETER_PICTURES") == "write" else tmp_path
