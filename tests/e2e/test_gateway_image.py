"""The gateway's image, built and started as the documentation says, between a forge and who asks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.support.collectors import wait_until
from tests.e2e.support.components import ROOT, jobmeter_environment
from tests.e2e.support.docker import Container, DockerEngine
from tests.e2e.support.images import DEPLOY_PAGE, GATEWAY, curl, documented

CONFIG = ROOT / "deploy/gateway/gateway.toml"
URL, METRICS_URL = "http://127.0.0.1:8090", "http://127.0.0.1:9252"
FORGE_PORT = 3000
USER = 65532


@pytest.fixture(scope="module")
def deployed(gateway_image: DockerEngine) -> Iterator[Container]:
    """Started by the page's own command, with the file that ships."""
    words = documented(DEPLOY_PAGE, "docker run -d --name jobmeter-gateway")[1:]
    mounts = [word.replace("/etc/jobmeter/gateway.toml:/", f"{CONFIG}:/") for word in words]
    started = gateway_image.docker(*mounts).stdout.strip()
    with Container(gateway_image, started, GATEWAY) as container:
        curl(gateway_image, f"{METRICS_URL}/healthz")
        yield container
        assert container.stop() == 0, container.logs()
        said = [json.loads(line) for line in container.logs().splitlines()]
    assert [one["msg"] for one in said if one["level"] != "info"] == []


@pytest.fixture
def forge(deployed: Container, tmp_path: Path) -> Iterator[None]:
    """One at the address of the file, in the network of the engine's host."""
    module = [sys.executable, "-m", "tests.e2e.support.forge_of_jobs"]
    words = [
        "nsenter",
        f"--net=/proc/{deployed.engine.pid}/ns/net",
        *module,
        str(FORGE_PORT),
        "",
        URL,
        str(tmp_path),
    ]
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=jobmeter_environment()) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield
        finally:
            process.kill()


def test_what_is_asked_reaches_the_forge(deployed: Container, forge: None) -> None:
    """As the file says where it is."""
    told = json.loads(curl(deployed.engine, f"{URL}/told?by=us"))
    assert told["line"] == "GET /told?by=us HTTP/1.1"


def test_it_is_healthy_without_privilege(deployed: Container) -> None:
    """By the image's own health check; nothing but its state is written, by a user who is not root."""
    wait_until(lambda: deployed.inspect()["State"]["Health"]["Status"] == "healthy", "its health")
    status = Path(f"/proc/{deployed.pid}/status").read_text()
    assert f"\nUid:\t{USER}\t{USER}\t{USER}\t{USER}\n" in status
    assert f"\nCapBnd:\t{0:016x}\n" in status
    state = deployed.exec("stat", "-c", "%u %a", "/var/lib/jobmeter/gateway").stdout.split()
    assert state == [str(USER), "700"]
    assert deployed.exec("touch", "/tmp/file", check=False).returncode != 0


def test_docker_waits_as_long_as_the_gateway_may(deployed: Container) -> None:
    """Longer than the file's `shutdown_timeout`."""
    assert 'shutdown_timeout = "10m"' in CONFIG.read_text()
    assert deployed.inspect()["Config"]["StopTimeout"] > 600
