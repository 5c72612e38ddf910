"""The pods of `deploy/kubernetes`, their containers run by Docker with what the manifests say of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.support.collectors import container_of, wait_until
from tests.e2e.support.docker import BUSYBOX, Container, DockerEngine
from tests.e2e.support.images import Stress, curl
from tests.e2e.support.manifests import flags_of, pod_of

NETWORK = "cluster"
TOKENS = {"push": "the-push-token", "read": "the-read-token"}


@dataclass(frozen=True)
class Cluster:
    """A receiver, and the pod of a job beside it."""

    engine: DockerEngine
    receiver: Container
    job: Container
    sidecar: Container

    def ask(self, path: str) -> Any:
        """Ask the receiver, which has the only address in this network that is published."""
        return json.loads(curl(self.engine, f"http://localhost:9081{path}", TOKENS["read"]))

    def run(self) -> dict[str, Any]:
        """The one run that there is, once there is one."""
        wait_until(lambda: self.ask("/api/v1/runs")["runs"], "a run")
        (run,) = self.ask("/api/v1/runs")["runs"]
        return dict(self.ask(f"/api/v1/runs/{run['run_uid']}"))


@pytest.fixture(scope="module")
def cluster(stress: Stress, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Containers of both pods; a volume is a directory, open to the container's user as Kubernetes makes it."""
    engine, directory = stress.engine, tmp_path_factory.mktemp("volumes")
    volumes = {name: directory / name for name in ("data", "tmp", "tokens", "token", "journal")}
    for path in volumes.values():
        path.mkdir()
        path.chmod(0o777)
    for name, token in TOKENS.items():
        (volumes["tokens"] / name).write_text(token)
    (volumes["token"] / "push").write_text(TOKENS["push"])
    engine.docker("network", "create", NETWORK)
    pod, job_pod = pod_of("receiver.yaml"), pod_of("job-pod.yaml")
    (server,), (sidecar,) = pod["containers"], job_pod["initContainers"]
    published = ["--publish=9081:8080", *flags_of(pod, server, volumes)]
    with (
        engine.spawn(
            "jobmeter-receiver", *server["args"], name="jobmeter-receiver", network=NETWORK, flags=published
        ) as receiver,
        engine.spawn(BUSYBOX, "tail", "-f", "/dev/null") as pause,
        engine.spawn(
            BUSYBOX, "sh", "-c", "while :; do :; done", flags=[f"--pid=container:{pause.id}", "--cpus=0.2"]
        ) as job,
        engine.spawn(
            "jobmeter-collector", *sidecar["args"], network=NETWORK,
            flags=[f"--pid=container:{pause.id}", *flags_of(job_pod, sidecar, volumes)],
        ) as collector,
    ):  # fmt: skip
        yield Cluster(engine, receiver, job, collector)
    engine.docker("network", "rm", NETWORK)


def test_run_is_seen_while_the_job_runs(cluster: Cluster) -> None:
    """The sidecar streams as the manifest says, with its token from a file."""
    run = cluster.run()

    assert run["state"] == "running", cluster.sidecar.logs()
    assert run["job"]["repository"] == "my-org/my-repo"


def test_restarted_sidecar_goes_on_with_the_run(cluster: Cluster) -> None:
    """Its journal lies in a volume of the pod, so a kill costs no more than a tick."""
    uid = cluster.run()["run_uid"]
    cluster.sidecar.kill()
    cluster.sidecar.wait()
    cluster.engine.docker("start", cluster.sidecar.id)
    wait_until(lambda: cluster.sidecar.logs().count(f'"metering","run_uid":"{uid}"') == 2, "a second start")

    assert cluster.run()["run_uid"] == uid


def test_run_is_finished_when_the_pod_ends(cluster: Cluster) -> None:
    """First the job ends, then the sidecar gets SIGTERM; all it had to send was sent, and no token was said."""
    cluster.job.kill()
    assert cluster.sidecar.stop(grace_seconds=30) == 0
    run = cluster.run()
    said = cluster.sidecar.logs() + cluster.receiver.logs()

    assert run["state"] == "finished", said
    assert container_of(run["summary"], cluster.job.id)["cpu_source"] == "cgroup"
    assert not [token for token in TOKENS.values() if token in said]
