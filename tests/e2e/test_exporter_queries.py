"""Queries of the documentation, and of dashboards made for cAdvisor, asked of a Prometheus that scrapes series."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict, replace

from jobmeter.exporter.container import Row
from jobmeter.exporter.exposition import Exposition
from jobmeter.exporter.machine import MachineUse
from jobmeter.exporter.scrapers import Asking
from jobmeter.exporter.totals import Totals
from jobmeter.model.account import Account, DeviceCount, Interface
from scripts.dashboards.asking import Prometheus
from tests.e2e.support.collectors import wait_until
from tests.e2e.support.components import ROOT, require_command
from tests.exporter.cadvisor_page import Query, queries
from tests.exporter.rows import BUILD, GROUPS, JOB, MACHINE, POD_BUILD, ROWS, USE
from tests.support.receivers import closed_port

VARIABLES = {
    "cluster": "", "namespace": "ci", "pod": "runner-x1", "node": ".+", "type": ".+", "host": ".+", "container": ".+",
    "interval": "1m",
}  # fmt: skip
QUERIES = queries(VARIABLES)
BLOCKS = re.findall(r"```promql\n(.*?)```", (ROOT / "docs/exporter-queries.md").read_text(), re.DOTALL)
SCRAPES = 4
HELD_BACK = replace(
    POD_BUILD, account=replace(POD_BUILD.account, cpu_throttled_periods=150, memory_usage_bytes=65_000_000)
)
"""By its CPU limit; of the 67 MB of its memory limit it has 65, of which 2 are cache that was not used lately."""
OTHER_RUN = replace(
    BUILD, id="0e44", path="/docker/0e44", identity=replace(BUILD.identity, job=replace(JOB, run_id="4800"))
)
AT_WORK = (*(HELD_BACK if row is POD_BUILD else row for row in ROWS), OTHER_RUN)


def kube_state_metrics() -> str:
    """What a cluster's own exporter says of the pod, and rules made of it, as the dashboards join them."""
    pod = 'namespace="ci",pod="runner-x1"'
    lines = [
        f'kube_pod_info{{{pod},node="large",host_network="false"}} 1',
        f'namespace_workload_pod:kube_pod_owner:relabel{{{pod},workload="runner",workload_type="deployment"}} 1',
    ]
    for resource, value in (("cpu", 2), ("memory", 1 << 30)):
        lines += [
            f'kube_pod_container_resource_requests{{{pod},container="build",resource="{resource}"}} {value}',
            f"cluster:namespace:pod_{resource}:active:kube_pod_container_resource_requests"
            f'{{{pod},container="build"}} {value}',
            f'kube_node_status_allocatable{{node="large",resource="{resource}"}} {8 * value}',
        ]
    return "\n".join(lines) + "\n"


class Host:
    """Containers at work: from one scrape to the next all of their counters grow, and another job was there."""

    def __init__(self, sys_path: Path) -> None:
        devices = sys_path / "dev/block"
        devices.mkdir(parents=True)
        for number, name in (("8:0", "sda"), ("8:16", "sdb")):
            (devices / number).symlink_to(f"../../block/{name}")
        self._cadvisor = Exposition(("cadvisor",), machine=MACHINE, sys_path=str(sys_path))
        self._jobmeter = Exposition(("jobmeter",))
        self._totals = Totals()
        self._scrapes = 0

    def page(self, path: str) -> str:
        """What one of the three exporters answers."""
        if path == "/kube":
            return kube_state_metrics()
        rows, groups = ([busy(row) for row in some] for some in (AT_WORK, GROUPS))
        if path == "/cadvisor":
            return "".join(self._cadvisor.render(rows, groups, (), openmetrics=False))
        self._scrapes += 1
        for number, row in enumerate(rows):
            job = row.identity.job
            if job is not None:
                job = replace(job, run_id=str(number + 100 * self._scrapes))
            self._totals.credit(row.path, job, row.account)
        totals, machine = self._totals.shown_to(Asking("one")), at_work(time.monotonic())
        return "".join(self._jobmeter.render(rows, (), totals, machine=machine, openmetrics=False))


def at_work(seconds: float) -> MachineUse:
    """The machine, with counters that have grown for so long."""
    grown_ones = {
        name: {key: more(value, seconds) for key, value in getattr(USE, name).items()}
        for name in ("cpu_seconds", "pressure_seconds")
    }
    return replace(USE, **grown_ones)


def busy(row: Row) -> Row:
    """It, with counters that have grown since the test began."""
    return row if row.ended is not None else replace(row, account=grown(row.account, time.monotonic()))


def grown(account: Account, seconds: float) -> Account:
    counters: dict[str, Any] = {name: more(value, seconds) for name, value in asdict(account).items()}
    gauges = ("memory_usage_bytes", "memory_inactive_file_bytes", "memory_charged_peak_bytes", "filesystems")
    return Account(**counters | {name: getattr(account, name) for name in gauges})


def more(value: Any, seconds: float) -> Any:
    if isinstance(value, DeviceCount | Interface):
        return type(value)(value[0], *(more(one, seconds) for one in value[1:]))
    if isinstance(value, tuple):
        return tuple(more(one, seconds) for one in value)
    if isinstance(value, int):
        return value + int(10 * value * seconds)
    return value * (1 + seconds) if isinstance(value, float) else value


@contextmanager
def serving(host: Host) -> Iterator[int]:
    """Yields the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = host.page(self.path).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def configuration(directory: Path, port: int) -> Path:
    """JSON is YAML too."""
    rules = [{"record": one.record, "expr": one.text} for one in QUERIES if one.record is not None]
    (directory / "rules.yaml").write_text(json.dumps({"groups": [{"name": "mixin", "rules": rules}]}))
    jobs = {"cadvisor": "/cadvisor", "jobmeter": "/jobmeter", "kube-state-metrics": "/kube"}
    config = {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [
            {"job_name": name, "metrics_path": path, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
            for name, path in jobs.items()
        ],
    }
    path = directory / "prometheus.yaml"
    path.write_text(json.dumps(config))
    return path


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has scraped some times and evaluated its rules."""
    directory = tmp_path_factory.mktemp("prometheus")
    url = f"http://127.0.0.1:{closed_port()}"
    with serving(Host(directory / "sys")) as port, (directory / "log").open("wb") as log:
        command = [
            require_command("prometheus"), f"--config.file={configuration(directory, port)}",
            f"--storage.tsdb.path={directory}/data", f"--web.listen-address={url.removeprefix('http://')}",
        ]  # fmt: skip
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_until(lambda: ready(url), "Prometheus")
            server = Prometheus(url)
            enough = f"min(count_over_time(up[1m])) >= {SCRAPES}"
            wait_until(lambda: server.at(enough, time.time()), "some scrapes", 60.0)
            last = [one.record for one in QUERIES if one.record is not None][-1]
            wait_until(lambda: server.at(f"{last}", time.time()), "the rules")
            yield server
        finally:
            process.terminate()
            process.wait(30.0)


def ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.shows)
def test_a_dashboard_made_for_cadvisor_has_data(asked: Prometheus, query: Query) -> None:
    """Each of its queries returns a number."""
    for text in (query.text, *([query.record] if query.record else [])):
        assert any(series.points for series in asked.at(text, time.time())), text


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_query_of_the_documentation_has_data(asked: Prometheus, number: int) -> None:
    """Each returns a number."""
    assert any(series.points for series in asked.at(BLOCKS[number], time.time())), BLOCKS[number]


def test_nothing_was_wrong_with_the_pages(asked: Prometheus) -> None:
    """Prometheus took every sample: none was there twice or could not be read."""
    targets = asked.get("targets")["activeTargets"]
    assert [target["lastError"] for target in targets] == [""] * 3
    rules = [rule for group in asked.get("rules")["groups"] for rule in group["rules"]]
    assert [rule["lastError"] for rule in rules if rule.get("lastError")] == []


def test_use_is_counted_once(asked: Prometheus) -> None:
    """A pod's containers are told from its cgroup by their image, so no sum over them has it twice."""
    (whole,) = asked.at('sum(container_memory_working_set_bytes{image!="", pod="runner-x1"})', time.time())
    (of_build,) = asked.at('container_memory_working_set_bytes{container="build"}', time.time())
    assert whole.points[0][1] == of_build.points[0][1]
