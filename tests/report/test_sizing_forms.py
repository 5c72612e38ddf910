from __future__ import annotations

import json

import msgspec
import pytest
import yaml

from jobmeter.model.sizing.answer import Advice, ContainerAdvice, Cpu, Memory
from jobmeter.report.sizing_forms import (
    cpu_quantity,
    docker_flags,
    docker_text,
    gitlab_variables,
    gitlab_yaml,
    kubernetes_yaml,
    memory_quantity,
    sizing_json,
)
from tests.model.sizing.histories import GIB, MIB
from tests.report.sizing_examples import SIZINGS, mixed, unknown


def advice(**names: float) -> Advice:
    """Advice for containers by name, each with so many GiB and cores."""
    containers = tuple(
        ContainerAdvice(name.replace("_", "-"), Cpu(size, size), Memory(int(size * GIB), int(size * GIB)))
        for name, size in names.items()
    )
    return msgspec.structs.replace(unknown(), containers=containers)


def test_the_forms_of_two_containers(golden) -> None:
    """JSON, Kubernetes, Docker and GitLab of the same advice."""
    golden("report/sizing.json", sizing_json(mixed()).decode())
    golden("report/sizing-kubernetes.yaml", kubernetes_yaml(mixed()))
    golden("report/sizing-docker.txt", docker_text(mixed()))
    golden("report/sizing-gitlab.yaml", gitlab_yaml(mixed()))


@pytest.mark.parametrize("name", SIZINGS)
def test_json_is_read_back(name: str) -> None:
    """The answer, and the keys that clients were promised."""
    text = sizing_json(SIZINGS[name]())
    found = json.loads(text)

    assert msgspec.json.decode(text, type=Advice) == SIZINGS[name]()
    assert set(found) == {"containers", "total", "meta", "backtest", "evidence"}
    assert set(found["meta"]) == {
        "confidence_phase", "runs_analyzed", "reason", "buffer_percent", "cpu_percentile", "outliers",
    }  # fmt: skip
    for each in (found["total"], *found["containers"]):
        assert set(each["cpu"]) == {"request_cores", "limit_cores"}
        assert set(each["memory"]) == {"request_bytes", "limit_bytes"}
    if found["backtest"]:
        assert list(found["backtest"]) == [
            "runs", "would_be_killed", "would_be_throttled", "saved_memory_byte_seconds", "saved_core_seconds",
        ]  # fmt: skip


@pytest.mark.parametrize("name", SIZINGS)
def test_yaml_is_yaml(name: str) -> None:
    """Both fragments are read by a YAML parser, and name every container."""
    pod = yaml.safe_load(kubernetes_yaml(SIZINGS[name]()))
    variables = yaml.safe_load(gitlab_yaml(SIZINGS[name]()))["variables"] or {}

    assert [each["name"] for each in pod["containers"]] == [each.name for each in SIZINGS[name]().containers]
    assert all(isinstance(each, str) for each in variables.values())


def test_quantities_are_those_of_kubernetes() -> None:
    """Whole cores and GiB without a fraction, else thousandths and MiB."""
    assert [cpu_quantity(each) for each in (2.0, 1.25, 0.01)] == ["2", "1250m", "10m"]
    assert [memory_quantity(each) for each in (2 * GIB, 1248 * MIB, 5)] == ["2Gi", "1248Mi", "5"]


def test_hostile_names_stay_strings() -> None:
    """No name ends a comment, a string or a line."""
    (container,) = advice(build=1).containers
    names = ['x: {}\n# "', "no", "*", "123", "- a"]
    hostile = msgspec.structs.replace(
        unknown(), containers=tuple(msgspec.structs.replace(container, name=name) for name in names)
    )

    found = yaml.safe_load(kubernetes_yaml(hostile))["containers"]

    assert [each["name"] for each in found] == ['x: {}\\n# "', *names[1:]]
    assert len(docker_text(hostile).splitlines()) == 1 + 2 * len(names)


def test_what_is_not_known_is_left_out() -> None:
    """No flag, no key."""
    nothing = ContainerAdvice("a", Cpu(), Memory())
    some = ContainerAdvice("b", Cpu(0.5), Memory(None, GIB))

    assert docker_flags(nothing) == []
    assert docker_flags(some) == ["--cpu-shares=512", "--memory=1024m"]
    found = yaml.safe_load(kubernetes_yaml(msgspec.structs.replace(unknown(), containers=(nothing, some))))
    assert found["containers"] == [
        {"name": "a", "resources": {}},
        {"name": "b", "resources": {"requests": {"cpu": "500m"}, "limits": {"memory": "1Gi"}}},
    ]


def test_gitlab_s_containers_have_variables_of_their_own() -> None:
    """The build, the helper, and one setting for all services: the highest."""
    found = gitlab_variables(advice(build=1, helper=0.25, svc_0=0.5, svc_1=2))

    assert {name: text for name, text in found.items() if name.endswith("_MEMORY_LIMIT")} == {
        "KUBERNETES_MEMORY_LIMIT": "1Gi",
        "KUBERNETES_HELPER_MEMORY_LIMIT": "256Mi",
        "KUBERNETES_SERVICE_MEMORY_LIMIT": "2Gi",
    }


def test_of_a_job_metered_elsewhere_the_largest_is_the_build() -> None:
    """Other names than those of GitLab's executor: the rest are services."""
    found = gitlab_variables(advice(redis=0.5, job=2))

    assert found["KUBERNETES_MEMORY_REQUEST"] == "2Gi"
    assert found["KUBERNETES_SERVICE_MEMORY_REQUEST"] == "512Mi"
    assert gitlab_variables(unknown()) == {}
