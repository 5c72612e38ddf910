"""What `jobmeter exporter` shows of real containers, against accounts that it does not read."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from jobmeter.exporter.sampler import FRESH_SECONDS
from tests.e2e.support.cgroup import V2, own_cgroups
from tests.e2e.support.collectors import wait_until
from tests.e2e.support.components import ROOT
from tests.e2e.support.containerd import HOST as CONTAINERD_HOST
from tests.e2e.support.containerd import Containerd, running_containerd
from tests.e2e.support.docker import HOST, DockerEngine, hierarchy_root
from tests.e2e.support.exporters import RunningExporter, Scrape, running_exporter
from tests.e2e.support.network import PORT, TRANSFER, Link, Traffic, linked, namespace
from tests.e2e.support.podman import CGROUPS as PODMAN_CGROUPS
from tests.e2e.support.podman import HOST as PODMAN_HOST
from tests.e2e.support.podman import Podman, running_podman

GCC_FILES = 5
DOWN_BYTES, UP_BYTES = 8_000_000, 3_000_000
COMPILE = "for file in /src/unit_*.c; do gcc -O2 -c $file -o /tmp/out.o || exit; done"
MANY = "i=0; while [ $i -lt 300 ]; do /bin/true; i=$((i + 1)); done"
FETCH = f"exec python3 -c '{TRANSFER}' $1 {DOWN_BYTES} {PORT} {UP_BYTES}"
PARENT = f"jobmeter-truth-{uuid4().hex[:8]}"
ENGINES = ("docker", "podman pod", "containerd")


@dataclass(frozen=True)
class Built:
    """A build in containers of one engine: as shown last, and by the accounts. `payload` is what its programs moved."""

    cpu_seconds: float
    traffic: Traffic
    cpu_account: float
    traffic_account: Traffic
    payload: Traffic


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """C files for a compiler."""
    directory = tmp_path_factory.mktemp("src")
    subprocess.run([sys.executable, ROOT / "scripts/generate_c.py", directory, str(GCC_FILES)], check=True)
    return directory


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    with running_podman() as engine:
        yield engine


@pytest.fixture(scope="module")
def containerd() -> Iterator[Containerd]:
    with running_containerd() as engine:
        yield engine


@pytest.fixture(scope="module")
def exporter(
    docker_engine: DockerEngine,
    podman: Podman,
    containerd: Containerd,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningExporter]:
    """One for all engines."""
    sockets = (
        f"docker={docker_engine.directory}/docker.sock",
        f"docker={podman.socket}",
        f"containerd={containerd.socket}",
    )
    flags = [f"--engine-socket={socket}" for socket in sockets]
    with running_exporter(
        tmp_path_factory.mktemp("exporter"), "--interval=5s", "--linger=10s", *flags
    ) as running:
        yield running


@pytest.fixture(scope="module")
def built(
    exporter: RunningExporter,
    docker_engine: DockerEngine,
    podman: Podman,
    containerd: Containerd,
    sources: Path,
) -> dict[str, Built]:
    """One build by each engine, all at once."""

    def by_docker() -> Built:
        return build_by_docker(exporter, docker_engine, sources)

    def by_podman() -> Built:
        return build_in_pod(exporter, podman, sources)

    def by_containerd() -> Built:
        return build_by_containerd(exporter, containerd, sources)

    with ThreadPoolExecutor() as pool:
        tasks = [pool.submit(build) for build in (by_docker, by_podman, by_containerd)]
        return dict(zip(ENGINES, (task.result() for task in tasks), strict=True))


def build_by_docker(exporter: RunningExporter, engine: DockerEngine, sources: Path) -> Built:
    """On Docker's bridge, below a cgroup of its own, whose account outlives the container."""
    link = Link(f"/proc/{engine.pid}/ns/net", "docker0")
    script = f"{COMPILE}; {MANY}; {FETCH}"
    flags = [f"--cgroup-parent=/{PARENT}", f"--volume={sources}:/src:ro"]
    with link.counted(), link.server(DOWN_BYTES):
        command = ("sh", "-c", script, "sh", link.address)
        with engine.spawn(HOST, *command, flags=flags, network="bridge") as container:
            assert container.wait() == 0, container.logs()
            shown = last_shown(exporter, container.id)
            return account(shown, [container.id], unified_seconds(PARENT), link.traffic(), transfers=1)


def build_in_pod(exporter: RunningExporter, podman: Podman, sources: Path) -> Built:
    """Two containers at once in the network namespace of their pod, which is that of its first container."""
    pod = podman("pod", "create", "--share=net,ipc,uts", "--network=none")
    podman("pod", "start", pod)
    first = podman("pod", "inspect", "--format={{.InfraContainerID}}", pod)
    pid = podman("inspect", "--format={{.State.Pid}}", first)
    with linked(f"/proc/{pid}/ns/net") as link, link.counted(), link.server(DOWN_BYTES):
        mounts = ["--volume=/usr:/usr:ro", f"--volume={sources}:/src:ro"]
        ids = [
            podman(
                *("run", "--detach", f"--pod={pod}", *mounts, PODMAN_HOST),
                *("sh", "-c", f"{script}; {FETCH}", "sh", link.address),
            )
            for script in (COMPILE, MANY)
        ]
        for container_id in ids:
            assert podman("wait", container_id) == "0", podman("logs", container_id)
            last_shown(exporter, container_id)
        time.sleep(FRESH_SECONDS)  # The first one lives on, and a value of it may be so old.
        shown = exporter.scrape()
        cpu_account = unified_seconds(f"{PODMAN_CGROUPS}/{pod}")
        return account(shown, [first, *ids], cpu_account, link.traffic(), transfers=2)


def build_by_containerd(exporter: RunningExporter, containerd: Containerd, sources: Path) -> Built:
    """In a network namespace that was made for it."""
    mounts = [
        f"--mount=type=bind,src={source},dst={place},options=rbind:ro"
        for source, place in (("/usr", "/usr"), (sources, "/src"))
    ]
    with namespace() as inside, linked(inside) as link, link.counted(), link.server(DOWN_BYTES):
        command = ("sh", "-c", f"{COMPILE}; {MANY}; {FETCH}", "sh", link.address)
        containerd.ctr(
            "run", "--rm", f"--with-ns=network:{inside}", *mounts, CONTAINERD_HOST, "truth", *command
        )
        shown = last_shown(exporter, "truth")
        return account(shown, ["truth"], unified_seconds("default"), link.traffic(), transfers=1)


def last_shown(exporter: RunningExporter, container_id: str) -> Scrape:
    """The first scrape that knows that a container has ended."""

    def ended() -> Scrape | None:
        scrape = exporter.scrape()
        return scrape if scrape.values("jobmeter_container_end_time_seconds", id=container_id) else None

    return wait_until(ended, f"the end of {container_id}")


def account(shown: Scrape, ids: list[str], cpu_account: float, traffic: Traffic, *, transfers: int) -> Built:
    """What is shown of these containers together, beside the accounts."""

    def total(name: str) -> float:
        return sum(sum(shown.values(f"jobmeter_container_{name}_total", id=one)) for one in ids)

    return Built(
        cpu_seconds=total("cpu_usage_seconds"),
        traffic=Traffic(int(total("network_receive_bytes")), int(total("network_transmit_bytes"))),
        cpu_account=cpu_account,
        traffic_account=traffic,
        payload=Traffic(transfers * DOWN_BYTES, transfers * UP_BYTES),
    )


def unified_seconds(path: str) -> float:
    """CPU time of all there was below a cgroup, by the unified hierarchy, which is left aside where there is v1."""
    own = own_cgroups()
    text = (hierarchy_root(own[V2]) / path / "cpu.stat").read_text()
    return int(dict(line.split() for line in text.splitlines())["usage_usec"]) / 1e6


@pytest.mark.parametrize("engine", ENGINES)
def test_cpu_time_of_a_build_is_whole(built: dict[str, Built], engine: str) -> None:
    """As shown last, within 0.1 % or 20 ms of the hierarchy that is not read."""
    build = built[engine]

    assert build.cpu_account > 1
    assert build.cpu_seconds == pytest.approx(build.cpu_account, rel=0.001, abs=0.02)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("direction", Traffic._fields)
def test_bytes_of_a_build_are_those_that_were_sent(
    built: dict[str, Built], engine: str, direction: str
) -> None:
    """Within 0.1 % of what passed iptables, which is what the programs moved and its headers; a pod's once."""
    build = built[engine]
    shown, counted, moved = (
        getattr(one, direction) for one in (build.traffic, build.traffic_account, build.payload)
    )

    assert shown == pytest.approx(counted, rel=0.001)
    assert moved < shown < 1.01 * moved
