"""`jobmeter exporter` of this checkout as a process, and what a scrape of it says."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.support.collectors import PATIENCE_SECONDS, wait_until
from tests.e2e.support.components import JOBMETER, jobmeter_environment
from tests.e2e.support.docker import Container
from tests.e2e.support.images import curl


class Scrape:
    """The series of one answer, as prometheus_client's parser reads them."""

    def __init__(self, text: str) -> None:
        self.text = text
        families = text_string_to_metric_families(text)
        self.samples = [sample for family in families for sample in family.samples]

    def labels(self, name: str, /, **wanted: str) -> list[dict[str, str]]:
        """Those of each series of that name with at least these labels."""
        return [
            dict(one.labels)
            for one in self.samples
            if one.name == name and wanted.items() <= one.labels.items()
        ]

    def values(self, name: str, /, **wanted: str) -> list[float]:
        """Those of each series of that name with at least these labels."""
        return [
            one.value for one in self.samples if one.name == name and wanted.items() <= one.labels.items()
        ]

    def value(self, name: str, /, **wanted: str) -> float:
        """That of the one series that there is."""
        (value,) = self.values(name, **wanted)
        return value

    def container(self, what: str, container_id: str) -> float:
        """A value of one container, by the end of its family's name."""
        return self.value(f"jobmeter_container_{what}", id=container_id)


@dataclass(frozen=True)
class RunningExporter:
    """One that says it has started."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def address(self) -> str:
        """Its `host:port`."""
        return self.url.partition("//")[2]

    def get(self, path: str = "/metrics", **options: Any) -> requests.Response:
        """Ask it; options are those of requests."""
        return requests.get(self.url + path, timeout=PATIENCE_SECONDS, **options)

    def scrape(self) -> Scrape:
        """What it shows now."""
        answer = self.get()
        assert answer.status_code == 200, answer.text
        return Scrape(answer.text)

    def shows(self, name: str, /, **wanted: str) -> list[dict[str, str]]:
        """Labels of the series of that name that it shows now."""
        return self.scrape().labels(name, **wanted)

    def messages(self) -> list[dict[str, Any]]:
        """What it has said so far."""
        text, _, _ = self.log.read_text().rpartition("\n")
        return [json.loads(line) for line in text.splitlines()]

    def listens_at(self) -> str:
        """Where it has said that it listens; empty before."""
        return next((one["listen"] for one in self.messages() if "listen" in one), "")

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        self.process.terminate()
        return self.process.wait(PATIENCE_SECONDS)


@dataclass(frozen=True)
class ExporterContainer:
    """One in a container, at an address in the network namespace of the engine."""

    container: Container
    url: str

    def get(self, path: str) -> str:
        """Ask it as a process of the host does, until it answers."""
        return curl(self.container.engine, self.url + path)

    def scrape(self) -> Scrape:
        """What it shows now."""
        return Scrape(self.get("/metrics"))

    def info(self, container_id: str) -> dict[str, str]:
        """What it shows of whose a container is; empty before it does."""
        found = self.scrape().labels("jobmeter_container_info", id=container_id)
        return found[0] if found else {}


@contextmanager
def running_exporter(
    directory: Path, *flags: str, within: Sequence[str] = (), scheme: str = "http"
) -> Iterator[RunningExporter]:
    """Started by the command `within` if there is one, with its log in `directory`; at the end it stops in order."""
    log = directory / "exporter.log"
    command = [*within, *JOBMETER, "exporter", "--listen=127.0.0.1:0", "--log-format=json", *flags]
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, stderr=stderr, env=jobmeter_environment())
    exporter = RunningExporter("", process, log)
    try:
        wait_until(lambda: exporter.listens_at() or process.poll() is not None, "the exporter")
        assert process.poll() is None, log.read_text()
        port = exporter.listens_at().rpartition(":")[2]
        yield RunningExporter(f"{scheme}://localhost:{port}", process, log)
        assert exporter.stop() == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
