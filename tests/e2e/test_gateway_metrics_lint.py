"""What Prometheus and its tools say of the gateway's runner series."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from jobmeter.exporter.exposition import Exposition as Containers
from jobmeter.gateway.figures.dialects import DIALECTS
from jobmeter.gateway.figures.events import Event, TaskBegan, TaskEnded, WorkBegan
from jobmeter.gateway.figures.exposition import CONTENT_TYPE
from jobmeter.model.job import Job
from scripts.dashboards.asking import Prometheus, Span, ask
from scripts.dashboards.ephemerd import NEEDS_GATEWAY, page
from scripts.dashboards.grafana import Json
from tests.e2e.support.collectors import wait_until
from tests.e2e.support.components import require_command
from tests.e2e.support.prometheus import prometheus
from tests.exporter.rows import ROWS
from tests.gateway.figures.told import AT, JOB, Someone, Told, a_working_day

SCRAPE_SECONDS = 1
FIRST = Job(forge="gitea", repository="acme/first", workflow="ci.yml", job="test")
METERED = Someone("5c6d", "metered-1")
"""Has the job whose containers are shown beside."""
CONTAINERS = "".join(Containers().render(ROWS, (), (), openmetrics=False))
PANELS = [panel for panel in page()["panels"] if panel["description"].endswith(NEEDS_GATEWAY)]
NO_TOTAL = ("ci_docker_machines", "ci_runner_errors", "ci_ssh_docker_machines")
"""Counters that AlloyCI's runner has named otherwise than Prometheus would."""


@pytest.mark.parametrize("name", [None, "large-1"], ids=["all", "one"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_promtool_finds_nothing_to_complain_about(dialect: str, name: str | None) -> None:
    """But for the names of counters that are to be as they are."""
    promtool = require_command("promtool")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=a_working_day(dialect).text(name), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    expected = [f'{one} counter metrics should have "_total" suffix' for one in NO_TOTAL]
    assert (done.stdout + done.stderr).splitlines() == (expected if dialect == "ci_runner" else [])
    assert done.returncode == (3 if dialect == "ci_runner" else 0)


class Scraped:
    """Shows over HTTP what it was told."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._lock = threading.Lock()
        self.address = ""

    def tell(self, *events: Event) -> None:
        with self._lock:
            self._told.tell(*events)

    def page(self) -> bytes:
        with self._lock:
            return (self._told.text() + CONTAINERS).encode()

    @contextmanager
    def served(self) -> Iterator[Scraped]:
        """While the context lasts."""
        scraped = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = scraped.page()
                self.send_response(200)
                self.send_header("Content-Type", CONTENT_TYPE)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """The test's output is no place for it."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            self.address = f"127.0.0.1:{server.server_port}"
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Prometheus, Span]]:
    """Some seconds of a runner whose job ends, the first of its repository; in every dialect."""
    told = a_working_day(*DIALECTS).tell(TaskBegan("15", AT, FIRST))
    told.tell(TaskBegan("12", AT, JOB), of=METERED)
    directory = tmp_path_factory.mktemp("prometheus")
    with (
        Scraped(told).served() as scraped,
        prometheus(directory, scrape_seconds=SCRAPE_SECONDS, JOBMETER_TARGET=scraped.address) as server,
    ):
        wait_until(lambda: server.at("up == 1", time.time()), "the first scrape")
        scraped.tell(WorkBegan("15", 4.0), TaskEnded("15", "failure", 45.0))
        ended = f'rate(ephemerd_jobs_total{{repo="{FIRST.repository}",status="failure"}}[5m]) > 0'
        wait_until(lambda: server.at(ended, time.time()), "the end of the job")
        now = time.time()
        yield server, Span(now - 10 * SCRAPE_SECONDS, now, SCRAPE_SECONDS)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_of_jobs_has_data(watched: tuple[Prometheus, Span], panel: Json) -> None:
    """Its query gives a number; where it is one by repository, also of the first job of one."""
    server, span = watched
    (answer,) = ask(panel, server, {}, span, SCRAPE_SECONDS)
    with_numbers = [one.labels for one in answer.series if one.points]
    assert with_numbers, answer.query
    if "repo" in answer.query:
        assert {"repo": FIRST.repository} in with_numbers


def test_prometheus_takes_every_name(watched: tuple[Prometheus, Span]) -> None:
    """Of every dialect; none is refused, as all are where one series is there twice."""
    server, _ = watched
    told = a_working_day(*DIALECTS).text()
    written = {re.split(r"[{ ]", line)[0] for line in told.splitlines() if not line.startswith("#")}
    assert written - set(server.get("label/__name__/values")) == set()


def test_a_job_is_joined_with_its_runner_and_its_containers(watched: tuple[Prometheus, Span]) -> None:
    """The release that runs it is found by the runner's name, the exporter's series by repository and task."""
    server, span = watched
    query = "jobmeter_runner_job_info * on (instance, runner) group_left (version) jobmeter_runner_info"
    (found,) = server.at(f'{query} and on (runner) jobmeter_runner_jobs_total{{runner="large-1"}}', span.end)
    assert (found.labels["task_id"], found.labels["version"]) == ("13", "v0.6.1")

    of_job = "on (server_url, repo, task_id) group_left () jobmeter_job_info"
    (found,) = server.at(f"jobmeter_runner_job_info * {of_job}", span.end)
    assert (found.labels["runner"], found.labels["task_id"]) == (METERED.name, "12")

    containers = "jobmeter_container_info * on (repo, task_id) group_left (runner) jobmeter_runner_job_info"
    found_of = {one.labels["id"]: one.labels["runner"] for one in server.at(containers, span.end)}
    assert found_of == {row.id: METERED.name for row in ROWS if row.identity.task_id == "12"}
