"""The rig's compose file, started: Prometheus comes up without privilege and scrapes the loopback of its host.

The images cannot be pulled here. In place of Prometheus' stands one of busybox and Debian's Prometheus, as the real
one is made of busybox and Prometheus; Grafana is not started.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.support.collectors import wait_until
from tests.e2e.support.components import require_command
from tests.e2e.support.docker import BUSYBOX, Container, DockerEngine
from tests.e2e.support.elf import shared_libraries
from tests.e2e.support.exporters import running_exporter
from tests.e2e.support.images import curl
from tests.e2e.support.prometheus import RIG

API = "http://127.0.0.1:9091/api/v1"
TOKEN = "a-read-token"
NOBODY = 65534


def stand_in(engine: DockerEngine, image: str) -> None:
    """Make an image with a shell, awk and /bin/prometheus, whose user is nobody, as the real one."""
    program = Path(require_command("prometheus"))
    with engine.spawn(BUSYBOX, "sleep", "600") as box:
        box.exec("mkdir", "-p", "/lib64", "/prometheus", "/etc/prometheus")
        box.exec("chown", str(NOBODY), "/prometheus")
        for library in shared_libraries(program):
            box.exec("mkdir", "-p", str(library.parent))
            engine.docker("cp", str(library.resolve()), f"{box.id}:{library}")
        engine.docker("cp", str(program.resolve()), f"{box.id}:/bin/prometheus")
        engine.docker("commit", f"--change=USER {NOBODY}", box.id, image)


@pytest.fixture(scope="module")
def prometheus(docker_engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """The rig's Prometheus beside an exporter that listens at its default, with a token, in the daemon's network."""
    image = yaml.safe_load((RIG / "compose.yaml").read_text())["services"]["prometheus"]["image"]
    stand_in(docker_engine, image)
    environ = docker_engine.environment() | {"JOBMETER_READ_TOKEN": TOKEN}
    command = [require_command("docker-compose"), f"--file={RIG / 'compose.yaml'}"]
    beside = ["nsenter", f"--net=/proc/{docker_engine.pid}/ns/net"]
    socket = f"--engine-socket=docker={docker_engine.directory}/docker.sock"
    flags = [socket, f"--read-token={TOKEN}", "--listen=127.0.0.1:9925"]
    with running_exporter(tmp_path_factory.mktemp("exporter"), *flags, within=beside):
        subprocess.run([*command, "up", "-d", "prometheus"], env=environ, check=True, capture_output=True)
        label = "label=com.docker.compose.service=prometheus"
        id_ = docker_engine.docker("ps", "--no-trunc", "--quiet", "--filter", label).stdout.strip()
        yield Container(docker_engine, id_, "prometheus")
        down = [*command, "down", "--volumes", "--timeout=5"]
        subprocess.run(down, env=environ, check=True, capture_output=True)


def ask(prometheus: Container, path: str) -> Any:
    return json.loads(curl(prometheus.engine, f"{API}/{path}"))["data"]


def test_exporter_is_scraped_at_its_default_with_its_token(prometheus: Container) -> None:
    """One command, no variable but the token: the target of the host's loopback is up."""
    targets = wait_until(
        lambda: [one for one in ask(prometheus, "targets")["activeTargets"] if one["health"] == "up"],
        "a target that is up",
    )

    assert [one["labels"] for one in targets] == [{"instance": "127.0.0.1:9925", "job": "jobmeter"}]


def test_rules_are_loaded(prometheus: Container) -> None:
    """All of them, and none fails."""
    written = yaml.safe_load((RIG / "prometheus/rules.yaml").read_text())["groups"]
    groups = {
        group["name"]: group["rules"]
        for group in wait_until(lambda: ask(prometheus, "rules")["groups"], "the rules")
    }

    assert {name: len(rules) for name, rules in groups.items()} == {
        group["name"]: len(group["rules"]) for group in written
    }
    assert [rule["lastError"] for rules in groups.values() for rule in rules if rule.get("lastError")] == []


def test_it_has_no_privilege_and_writes_to_its_volume_alone(prometheus: Container) -> None:
    """Nobody, without a capability, on a file system that cannot be written to."""
    status = Path(f"/proc/{prometheus.pid}/status").read_text()

    assert f"\nUid:\t{NOBODY}\t" in status
    assert "\nCapPrm:\t0000000000000000\n" in status
    assert prometheus.inspect()["HostConfig"]["ReadonlyRootfs"]
    assert prometheus.exec("touch", "/etc/prometheus/x", "/x", check=False).returncode == 1


def test_it_stays_on_the_loopback_interface(prometheus: Container) -> None:
    """What the host's network sees of it is 127.0.0.1:9091."""
    listing = subprocess.run(
        ["nsenter", f"--net=/proc/{prometheus.pid}/ns/net", "cat", "/proc/self/net/tcp", "/proc/self/net/tcp6"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    listening = {line.split()[1] for line in listing.splitlines() if line.split()[3] == "0A"}

    assert {place for place in listening if place.endswith(f":{9091:04X}")} == {f"0100007F:{9091:04X}"}
