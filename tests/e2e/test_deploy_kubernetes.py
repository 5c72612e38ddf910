"""The pods of `deploy/kubernetes`, their containers run by Docker with what the manifests say of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.support.collectors import container_of, wait_until
from tests.e2e.support.components import ROOT
from tests.e2e.support.docker import BUSYBOX, Container, DockerEngine
from tests.e2e.support.images import Stress, curl

NETWORK = "cluster"
TOKENS = {"push": "the-push-token", "read": "the-read-token"}
FROM_THE_POD = {"JOB_CPU": "2000", "JOB_MEMORY": "2147483648"}


def pod_of(manifest: str) -> dict[str, Any]:
    """The pod that a manifest describes, itself or as a template."""
    documents = list(yaml.safe_load_all((ROOT / "deploy/kubernetes" / manifest).read_text()))
    spec = documents[-1]["spec"]
    return dict(spec.get("template", {"spec": spec})["spec"])


def flags_of(pod: dict[str, Any], container: dict[str, Any], volumes: dict[str, Path]) -> list[str]:
    """A container's security context, variables, limits and mounts as flags of `docker run`."""
    context = pod.get("securityContext", {}) | container["securityContext"]
    assert not context["allowPrivilegeEscalation"]
    capabilities = context["capabilities"]
    flags = [
        "--security-opt=no-new-privileges",
        f"--user={context['runAsUser']}:{context.get('runAsGroup', 0)}",
    ]
    flags += ["--read-only"] if context["readOnlyRootFilesystem"] else []
    flags += [f"--cap-drop={one}" for one in capabilities["drop"]]
    flags += [f"--cap-add={one}" for one in capabilities.get("add", ())]
    flags += [f"--memory={container['resources']['limits']['memory'].removesuffix('i').lower()}"]
    for one in container["env"]:
        value = one.get("value", FROM_THE_POD.get(one["name"], "from-the-pod"))
        filled = re.sub(r"\$\((\w+)\)", lambda match: FROM_THE_POD[match[1]], value)
        flags.append(f"--env={one['name']}={filled}")
    return [
        *flags,
        *(f"--volume={volumes[one['name']]}:{one['mountPath']}" for one in container["volumeMounts"]),
    ]


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
