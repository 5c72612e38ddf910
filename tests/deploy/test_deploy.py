"""What `deploy/` says is accepted by those it is said to: our own commands, Kubernetes, a shell."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import kubernetes_validate
import pytest
import yaml

from jobmeter.config.exporter import exporter_settings
from jobmeter.config.gateway import gateway_settings
from jobmeter.config.receiver import ReceiverSettings, receiver_settings
from jobmeter.config.settings import CollectorSettings, collector_settings
from jobmeter.containers.mapping import parse_limits, parse_process_map
from jobmeter.identity.job import identify_job

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose/stress.yaml").read_text())["services"]
COMPONENT = DEPLOY / "gitlab/templates/jobmeter.yml"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
SCRIPTS = sorted((DEPLOY / "action").iterdir())
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
WHOLE_JOB = yaml.safe_load((DEPLOY / "whole-job/action.yml").read_text())
PAGE = (ROOT / "docs/deploy.md").read_text()
OLDEST_KUBERNETES = "1.29"
"""The first with native sidecars."""
FILLED_IN = {"JOB_CPU": "2000", "JOB_MEMORY": "2147483648"}
"""What Kubernetes takes from the pod."""


class Started(NamedTuple):
    """A command line of jobmeter as a file starts it, with the variables that it sets."""

    place: str
    command: str
    flags: Sequence[str]
    environ: Mapping[str, str]


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for manifest in MANIFESTS:
        for document in documents(manifest):
            if document["kind"] in ("Pod", "Deployment", "DaemonSet"):
                yield manifest.name, document["spec"].get("template", document)["spec"]


def containers() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Place, pod and container, of ours."""
    for place, pod in pods():
        for container in [*pod.get("initContainers", ()), *pod["containers"]]:
            if container["image"].startswith("jobmeter-"):
                yield f"{place}: {container['name']}", pod, container


def command_of(image: str) -> str:
    """What the image's entry point is."""
    (command,) = re.findall(r"jobmeter-(collector|receiver|exporter)", image)
    return str(command)


def started() -> Iterator[Started]:
    for name, service in COMPOSE.items():
        if "entrypoint" not in service:
            flags, environ = service.get("command", ()), service.get("environment", {})
            yield Started(f"compose: {name}", command_of(service["image"]), flags, environ)
    for place, _, container in containers():
        environ = {
            one["name"]: re.sub(
                r"\$\((\w+)\)", lambda match: FILLED_IN[match[1]], one.get("value", "from the pod")
            )
            for one in container["env"]
        }
        yield Started(place, command_of(container["image"]), container["args"], environ)
    for path in UNITS:
        (line,) = re.findall(r"^ExecStart=(.*)", path.read_text(), re.MULTILINE)
        _, command, *flags = shlex.split(line.replace("${STATE_DIRECTORY}", "/var/lib/jobmeter"))
        yield Started(path.name, command, flags, {})


STARTED = list(started())
COLLECTORS = [one for one in STARTED if one.command == "collector"]


def test_every_way_is_looked_at() -> None:
    """Compose, Kubernetes and systemd each start a collector and a receiver; others need a whole host."""
    assert sorted(one.command for one in STARTED) == [
        *["collector"] * 3, *["exporter"] * 2, *["gateway"] * 2, *["receiver"] * 3,
    ]  # fmt: skip


@pytest.mark.parametrize("one", STARTED, ids=lambda one: one.place)
def test_command_line_is_accepted(one: Started, tmp_path: Path) -> None:
    """Each command line and variable means something to the command, without a complaint."""
    token = tmp_path / "token"
    token.write_text("a-token\n")
    environ = {name: str(token) if name.endswith("_FILE") else value for name, value in one.environ.items()}
    settings: CollectorSettings | ReceiverSettings
    if one.command == "exporter":
        assert exporter_settings(one.flags, environ).listen in (":9925", "127.0.0.1:9925")
        return
    if one.command == "gateway":
        flags = [flag.replace("/etc/jobmeter", str(DEPLOY / "gateway")) for flag in one.flags]
        assert gateway_settings(flags, environ).mistakes == ()
        return
    if one.command == "collector":
        settings = collector_settings(one.flags, environ)
        assert settings.problems == ()
        assert settings.receiver or settings.push_endpoint or settings.journal
    else:
        settings = receiver_settings(one.flags, environ)
        assert settings.listen == ":8080"

    assert settings.push_token == ("a-token" if any("PUSH_TOKEN_FILE" in name for name in environ) else None)


@pytest.mark.parametrize("one", COLLECTORS, ids=lambda one: one.place)
def test_variables_of_the_job_are_accepted(one: Started) -> None:
    """Process map, limits and the identity of the job are understood; what has limits has a name in the map."""
    process_map, problems = parse_process_map(one.environ.get("CGROUP_PROCESS_MAP", ""))
    limits, more = parse_limits(one.environ.get("CGROUP_LIMITS", ""))
    job, complaints = identify_job(one.environ)

    assert [*problems, *more, *complaints] == []
    assert set(limits) <= set(process_map.values())
    assert (job.repository is not None) == ("GITHUB_REPOSITORY" in one.environ)


# --- Kubernetes


@pytest.mark.parametrize("version", [OLDEST_KUBERNETES, kubernetes_validate.latest_version()])
@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_manifest_is_valid(manifest: Path, version: str) -> None:
    """Every field is one of Kubernetes' own schema."""
    for document in documents(manifest):
        kubernetes_validate.validate(document, version, strict=True)


def test_misspelt_field_is_not_valid() -> None:
    """The check above finds what it is there for."""
    (pod,) = documents(DEPLOY / "kubernetes/job-pod.yaml")
    pod["spec"]["shareProcessNamespaces"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(pod, OLDEST_KUBERNETES, strict=True)


@pytest.mark.parametrize("pod, container", [pytest.param(*one[1:], id=one[0]) for one in containers()])
def test_container_finds_what_it_names(pod: dict[str, Any], container: dict[str, Any]) -> None:
    """Mounts are volumes of the pod, files of variables lie in a mount, and nothing else can be written."""
    volumes = {one["name"] for one in pod["volumes"]}
    mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    files = [one["value"] for one in container["env"] if one["name"].endswith("_FILE")]

    assert set(mounts) <= volumes
    assert all(any(file.startswith(f"{mount}/") for mount in mounts.values()) for file in files)
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False


def test_collector_is_a_native_sidecar() -> None:
    """It starts before the job, ends after it and in time, sees its processes, and has one capability."""
    (pod,) = (pod for place, pod in pods() if place == "job-pod.yaml")
    (sidecar,) = pod["initContainers"]

    assert pod["shareProcessNamespace"] is True
    assert sidecar["restartPolicy"] == "Always"
    assert sidecar["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["SYS_PTRACE"]}
    assert collector_settings(sidecar["args"], {}).grace < pod["terminationGracePeriodSeconds"]


def test_probes_ask_what_the_receiver_answers() -> None:
    """Liveness and readiness are the paths that every daemon has, at the port that is named."""
    (receiver,) = (one for _, _, one in containers() if command_of(one["image"]) == "receiver")

    assert receiver["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert receiver["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert receiver["ports"] == [{"name": "http", "containerPort": 8080}]


# --- the seed's stress test


def test_stress_test_is_the_seeds() -> None:
    """Services, port, identity of the job and the limit of cpu-stress are those of the seed."""
    assert COMPOSE.keys() == {"receiver", "cpu-stress", "memory-stress", "collector"}
    assert COMPOSE["receiver"]["ports"] == ["${RECEIVER_PORT:-9080}:8080"]
    assert COMPOSE["cpu-stress"]["cpus"] == 2.0
    job, _ = identify_job(COMPOSE["collector"]["environment"])
    assert (job.organization, job.repository) == ("test-org", "test-org/stress-test")
    assert (job.workflow, job.job) == ("stress-test-workflow", "heavy-workload")


def test_stress_test_shares_one_pid_namespace() -> None:
    """The collector sees both burning containers, as root with one capability."""
    collector = COMPOSE["collector"]

    assert COMPOSE["memory-stress"]["pid"] == collector["pid"] == "service:cpu-stress"
    assert (collector["cap_drop"], collector["cap_add"]) == (["ALL"], ["SYS_PTRACE"])


# --- the action and the component


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script_is_one_of_a_posix_shell(script: Path) -> None:
    """Images have dash or busybox: the scripts are parsed by the shells there are, and linted where the linter is."""
    for shell in (["dash"], ["bash", "--posix"], ["busybox", "sh"]):
        if shutil.which(shell[0]):
            subprocess.run([*shell, "-n", script], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", script], check=True)


def test_every_input_of_the_action_is_used() -> None:
    """Inputs have a description and a default, and each reaches a step; steps ask for nothing else."""
    steps = yaml.safe_dump(ACTION["runs"]["steps"])

    assert set(re.findall(r"\$\{\{(.*?)\}\}", steps)) == {f" inputs.{name} " for name in ACTION["inputs"]}
    assert all(one["description"] and "default" in one for one in ACTION["inputs"].values())


def test_whole_job_takes_inputs_of_the_action() -> None:
    """The action with a post step has no input of its own, and hands on each that it has."""
    inputs = set(WHOLE_JOB["inputs"])
    script = (DEPLOY / "whole-job" / WHOLE_JOB["runs"]["main"]).read_text()

    assert inputs < set(ACTION["inputs"])
    assert all(f"INPUT_{name.upper().replace('-', '_')}" in script for name in inputs)


def test_no_input_is_written_into_a_script() -> None:
    """Within `run` an expression would be code of whoever names a branch: inputs come as variables."""
    assert [step["run"] for step in ACTION["runs"]["steps"] if "${{" in step["run"]] == []


def test_files_that_the_action_runs_exist() -> None:
    """The paths below $GITHUB_ACTION_PATH are in the repository."""
    for step in ACTION["runs"]["steps"]:
        (path,) = re.findall(r"\$GITHUB_ACTION_PATH/([\w/-]+)", step["run"])
        assert (ROOT / path).is_file()


def test_every_input_of_the_component_is_used() -> None:
    """What `spec` declares is what the template replaces."""
    declared = documents(COMPONENT)[0]["spec"]["inputs"]

    assert set(re.findall(r"\$\[\[ inputs\.(\w+) \]\]", COMPONENT.read_text())) == set(declared)


def test_nobody_elses_package_is_installed() -> None:
    """No public index has jobmeter, anybody could take its name: the images alone say it, with a local wheel."""
    files = [ROOT / "action.yml", *(path for path in DEPLOY.rglob("*") if path.is_file())]
    named = {
        path.name
        for path in files
        if re.search(r"\bpip\b.*\binstall .*[ '\"]jobmeter\b(?![/-])", path.read_text())
    }

    assert named == {"Dockerfile"}
    assert "PIP_NO_INDEX=1" in (DEPLOY / "Dockerfile").read_text()


def test_component_has_to_be_told_what_to_install() -> None:
    """A default could only be a name, or an address, that is not the user's own."""
    declared = documents(COMPONENT)[0]["spec"]["inputs"]

    assert [name for name, one in declared.items() if "default" not in one] == ["package"]


# --- the page


def test_workflows_of_the_page_use_what_there_is() -> None:
    """Each `uses` names an action of this repository, with inputs that it has."""
    steps = [
        step
        for block in re.findall(r"```yaml\n(- .*?)```", PAGE, re.DOTALL)
        for step in yaml.safe_load(block)
    ]
    used = [step for step in steps if "uses" in step]

    assert len(used) == 4
    for step in used:
        path = step["uses"].removeprefix("my-org/jobmeter").split("@")[0]
        inputs = yaml.safe_load((ROOT / f"./{path}/action.yml").read_text())["inputs"]
        assert set(step.get("with", ())) <= set(inputs)


def test_pipeline_of_the_page_uses_what_there_is() -> None:
    """The component is called by its file's name, with inputs that it has; the job extends what it defines."""
    (block,) = re.findall(r"```yaml\n(include:.*?)```", PAGE, re.DOTALL)
    pipeline = yaml.safe_load(block)
    declared, template = documents(COMPONENT)
    (include,) = pipeline["include"]

    assert include["component"].split("/")[-1].split("@")[0] == COMPONENT.stem
    inputs = declared["spec"]["inputs"]
    assert set(include["inputs"]) <= set(inputs)
    assert {name for name, one in inputs.items() if "default" not in one} <= set(include["inputs"])
    assert pipeline["build"]["extends"] == declared["spec"]["inputs"]["name"]["default"]
    assert list(template) == ["$[[ inputs.name ]]"]


def test_files_of_the_page_exist() -> None:
    """Each path below deploy/ is there, and each input of the action is explained."""
    for path in re.findall(r"deploy/[\w./-]+", PAGE):
        assert (ROOT / path.split("@")[0]).exists(), path
    assert all(f"`{name}`" in PAGE for name in ACTION["inputs"])
