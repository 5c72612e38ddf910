"""What `jobmeter exporter` shows of real containers, against accounts that it does not read."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import docker
import pytest

from jobmeter.exporter.sampler import FRESH_SECONDS
from scripts.dashboards.asking import Prometheus
from tests.e2e.support import accuracy
from tests.e2e.support.cgroup import V2, own_cgroups, remove_tree
from tests.e2e.support.collectors import descriptors, wait_until
from tests.e2e.support.components import ROOT
from tests.e2e.support.containerd import HOST as CONTAINERD_HOST
from tests.e2e.support.containerd import Containerd, running_containerd
from tests.e2e.support.docker import BUSYBOX, HOST, DockerEngine, hierarchy_root
from tests.e2e.support.exporters import RunningExporter, Scrape, running_exporter
from tests.e2e.support.network import PORT, TRANSFER, Link, Traffic, linked, namespace
from tests.e2e.support.podman import CGROUPS as PODMAN_CGROUPS
from tests.e2e.support.podman import HOST as PODMAN_HOST
from tests.e2e.support.podman import Podman, running_podman
from tests.e2e.support.prometheus import prometheus

MIB = 1024 * 1024
GCC_FILES = 5
DOWN_BYTES, UP_BYTES = 8_000_000, 3_000_000
COMPILE = "for file in /src/unit_*.c; do gcc -O2 -c $file -o /tmp/out.o || exit; done"
MANY = "i=0; while [ $i -lt 300 ]; do /bin/true; i=$((i + 1)); done"
FETCH = f"exec python3 -c '{TRANSFER}' $1 {DOWN_BYTES} {PORT} {UP_BYTES}"
PARENT = f"jobmeter-truth-{uuid4().hex[:8]}"
SCRAPE_SECONDS = 1
CONTAINERS = 200
WORKERS = 5
SHORT = "i=0; while [ $i -lt 30000 ]; do i=$((i + 1)); done; sleep 0.25"
REPOSITORIES = ("acme/engine", "acme/tools")
JOB = {"workflow": "ci.yaml", "job": "build"}
TOTAL = "jobmeter_repository_cpu_seconds_total"
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
        tmp_path_factory.mktemp("exporter"), "--interval=5s", "--linger=4s", *flags
    ) as running:
        yield running


@pytest.fixture(scope="module")
def server(exporter: RunningExporter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that scrapes it every second."""
    directory = tmp_path_factory.mktemp("prometheus")
    with prometheus(directory, scrape_seconds=SCRAPE_SECONDS, JOBMETER_TARGET=exporter.address) as running:
        yield running


@pytest.fixture(scope="module")
def built(
    server: Prometheus,
    exporter: RunningExporter,
    docker_engine: DockerEngine,
    podman: Podman,
    containerd: Containerd,
    sources: Path,
) -> dict[str, Built]:
    """One build by each engine, all at once, while Prometheus scrapes."""

    def by_docker() -> Built:
        return build_by_docker(exporter, docker_engine, sources)

    def by_podman() -> Built:
        return build_in_pod(exporter, podman, sources)

    def by_containerd() -> Built:
        return build_by_containerd(exporter, containerd, sources)

    with ThreadPoolExecutor() as pool:
        tasks = [pool.submit(build) for build in (by_docker, by_podman, by_containerd)]
        found = dict(zip(ENGINES, (task.result() for task in tasks), strict=True))
    if accuracy.WRITE:
        write_builds(found)
    return found


def write_builds(built: dict[str, Built]) -> None:
    """The tables about builds."""
    account = "the other hierarchy (v2)"
    rows = [
        accuracy.exporter_row(f"a build, {engine}", account, one.cpu_account, one.cpu_seconds)
        for engine, one in built.items()
    ]
    accuracy.write_table("exporter", accuracy.EXPORTER_HEADING, rows, accuracy.this_machine())
    rows = [
        accuracy.bytes_row(f"a build, {engine}", direction, counted, shown)
        for engine, one in built.items()
        for direction, counted, shown in zip(Traffic._fields, one.traffic_account, one.traffic, strict=True)
    ]
    accuracy.write_table("exporter bytes", accuracy.BYTES_HEADING, rows, accuracy.this_machine())


def build_by_docker(exporter: RunningExporter, engine: DockerEngine, sources: Path) -> Built:
    """On Docker's bridge, below a cgroup of its own, whose account outlives the container."""
    link = Link(f"/proc/{engine.pid}/ns/net", "docker0")
    script = f"{COMPILE}; {MANY}; {FETCH}"
    flags = [f"--cgroup-parent=/{PARENT}", f"--volume={sources}:/src:ro"]
    with link.counted(), link.server(DOWN_BYTES):
        command = ("sh", "-c", script, "sh", link.address)
        with engine.spawn(HOST, *command, flags=flags, network="bridge") as container:
            assert container.wait() == 0, container.logs()
            shown = {container.id: last_shown(exporter, container.id)}
            return account(shown, unified_seconds(PARENT), link.traffic(), transfers=1)


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
            for script in (MANY, COMPILE)
        ]
        shown = {}
        for container_id in ids:
            assert podman("wait", container_id) == "0", podman("logs", container_id)
            shown[container_id] = last_shown(exporter, container_id)
        time.sleep(FRESH_SECONDS)  # The first one lives on, and a value of it may be so old.
        shown[first] = exporter.scrape()
        cpu_account = unified_seconds(f"{PODMAN_CGROUPS}/{pod}")
        return account(shown, cpu_account, link.traffic(), transfers=2)


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
        shown = {"truth": last_shown(exporter, "truth")}
        return account(shown, unified_seconds("default"), link.traffic(), transfers=1)


def last_shown(exporter: RunningExporter, container_id: str) -> Scrape:
    """A scrape that knows that a container has ended."""
    ended = "jobmeter_container_end_time_seconds"
    wait_until(lambda: exporter.shows(ended, id=container_id), f"the end of {container_id}")
    return exporter.scrape()


def account(shown: dict[str, Scrape], cpu_account: float, traffic: Traffic, *, transfers: int) -> Built:
    """What the scrapes say of these containers together, beside the accounts."""

    def total(name: str) -> float:
        return sum(
            sum(scrape.values(f"jobmeter_container_{name}_total", id=one)) for one, scrape in shown.items()
        )

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
    """Within 0.1 % of what passed iptables, which is what the programs moved, with headers and repeats."""
    build = built[engine]
    shown, counted, moved = (
        getattr(one, direction) for one in (build.traffic, build.traffic_account, build.payload)
    )

    assert shown == pytest.approx(counted, rel=0.001)
    assert moved < shown < 1.2 * moved


class Held(NamedTuple):
    """What a process holds."""

    descriptors: int
    memory_bytes: int


@dataclass(frozen=True)
class Jobs:
    """Many short containers of two jobs: by repository, CPU time by an account, and by each way to ask for it.

    `before` is what the exporter held before them.
    """

    account: dict[str, float]
    difference: dict[str, float]
    increase: dict[str, float]
    before: Held


def held_by(exporter: RunningExporter) -> Held:
    """At this moment."""
    memory = re.search(
        r"^Pss:\s+(\d+) kB", Path(f"/proc/{exporter.process.pid}/smaps_rollup").read_text(), re.MULTILINE
    )
    assert memory is not None
    return Held(descriptors(exporter.process.pid), int(memory[1]) * 1024)


def ended_ones(exporter: RunningExporter) -> list[dict[str, str]]:
    """Containers that are gone and still shown."""
    return exporter.shows("jobmeter_container_end_time_seconds")


@pytest.fixture(scope="module")
def jobs(exporter: RunningExporter, server: Prometheus, docker_engine: DockerEngine) -> Jobs:
    """Run them, both jobs at once; then ask when Prometheus has seen that nothing changes any more."""
    wait_until(lambda: server.at("up == 1", time.time()), "the first scrape")
    parents = {one: f"{PARENT}-{one.rpartition('/')[2]}" for one in REPOSITORIES}
    wait_until(lambda: not ended_ones(exporter), "the end of older series")
    before = held_by(exporter)
    run_short_containers(docker_engine, parents)
    ended = time.time()
    moment = wait_until(lambda: scraped_after(server, ended + 3 * SCRAPE_SECONDS), "scrapes after the end")

    def ask(query: str) -> dict[str, float]:
        return {one.labels.get("repo", ""): one.points[0][1] for one in server.at(query, moment)}

    used = {one: unified_seconds(parent) for one, parent in parents.items()}
    for hierarchy in set(own_cgroups().values()):
        for parent in parents.values():
            remove_tree(hierarchy_root(hierarchy) / parent)
    found = Jobs(
        account=used,
        difference=ask(f"max_over_time({TOTAL}[1h]) - min_over_time({TOTAL}[1h])"),
        increase=ask(f"sum by (repo) (increase({TOTAL}[1h]))"),
        before=before,
    )
    if accuracy.WRITE:
        write_jobs(found)
    return found


def write_jobs(jobs: Jobs) -> None:
    """The table about short containers."""
    what, account = f"`increase()` over {CONTAINERS // 2} containers", "the other hierarchy (v2)"
    rows = [
        accuracy.exporter_row(f"{what} of {one}", account, jobs.account[one], jobs.increase[one])
        for one in REPOSITORIES
    ]
    accuracy.write_table("exporter short", accuracy.EXPORTER_HEADING, rows, accuracy.this_machine())


def run_short_containers(engine: DockerEngine, parents: dict[str, str]) -> None:
    """Each repository's below its cgroup, whose account outlives them; over the API, since the command costs more."""
    with closing(docker.APIClient(base_url=engine.url)) as api:

        def run(number: int) -> None:
            repository = REPOSITORIES[number % len(REPOSITORIES)]
            labels = {f"jobmeter.{name}": value for name, value in {**JOB, "repository": repository}.items()}
            host = api.create_host_config(network_mode="none", cgroup_parent=f"/{parents[repository]}")
            made = api.create_container(BUSYBOX, ["sh", "-c", SHORT], labels=labels, host_config=host)
            api.start(made)
            assert api.wait(made)["StatusCode"] == 0
            api.remove_container(made)

        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(run, range(CONTAINERS)))


def scraped_after(server: Prometheus, moment: float) -> float:
    """When Prometheus scraped the exporter last, or 0 if that was before."""
    (found,) = server.at("timestamp(up)", time.time())
    scraped = found.points[0][1]
    return scraped if scraped > moment else 0.0


@pytest.mark.parametrize("repository", REPOSITORIES)
@pytest.mark.parametrize("way", ["difference", "increase"])
def test_short_containers_are_in_the_totals_of_their_job(jobs: Jobs, repository: str, way: str) -> None:
    """200 containers of 300 ms, of two jobs that nobody saw before: within 1 % of the account, however it is asked.

    `increase()` extrapolates to the edges of its range: at the beginning not beyond where a counter would be 0,
    which is where a row of the totals begins; at the end for the time since the last scrape. So it is exact at the
    moment of a scrape, and until the next one too high by at most one interval in the time that was scraped.
    """
    assert jobs.account[repository] > 0.05 * CONTAINERS / 2
    assert getattr(jobs, way)[repository] == pytest.approx(jobs.account[repository], rel=0.01)


def test_nothing_is_held_of_short_containers(exporter: RunningExporter, jobs: Jobs) -> None:
    """Their series go, and the process has the descriptors and the memory that it had before."""
    wait_until(lambda: not ended_ones(exporter), "the end of their series")
    wait_until(lambda: descriptors(exporter.process.pid) <= jobs.before.descriptors, "fewer descriptors")
    after = held_by(exporter)

    assert after.memory_bytes <= jobs.before.memory_bytes + 4 * MIB
