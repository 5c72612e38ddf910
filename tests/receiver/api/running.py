"""A receiver of the tests' own: a real process on a port of the system's choice, and runs to ask for."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import requests
from msgspec import Struct

from jobmeter.model import wire
from tests.conftest import TESTS

READ, PUSH = "read-token-of-tests", "push-token-of-tests"
_SECONDS = 30.0


class RunningReceiver(Struct, frozen=True):
    """Where it listens, and requests to it with the right token."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def get(self, path: str, *, token: str | None = READ, **options: Any) -> requests.Response:
        """Ask; without a token when it is None."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return requests.get(self.url + path, headers=headers, timeout=_SECONDS, **options)

    def push(self, run_summary: Any, **execution: str) -> int:
        """Store a summary, as a collector does; the id of the run."""
        body = msgspec.json.encode({"execution": execution, "run_summary": run_summary})
        answer = self._post("/api/v1/metrics", body, "application/json")
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    def stream(self, records: list[wire.AnyRecord]) -> None:
        """Store records of a run: one part, and one more at each place where numbers are left out."""
        path = f"/api/v1/runs/{records[0].run_uid}/parts"
        for _, part in itertools.groupby(enumerate(records), lambda one: one[1].sequence - one[0]):
            body = b"".join(wire.encode(record) + b"\n" for _, record in part)
            answer = self._post(path, body, "application/x-ndjson")
            assert answer.status_code == 200, answer.text
            path = f"{path.partition('?')[0]}?gap=true"

    def attach(self, run_uid: str, document: bytes, *, gzipped: bool = False) -> requests.Response:
        """Send a document of evidence of a run, as a referee does."""
        return self._attach(f"/api/v1/runs/{run_uid}/evidence", document, gzipped)

    def attach_to_job(self, document: bytes, *, gzipped: bool = False) -> requests.Response:
        """The same of one that names its job alone."""
        return self._attach("/api/v1/evidence", document, gzipped)

    def _attach(self, path: str, document: bytes, gzipped: bool) -> requests.Response:
        more = {"Content-Encoding": "gzip"} if gzipped else {}
        return self._post(path, gzip.compress(document) if gzipped else document, "application/json", more)

    def _post(
        self, path: str, body: bytes, media_type: str, more: Mapping[str, str] | None = None
    ) -> requests.Response:
        headers = {"Authorization": f"Bearer {PUSH}", "Content-Type": media_type, **(more or {})}
        return requests.post(self.url + path, data=body, headers=headers, timeout=_SECONDS)


@contextmanager
def running_receiver(directory: Path, *flags: str, ends_with: int = 0) -> Iterator[RunningReceiver]:
    """A receiver with both tokens set; stopped at the end, unless it was, which it must do with this exit code."""
    log = directory / "receiver.log"
    environ = os.environ | {
        "RECEIVER_READ_TOKEN": READ,
        "RECEIVER_PUSH_TOKEN": PUSH,
        "PYTHONPATH": str(TESTS.parent / "src"),
    }
    command = [
        sys.executable,
        "-m",
        "jobmeter",
        "receiver",
        "--listen=127.0.0.1:0",
        "--db=metrics.db",
        *flags,
    ]
    with log.open("w") as stderr:
        process = subprocess.Popen(command, env=environ, cwd=directory, stderr=stderr)
    try:
        yield RunningReceiver(f"http://{_address(process, log)}", process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        status = process.wait(_SECONDS)
    assert status == ends_with, log.read_text()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where it listens, once its log says so."""
    while process.poll() is None:
        for line in log.read_text().splitlines():
            if "receiver started" in line:
                return str(json.loads(line)["listen"])
        time.sleep(0.05)
    raise AssertionError(log.read_text())
