"""Every query of the dashboards and rules, asked of a Prometheus of an exporter and a gateway with jobs at work."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import yaml

from scripts.dashboards.__main__ import DASHBOARDS
from scripts.dashboards.asking import Prometheus, Span, ask, choose
from scripts.dashboards.ephemerd import NEEDS_GATEWAY
from tests.e2e.support.collectors import wait_until
from tests.e2e.support.docker import DockerEngine
from tests.e2e.support.exporters import running_exporter
from tests.e2e.support.fleet import JOB, fleet
from tests.e2e.support.gateway_jobs import CAPACITY, ENDINGS, REPOSITORY, gateway_at_work
from tests.e2e.support.prometheus import RIG, prometheus

SCRAPE_SECONDS = 1
METERED_SECONDS = 20.0
PAGES = {name: page() for name, page in DASHBOARDS.items()}
PANELS = [
    pytest.param(name, panel, id=f"{name}: {panel['title']}")
    for name, page in PAGES.items()
    for panel in page["panels"]
    if panel["type"] != "row"
]
OF_JOBS = {
    panel["title"]: panel
    for panel in PAGES["ephemerd"]["panels"]
    if panel["type"] != "row" and panel["description"].endswith(NEEDS_GATEWAY)
}
"""The panels that no exporter fills."""
RULES = [
    rule
    for group in yaml.safe_load((RIG / "prometheus/rules.yaml").read_text())["groups"]
    for rule in group["rules"]
]
TRUE_NOW = (
    "JobmeterContainerThrottled",
    "JobmeterContainerNearMemoryLimit",
    "JobmeterOutOfMemory",
)
"""Alerts whose condition the containers of the tests fulfil."""


class Watched(NamedTuple):
    """A Prometheus with some seconds of a fleet at work, and of a runner."""

    prometheus: Prometheus
    span: Span


@pytest.fixture(scope="module")
def watched(docker_engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Scraped before the first container is there, as a daemon is, then for some seconds of their work."""
    flags = ["--dialect=jobmeter", "--dialect=ephemerd", "--interval=1s"]
    socket = f"--engine-socket=docker={docker_engine.directory}/docker.sock"
    directory = tmp_path_factory.mktemp("prometheus")
    with (
        running_exporter(directory, *flags, socket) as exporter,
        gateway_at_work(directory) as gateway,
        prometheus(
            directory, scrape_seconds=SCRAPE_SECONDS, JOBMETER_TARGET=f"{exporter.address}, {gateway}"
        ) as server,
    ):
        wait_until(lambda: len(server.at("up == 1", time.time())) == 2, "the first scrapes")
        start = time.time()
        with fleet(docker_engine):
            killed = f'jobmeter_container_memory_oom_kills_total{{repo="{JOB["repo"]}"}} > 0'
            wait_until(lambda: server.at(killed, time.time()), "an OOM kill")
            time.sleep(max(0.0, start + METERED_SECONDS - time.time()))
            yield Watched(server, Span(start, time.time(), SCRAPE_SECONDS))


@pytest.mark.parametrize("name, panel", PANELS)
def test_panel_has_data(watched: Watched, name: str, panel: dict[str, Any]) -> None:
    """Each of its queries returns a series with a number."""
    chosen = choose(PAGES[name], watched.prometheus, watched.span, JOB if name == "job" else {})
    for answer in ask(panel, watched.prometheus, chosen, watched.span, SCRAPE_SECONDS):
        assert any(series.points for series in answer.series), answer.query


def test_the_machine_does_what_its_containers_do_and_more(watched: Watched) -> None:
    """Over the whole time it uses no less than they, and its size is what the kernel says of it to us."""
    now = time.time()
    modes = 'jobmeter_host_cpu_seconds_total{mode!~"idle|iowait|steal"}'

    def value(query: str) -> float:
        (found,) = watched.prometheus.at(query, now)
        return found.points[0][1]

    used = value(f"sum(max_over_time({modes}[15s]) - min_over_time({modes}[15s]))")
    own = 'jobmeter_container_cpu_usage_seconds_total{repo=~"acme/.+"}'
    by_containers = value(f"sum(max_over_time({own}[15s]) - min_over_time({own}[15s]))")
    assert by_containers > 1.0
    assert used >= 0.9 * by_containers
    assert value("jobmeter_host_cpus") == os.cpu_count()
    assert value("jobmeter_host_memory_total_bytes") == os.sysconf("SC_PHYS_PAGES") * os.sysconf(
        "SC_PAGE_SIZE"
    )


def test_six_panels_show_the_jobs_of_the_runner(watched: Watched) -> None:
    """What may run and does, how jobs ended, and how long those of a repository took."""
    shown: dict[str, dict[tuple[str, ...], float]] = {}
    for title, panel in OF_JOBS.items():
        (answer,) = ask(panel, watched.prometheus, {}, watched.span, SCRAPE_SECONDS)
        shown[title] = {
            tuple(one.labels.values()): max(value for _, value in one.points)
            for one in answer.series
            if one.points
        }

    assert shown.pop("Concurrent capacity") == {(): CAPACITY}
    assert shown.pop("Draining") == {(): 0}
    assert shown.pop("Active jobs") == {(): 1}
    ended = {status for (status,), rate in shown.pop("Jobs completed (rate, 5m)").items() if rate > 0}
    assert ended == set(ENDINGS)
    assert {title: [*found] for title, found in shown.items()} == {
        "Job duration (p95, 5m)": [(REPOSITORY,)],
        "Job startup (p95, 5m)": [(REPOSITORY,)],
    }


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_rule_has_data(watched: Watched, rule: dict[str, Any]) -> None:
    """A record has a value; what an alert compares has one, and its labels say whose it is where they name a job."""
    now = time.time()
    compared = re.sub(r" (>|>=|==) [\d.]+", "", rule["expr"])
    found = watched.prometheus.at(compared, now)

    assert any(series.points for series in found), compared
    if rule.get("alert") in TRUE_NOW:
        assert watched.prometheus.at(rule["expr"], now), rule["expr"]
    if "record" in rule:
        assert watched.prometheus.at(rule["record"], now)


@pytest.mark.parametrize("alert", ["JobmeterContainerThrottled", "JobmeterOutOfMemory"])
def test_alert_names_the_job(watched: Watched, alert: str) -> None:
    """Repository, workflow and job are those of the container that is in trouble, and of no other."""
    (rule,) = (rule for rule in RULES if rule.get("alert") == alert)
    (found,) = watched.prometheus.at(rule["expr"], time.time())

    assert {"repo", "workflow", "job"} <= found.labels.keys()
    assert {name: found.labels[name] for name in ("repo", "workflow", "job")} == {
        name: JOB[name] for name in ("repo", "workflow", "job")
    }


def test_rules_are_evaluated_without_an_error(watched: Watched) -> None:
    """Prometheus itself says so."""
    groups = watched.prometheus.get("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]

    assert len(rules) == len(RULES)
    assert [rule["lastError"] for rule in rules if rule.get("lastError")] == []
