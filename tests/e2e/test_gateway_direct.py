"""The gateway as the address of runners: a job in a bridged container clones, uploads and downloads through it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.apps.gateways import running
from tests.e2e.support.components import jobmeter_environment, require_command
from tests.e2e.support.docker import HOST, DockerEngine
from tests.e2e.support.network import Link
from tests.support.certificates import authority

NAME = "gateway.example"
PORT, FORGE_PORT = 8090, 3000
ARTIFACT_BYTES = 96 << 20
MOST_GROWN_BYTES = 24 << 20
"""Of the gateway's memory, while it passes twice an artifact that is much larger."""
OTHER_PATH = "other/a%2Fb//c?d=%20&e"
SETTINGS = """
metrics_server = ""
[[forge]]
name = "forge"
kind = "gitea"
url = "http://127.0.0.1:{forge_port}{url_path}/"
listen = "{address}:{port}"
public_url = "{public_url}"
"""
JOB = """
import hashlib, json, os, ssl, subprocess, sys, urllib.error, urllib.request
server, size, other = sys.argv[1], int(sys.argv[2]), sys.argv[3]
trusted = "/trusted/ca.pem"

def ask(method, url, body=None, **headers):
    request = urllib.request.Request(url, body, headers, method=method)
    context = ssl.create_default_context(cafile=trusted)
    try:
        with urllib.request.urlopen(request, context=context, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""

def digest(content):
    return hashlib.sha256(content).hexdigest()

clone = ["git", "-c", f"http.sslCAInfo={trusted}", "clone", "--quiet", f"{server}org/repo.git", "/tmp/repo"]
subprocess.run(clone, check=True)
with open("/tmp/artifact", "wb") as file:
    for _ in range(size >> 20):
        file.write(os.urandom(1 << 20))
artifact = json.loads(ask("POST", f"{server}artifacts", b"")[1])["url"]
with open("/tmp/artifact", "rb") as file:
    uploaded = ask("PUT", artifact, file, **{"Content-Length": str(size)})[0]
with open("/tmp/artifact", "rb") as file:
    sent = digest(file.read())
print(json.dumps({
    "checked_out": digest(open("/tmp/repo/file", "rb").read()),
    "artifact": artifact,
    "uploaded": uploaded,
    "same": digest(ask("GET", artifact)[1]) == sent,
    "other": json.loads(ask("DELETE", server + other, b"\\0 body", **{"X-Own": "a  b"})[1]),
    "moved": ask("GET", f"{server}moved")[0],
}))
"""


class Way(NamedTuple):
    """How the gateway is offered: the path that runners are given, that of ``url``, and that of the forge itself."""

    scheme: str = "http"
    given: str = ""
    url: str = ""
    forge: str = ""
    redirects: bool = True

    @property
    def public_url(self) -> str:
        return f"{self.scheme}://{NAME}:{PORT}{self.given}/"


WAYS = {
    "plain": Way(),
    "TLS": Way("https"),
    "below a path": Way("https", "/git", "", "/git"),
    "below a path of url": Way("http", "", "/git", "/git", redirects=False),
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A folder with the bare repository `org/repo.git` of one random file; its digest lies beside."""
    git = [require_command("git"), "-c", "user.name=somebody", "-c", "user.email=somebody@forge.example"]
    work, folder = tmp_path / "work", tmp_path / "repositories"
    subprocess.run([*git, "init", "--quiet", str(work)], check=True)
    (work / "file").write_bytes(os.urandom(4 << 20))
    subprocess.run([*git, "-C", str(work), "add", "file"], check=True)
    subprocess.run([*git, "-C", str(work), "commit", "--quiet", "--message=One"], check=True)
    subprocess.run([*git, "clone", "--quiet", "--bare", str(work), str(folder / "org/repo.git")], check=True)
    return folder


@contextmanager
def forge_of_jobs(host: Link, way: Way, folder: Path) -> Iterator[None]:
    """One on the loopback interface of the host, where no container reaches it."""
    words = [str(FORGE_PORT), way.forge, way.public_url, str(folder)]
    command = host.command(sys.executable, "-m", "tests.e2e.support.forge_of_jobs", *words)
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=jobmeter_environment()) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield
        finally:
            process.kill()


def memory(pid: int, name: str) -> int:
    """Bytes, by the name that the kernel has for it."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_job_in_a_bridged_container_needs_no_other_address(
    docker_engine: DockerEngine, repository: Path, tmp_path: Path, way: Way
) -> None:
    """It clones, keeps an artifact and gets it back; what the gateway does not know comes as it was written."""
    host = Link(f"/proc/{docker_engine.pid}/ns/net", "docker0")
    address, trusted = host.address, authority(tmp_path)
    text = SETTINGS.format(
        forge_port=FORGE_PORT, url_path=way.url, address=address, port=PORT, public_url=way.public_url
    )
    if way.scheme == "https":
        text += "tls_cert = '{}'\ntls_key = '{}'\n".format(*trusted.issue(NAME))
    flags = [f"--add-host={NAME}:{address}", f"--volume={trusted.certificate}:/trusted/ca.pem:ro"]
    with (
        forge_of_jobs(host, way, repository),
        running(tmp_path, text, within=host.command()) as (gateway, _),
    ):
        before = memory(gateway.pid, "VmRSS")
        words = [way.public_url, str(ARTIFACT_BYTES), OTHER_PATH]
        done = docker_engine.run(HOST, "python3", "-c", JOB, *words, flags=flags, network="bridge")
        grown = memory(gateway.pid, "VmHWM") - before

    check(json.loads(done.stdout), way, repository)
    assert grown < MOST_GROWN_BYTES


def check(job: dict[str, Any], way: Way, repository: Path) -> None:
    """What the job says of itself."""
    file = (repository.parent / "work/file").read_bytes()
    assert job["checked_out"] == hashlib.sha256(file).hexdigest()
    assert (job["uploaded"], job["same"]) == (200, True)
    assert job["other"]["line"] == f"DELETE {way.forge}/{OTHER_PATH} HTTP/1.1"
    assert ["x-own", "a  b"] in [[name.lower(), value] for name, value in job["other"]["headers"]]
    assert job["other"]["body"] == hashlib.sha256(b"\0 body").hexdigest()
    assert job["moved"] == (200 if way.redirects else 404)
