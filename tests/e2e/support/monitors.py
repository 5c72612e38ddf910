"""Debian's node_exporter, and servers that scrape it and `jobmeter exporter`: Prometheus and VictoriaMetrics."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from scripts.dashboards.asking import Prometheus
from tests.e2e.support.collectors import wait_until
from tests.e2e.support.components import require_command
from tests.support.receivers import closed_port

STOP_SECONDS = 30.0


@contextmanager
def node_exporter(directory: Path) -> Iterator[str]:
    """One of this host; yields its `host:port`."""
    address = f"127.0.0.1:{closed_port()}"
    command = [require_command("prometheus-node-exporter"), f"--web.listen-address={address}"]
    with _running(command, directory / "node_exporter.log", f"http://{address}/metrics"):
        yield address


@contextmanager
def prometheus(directory: Path, targets: Sequence[str], scrape_seconds: int) -> Iterator[Prometheus]:
    """A Prometheus that has scraped all of these."""
    address = f"127.0.0.1:{closed_port()}"
    command = [
        require_command("prometheus"), f"--config.file={_configured(directory, targets, scrape_seconds)}",
        f"--storage.tsdb.path={directory}/prometheus", f"--web.listen-address={address}",
    ]  # fmt: skip
    with _running(command, directory / "prometheus.log", f"http://{address}/-/ready"):
        yield _scraping(f"http://{address}", len(targets))


@contextmanager
def victoria_metrics(directory: Path, targets: Sequence[str], scrape_seconds: int) -> Iterator[Prometheus]:
    """A VictoriaMetrics that has scraped all of these; it hides no fresh points."""
    address = f"127.0.0.1:{closed_port()}"
    command = [
        require_command("victoria-metrics"), f"-promscrape.config={_configured(directory, targets, scrape_seconds)}",
        f"-storageDataPath={directory}/victoria", f"-httpListenAddr={address}", "-search.latencyOffset=0s",
    ]  # fmt: skip
    with _running(command, directory / "victoria.log", f"http://{address}/health"):
        yield _scraping(f"http://{address}", len(targets))


def _configured(directory: Path, targets: Sequence[str], scrape_seconds: int) -> Path:
    """JSON is YAML too."""
    interval = f"{scrape_seconds}s"
    scrapes = {"job_name": "all", "honor_labels": True, "static_configs": [{"targets": list(targets)}]}
    config = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval},
        "scrape_configs": [scrapes],
    }
    file = directory / "scrape.yaml"
    file.write_text(json.dumps(config))
    return file


def _scraping(url: str, targets: int) -> Prometheus:
    server = Prometheus(url)

    def all_are_up() -> bool:
        found = server.get("query", query="up == 1")["result"]
        return len(found) == targets

    wait_until(all_are_up, "a scrape of every target")
    return server


@contextmanager
def _running(command: Sequence[str], log: Path, url: str) -> Iterator[None]:
    """Until the end of the block, once its URL answers."""
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)

    def answers() -> bool:
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except OSError:
            return False
        return True

    try:
        wait_until(answers, url)
        yield
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)
