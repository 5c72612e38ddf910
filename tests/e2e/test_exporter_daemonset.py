"""The DaemonSet's container, run by Docker as the manifest describes it, beside pods that containerd's CRI makes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.support.cgroup import own_cgroups
from tests.e2e.support.collectors import wait_until
from tests.e2e.support.containerd import BUSYBOX, Containerd, running_containerd
from tests.e2e.support.cri import Pod, running_pod
from tests.e2e.support.docker import DockerEngine, hierarchy_root
from tests.e2e.support.exporters import ExporterContainer
from tests.e2e.support.manifests import flags_of, pod_of

OUR_POD = "/kubepods/burstable/podaaaaaaaa-b29f-11e7-9350-020968147796"
POD_UID = "2c48913c-b29f-11e7-9350-020968147796"
JOB_URL = "https://gitlab.example.com/group/app/-/jobs/12"
BURN = "i=0; while [ $i -lt 1000000 ]; do i=$((i+1)); done; sleep 600"


@pytest.fixture(scope="module")
def containerd() -> Iterator[Containerd]:
    """The engine of the node."""
    with running_containerd(parents=("kubepods",)) as engine:
        yield engine


@pytest.fixture(scope="module")
def deployed(
    exporter_image: DockerEngine, containerd: Containerd, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ExporterContainer]:
    """In a pod's cgroup, with a network and a cgroup namespace of its own; the node's /run has the engine's socket."""
    spec = pod_of("exporter.yaml")
    (container,) = spec["containers"]
    run = tmp_path_factory.mktemp("run")
    (run / "containerd").mkdir()
    paths = {one["name"]: Path(one["hostPath"]["path"]) for one in spec["volumes"]}
    assert paths == {"cgroup": Path("/sys/fs/cgroup"), "run": Path("/run")}
    flags = [
        *flags_of(spec, container, paths | {"run": run}),
        f"--volume={containerd.directory}:/host/run/containerd:ro",
        f"--cgroup-parent={OUR_POD}",
        "--cgroupns=private",
    ]
    image = container["image"].removesuffix(":latest")
    with exporter_image.spawn(image, *container["args"], flags=flags, network="bridge") as started:
        address = started.inspect()["NetworkSettings"]["IPAddress"]
        exporter = ExporterContainer(started, f"http://{address}:{container['ports'][0]['containerPort']}")
        exporter.get(container["readinessProbe"]["httpGet"]["path"])
        yield exporter
        assert started.stop(grace_seconds=spec["terminationGracePeriodSeconds"]) == 0, started.logs()
        said = [json.loads(line) for line in started.logs().splitlines()]
    assert all(one["level"] == "info" or one["msg"].startswith("ANYONE") for one in said), said


@pytest.fixture(scope="module")
def pod(containerd: Containerd) -> Iterator[Pod]:
    """The pod of a job, as gitlab-runner annotates it."""
    annotations = {"job.runner.gitlab.com/id": "12", "job.runner.gitlab.com/url": JOB_URL}
    labels = {"project.runner.gitlab.com/id": "3"}
    with running_pod(containerd, POD_UID, "runner-1", "ci", labels, annotations) as running:
        yield running


def test_container_of_a_pod(deployed: ExporterContainer, pod: Pod) -> None:
    """Its names, its job by the pod's annotations, and the CPU time of its cgroup, read from outside."""
    build = pod.start("build", "/bin/sh", "-c", BURN)
    place = hierarchy_root(own_cgroups()["cpuacct"]) / f"kubepods/pod{POD_UID}/{build}"
    wait_until(lambda: deployed.info(build).get("repo"), "the job")
    info = deployed.info(build)
    wait_until(lambda: names_of(place) == ["sleep"], "the end of its work")
    account = int((place / "cpuacct.usage").read_text()) / 1e9

    def difference() -> float:
        return abs(deployed.scrape().container("cpu_usage_seconds_total", build) - account)

    assert account > 0.3
    wait_until(lambda: difference() < 0.02, "the same account")
    assert (info["name"], info["image"], info["engine"]) == ("build", BUSYBOX, "kubernetes")
    assert (info["namespace"], info["pod"]) == ("ci", "runner-1")
    assert (info["repo"], info["attribution"]) == ("group/app", "own")


def names_of(place: Path) -> list[str]:
    """Those of a cgroup's processes."""
    pids = (place / "cgroup.procs").read_text().split()
    return [Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids]


def test_sandbox(deployed: ExporterContainer, pod: Pod) -> None:
    """It is of the same pod, and no job's container."""
    wait_until(lambda: deployed.info(pod.id).get("image"), "the sandbox")
    info = deployed.info(pod.id)

    assert (info["namespace"], info["pod"], info["role"]) == ("ci", "runner-1", "")


def test_nothing_fails(deployed: ExporterContainer) -> None:
    """Every file can be read, and the engine answers."""
    scrape = deployed.scrape()

    assert sum(scrape.values("jobmeter_exporter_read_errors_total")) == 0
    assert scrape.values("jobmeter_exporter_engine_up") == [1]
