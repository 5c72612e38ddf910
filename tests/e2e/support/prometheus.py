"""Debian's Prometheus with the configuration of `deploy/observability`."""

from __future__ import annotations

import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.dashboards.asking import Prometheus
from tests.e2e.support.components import ROOT, jobmeter_environment, require_command
from tests.support.receivers import closed_port

RIG = ROOT / "deploy/observability"
START_SECONDS = 30.0


def configure(directory: Path, *, scrape_seconds: int) -> Path:
    """The rig's configuration, below `directory` and with another interval; returns the file."""
    shutil.copy(RIG / "prometheus/rules.yaml", directory)
    text = (RIG / "prometheus/prometheus.yaml").read_text()
    config = directory / "prometheus.yaml"
    config.write_text(
        text.replace("/prometheus/targets", str(directory)).replace("10s", f"{scrape_seconds}s")
    )
    return config


@contextmanager
def prometheus(directory: Path, *, scrape_seconds: int = 1, **variables: str) -> Iterator[Prometheus]:
    """A Prometheus that scrapes what `variables` say, as the rig starts it."""
    address = f"127.0.0.1:{closed_port()}"
    command = [
        "sh", str(RIG / "prometheus/start"), str(directory), require_command("prometheus"),
        f"--config.file={configure(directory, scrape_seconds=scrape_seconds)}",
        f"--storage.tsdb.path={directory}/data", f"--web.listen-address={address}",
    ]  # fmt: skip
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=jobmeter_environment(**variables))
    try:
        _wait_until_ready(f"http://{address}/-/ready")
        yield Prometheus(f"http://{address}")
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except (OSError, urllib.error.HTTPError):
            assert time.monotonic() < deadline, f"{url} does not answer"
            time.sleep(0.05)
