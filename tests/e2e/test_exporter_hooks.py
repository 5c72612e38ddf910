"""The exporter's hooks with real containers: they are named by what is announced, and their ends are told."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support.collectors import wait_until
from tests.e2e.support.components import JOBMETER, jobmeter_environment
from tests.e2e.support.docker import BUSYBOX, DockerEngine
from tests.e2e.support.exporters import RunningExporter, running_exporter
from tests.e2e.support.runs import AS_NOBODY
from tests.e2e.support.workloads import PYTHON
from tests.support import launches

PAGE = Path(__file__).parents[2] / "docs" / "hooks.md"
PLACE = "/run/jobmeter/exporter-hooks.sock"
INFO = "jobmeter_container_info"
TASK = f"FORGEJO-ACTIONS-TASK-12_WORKFLOW-{'9' * 64}_JOB-build"
JOB = {"forge": "forgejo", "server_url": "https://forge.example", "repository": "acme/engine", "job": "build"}
TICK_SECONDS = 0.01
BURN = "while :; do :; done"


@contextmanager
def exporting(tmp_path: Path, engine: DockerEngine) -> Iterator[tuple[RunningExporter, Path]]:
    """One that reads by itself once in an hour."""
    place = tmp_path / "hooks"
    flags = (f"--hooks={place}", "--interval=1h", f"--engine-socket={engine.url}")
    with running_exporter(tmp_path, *flags) as exporter:
        yield exporter, place


def ask(place: Path, **said: Any) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as hooks:
        hooks.settimeout(10)
        hooks.connect(str(place))
        hooks.sendall(json.dumps(said).encode() + b"\n")
        return dict(json.loads(hooks.makefile().readline()))


def started(place: Path, container: str) -> dict[str, Any]:
    """What is said of this container; other tests may have some at the same time."""
    with socket.socket(socket.AF_UNIX) as hooks:
        hooks.settimeout(10)
        hooks.connect(str(place))
        hooks.sendall(b'{"listen": ["container_started"]}\n')
        events = map(json.loads, hooks.makefile())
        return next(dict(event) for event in events if event["id"] == container)


def own_seconds(pid: int) -> float:
    """CPU time of a process itself."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_SECONDS


def blocks() -> list[str]:
    """The programs of the page."""
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


@contextmanager
def program(tmp_path: Path, text: str, place: Path) -> Iterator[Path]:
    """One of them, at work; its output."""
    output = tmp_path / "program.out"
    with output.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-c", text.replace(PLACE, str(place))], stdout=out)
    try:
        yield output
    finally:
        process.kill()
        process.wait()


def test_the_programs_of_the_page(tmp_path: Path, docker_engine: DockerEngine) -> None:
    """One hears of what the other announces, of the container that is named, and of its end."""
    listen, announce = blocks()
    with (
        exporting(tmp_path, docker_engine) as (exporter, place),
        program(tmp_path, listen, place) as heard,
        docker_engine.spawn(BUSYBOX, "sleep", "60") as container,
    ):
        wait_until(lambda: "container_started None None" in heard.read_text(), "a container")
        begin, _, end = announce.replace(PLACE, str(place)).partition("# … the task runs …")
        for part in (begin, begin.partition("\njob =")[0] + end):
            done = subprocess.run(
                [sys.executable, "-c", part.replace("CONTAINER_ID", repr(container.id))],
                capture_output=True, text=True, timeout=30, check=True,
            )  # fmt: skip
            assert done.stdout == "{'ok': True}\n"
            (info,) = exporter.shows(INFO, id=container.id)
        assert (info["attribution"], info["repo"], info["job"]) == ("announced", "acme/engine", "build")
        container.kill()
        wait_until(lambda: "container_ended 12 acme/engine" in heard.read_text(), "its end")
        lines = heard.read_text().splitlines()
        assert "on_task_started 12 acme/engine" in lines
        assert "on_task_destroy 12 acme/engine" in lines


def test_a_container_that_carries_the_number(tmp_path: Path, docker_engine: DockerEngine) -> None:
    """Is named before anything runs in it, and what it used until its task's end is shown when it is gone."""
    with exporting(tmp_path, docker_engine) as (exporter, place):
        assert ask(place, event="on_task_started", task_id=12, job=JOB) == {"ok": True}
        with docker_engine.spawn(BUSYBOX, "sh", "-c", BURN, name=TASK) as container:
            wait_until(lambda: exporter.shows(INFO, id=container.id, attribution="announced"), "its name")
            time.sleep(4)  # It is not young any more: nobody looks at it by itself.
            used = own_seconds(container.pid)
            assert ask(place, event="on_task_destroy", task_id=12, job=JOB) == {"ok": True}
            known = started(place, container.id)
            assert known["used"]["cpu_seconds"] >= used - TICK_SECONDS
            container.kill()
            shown = exporter.scrape()
            assert shown.container("cpu_usage_seconds_total", container.id) >= used - TICK_SECONDS
            (info,) = shown.labels(INFO, id=container.id)
            assert (info["repo"], info["attribution"]) == ("acme/engine", "announced")


def test_killed_and_started_again(tmp_path: Path) -> None:
    """What it left is replaced; one that lives is not."""
    place = tmp_path / "hooks"
    flags = ["--listen=127.0.0.1:0", f"--hooks={place}", "--engine-socket=none"]
    command = [*JOBMETER, "exporter", *flags]
    with subprocess.Popen(command, env=jobmeter_environment(), stderr=subprocess.DEVNULL) as killed:
        wait_until(place.exists, "the socket")
        killed.kill()
    assert place.is_socket()
    with running_exporter(tmp_path, *flags[1:]):
        assert ask(place, event="on_task_started", task_id=1) == {"ok": True}
        refused = subprocess.run(
            command, env=jobmeter_environment(), capture_output=True, text=True, timeout=60, check=False
        )
        assert refused.returncode == 1
        assert f"--hooks: '{place}' cannot be listened on: another process answers there" in refused.stderr
        assert ask(place, event="on_task_destroy", task_id=1) == {"ok": True}
    assert not place.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another account needs root")
def test_another_account(tmp_path: Path) -> None:
    """May not even connect."""
    with launches.place() as folder:
        place = folder / "hooks"
        program = f"import socket; socket.socket(socket.AF_UNIX).connect({str(place)!r})"
        with running_exporter(tmp_path, f"--hooks={place}", "--engine-socket=none"):
            done = subprocess.run(
                [*AS_NOBODY, PYTHON, "-c", program], capture_output=True, text=True, check=False
            )
    assert "PermissionError" in done.stderr
