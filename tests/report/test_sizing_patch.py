from __future__ import annotations

import textwrap

import msgspec
import pytest
import yaml

from jobmeter.model.errors import UsageError
from jobmeter.model.sizing.answer import Advice
from jobmeter.report.sizing_patch import Patch, patch
from tests.report.sizing_examples import mixed, unknown

MANIFEST = """\
# The runner of team shop.
apiVersion: apps/v1
kind: Deployment
metadata: {name: runner}
spec:
  template:
    spec:
      containers:
        - name: build   # the job itself
          image: "alpine:3"
          resources:
            limits:
              memory: "8Gi"  # measured in 2023
              ephemeral-storage: 1Gi
            # keep requests small
            requests: {cpu: 4}
        - name: postgres
          image: postgres:16

          # no probe needed
      restartPolicy: Always
---
apiVersion: v1
kind: Service
metadata:
  name: runner
"""

COMPOSE = """\
services:
  build:
    image: alpine:3   # small
    deploy:
      resources: {}
  postgres:
    image: postgres:16
    mem_limit: 8g
    cpus: 4
volumes:
  data:
"""

GITLAB = """\
stages: [test]

.defaults: &defaults
  image: alpine:3

unit tests:
  <<: *defaults
  variables:
    # one is enough
    KUBERNETES_MEMORY_REQUEST: "8Gi"
    PYTEST_ADDOPTS: -q
  script:
    - !reference [.setup, script]
    - make test

lint:
  script: make lint
"""

OTHERS = MANIFEST.replace("name: build ", "name: a ").replace("name: postgres", "name: b")


def patched(text: str, job: str | None = None) -> Patch:
    return patch(text, mixed(), name="ci.yml", job=job)


def alone() -> Advice:
    """Advice for the build alone."""
    return msgspec.structs.replace(mixed(), containers=mixed().containers[:1])


@pytest.mark.parametrize(
    "kind, text, job",
    [
        ("kubernetes", MANIFEST, None),
        ("compose", COMPOSE, None),
        ("gitlab", GITLAB, "unit tests"),
        ("gitlab-new", GITLAB, "lint 1/3"),
    ],
)
def test_the_change_is_a_diff(golden, kind: str, text: str, job: str | None) -> None:
    """Comments, quotes, order and empty lines stay; nothing but the advice changes."""
    found = patched(text, job)

    golden(f"report/sizing-{kind}.diff", found.diff())
    assert found.missing == ()
    assert [line.split("#")[1:] for line in text.splitlines() if "#" in line] == [
        line.split("#")[1:] for line in found.after.splitlines() if "#" in line
    ]


def test_a_manifest_has_the_advice_afterwards() -> None:
    """As a YAML parser reads it, and the rest is what it was."""
    before, after = (list(yaml.safe_load_all(text)) for text in (MANIFEST, patched(MANIFEST).after))
    build, postgres = after[0]["spec"]["template"]["spec"]["containers"]

    assert build.pop("resources") == {
        "requests": {"cpu": 2, "memory": "1504Mi"},
        "limits": {"cpu": 2, "memory": "2Gi", "ephemeral-storage": "1Gi"},
    }
    assert postgres.pop("resources")["limits"] == {"cpu": "500m", "memory": "1Gi"}
    del before[0]["spec"]["template"]["spec"]["containers"][0]["resources"]
    assert after == before


@pytest.mark.parametrize("text, job", [(MANIFEST, None), (COMPOSE, None), (GITLAB, "lint")])
def test_a_patch_of_what_is_patched_is_empty(text: str, job: str | None) -> None:
    """The advice is in the file already."""
    after = patched(text, job).after

    assert patched(after, job).diff() == ""
    assert patched(after, job).after == after


def test_the_ends_of_lines_stay() -> None:
    """A file of Windows, and one without a newline at its end."""
    dos = patched(GITLAB.replace("\n", "\r\n"), "lint").after
    cut = patched(GITLAB.rstrip("\n"), "lint")

    assert dos == patched(GITLAB, "lint").after.replace("\n", "\r\n")
    assert cut.after == patched(GITLAB, "lint").after.rstrip("\n")
    assert "\\ No newline at end of file" in cut.diff()


@pytest.mark.parametrize(
    "before, after",
    [
        ("resources:", "resources:\n    requests:\n      cpu: 2"),
        ("resources: ~", "resources:\n    requests:\n      cpu: 2"),
        ("resources: {} # none", "resources: # none\n    requests:\n      cpu: 2"),
        ("resources: {requests: {}}", "resources: {requests: {cpu: 2, memory: 1504Mi}, limits"),
        ("resources: {requests: {cpu: '9'}}", "resources: {requests: {cpu: '2', memory: 1504Mi}, limits"),
        ("resources: {limits: {gpu: 1}}", "resources: {limits: {gpu: 1, cpu: 2, memory: 2Gi}, requests"),
        ("resources:\n    requests:\n      cpu:\n      memory: 1", "cpu: 2\n      memory: 1504Mi"),
        ("args: |+\n    a\n    b\n  tty: true", "tty: true\n  resources:"),
        ("args: [a,\n    b]  # two", "b]  # two\n  resources:"),
    ],
)
def test_every_way_to_write_resources(before: str, after: str) -> None:
    """Block and flow, empty and full, with and without a comment."""
    text = f"apiVersion: v1\nkind: Pod\ncontainers:\n- name: build\n  {before}\n# the end\n"

    found = patch(text, alone(), name="pod.yaml").after

    assert after in found
    assert found.endswith("\n# the end\n")
    resources = yaml.safe_load(found)["containers"][0]["resources"]
    assert {part: (each["cpu"], each["memory"]) for part, each in resources.items()} in (
        {"requests": (2, "1504Mi"), "limits": (2, "2Gi")},
        {"requests": ("2", "1504Mi"), "limits": (2, "2Gi")},
    )


def test_one_container_is_the_same_whatever_its_name() -> None:
    """A file with one, advice for one; and compose numbers what it starts."""
    lone = MANIFEST.split("        - name: postgres", maxsplit=1)[0]
    (container,) = alone().containers
    renamed = msgspec.structs.replace(alone(), containers=(msgspec.structs.replace(container, name="make"),))
    numbered = tuple(msgspec.structs.replace(each, name=f"shop-{each.name}-1") for each in mixed().containers)

    assert patch(lone, renamed, name="a").after == patch(lone, alone(), name="a").after != lone
    assert (
        patch(COMPOSE, msgspec.structs.replace(mixed(), containers=numbered), name="a").after
        == patched(COMPOSE).after
    )


def test_containers_that_a_file_lacks_are_told() -> None:
    """The others are changed."""
    found = patched(MANIFEST.replace("name: postgres", "name: redis"))

    assert found.missing == ("postgres",)
    assert "memory: 1504Mi" in found.after


@pytest.mark.parametrize(
    "text, job, sentence",
    [
        ("a: [", None, "ci.yml cannot be read as YAML in line 1"),
        ("image: {{ .Values.image }}: x", None, "ci.yml cannot be read as YAML in line 1"),
        ("a: \x00", None, "a character that YAML does not allow"),
        ("[" * 5000, None, "nested too deeply"),
        ("", None, "no Kubernetes manifest, no GitLab CI file and no compose file"),
        ("just text", None, "no Kubernetes manifest, no GitLab CI file and no compose file"),
        (GITLAB, None, "the name of the job is needed"),
        (GITLAB, "deploy", "ci.yml has no job deploy"),
        (OTHERS, None, "no container build, postgres; it has a, b"),
        (
            COMPOSE.replace("build:", "a:").replace("postgres:\n", "b:\n"),
            None,
            "no service build, postgres; it has a, b",
        ),
        (MANIFEST.replace("name: postgres", "name: build"), None, "several containers called build"),
        ("services: {build: {image: a, mem_limit: [1]}}", None, "services.build.mem_limit is not a plain value"),
        ("services: {build: {deploy: no}}", None, "services.build.deploy is not a mapping"),
        (
            "services:\n  build: &a\n    image: a\n  postgres: *a\n",
            None,
            "services.build is shared by an anchor and its aliases",
        ),
        (
            "x: &x\n  deploy: {replicas: 2}\nservices:\n  build:\n    <<: *x\n",
            None,
            "services.build takes its deploy from an anchor by <<",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_changed_gets_one_sentence(text: str, job: str | None, sentence: str) -> None:
    """Which file, which place, and why; nothing is half changed."""
    with pytest.raises(UsageError) as refused:
        patched(text, job)

    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_without_a_run_there_is_nothing_to_write() -> None:
    """The default of a job that never ran is no reason to change a file."""
    with pytest.raises(UsageError, match="no run was observed"):
        patch(MANIFEST, unknown(), name="pod.yaml")


def test_laughs_are_finite() -> None:
    """Aliases of aliases are not written out."""
    lines = ["apiVersion: v1", "kind: Pod", "a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    text = "\n".join([*lines, "containers:", "- name: build", ""])

    assert "1504Mi" in patch(text, alone(), name="pod.yaml").after


def test_a_list_of_hundred_containers_is_found() -> None:
    """Templates in lists of manifests, with their own indentation."""
    item = "- apiVersion: v1\n  kind: Pod\n  spec:\n      containers:\n      - name: {}\n"
    text = "apiVersion: v1\nkind: List\nitems:\n" + "".join(item.format(f"c{n}") for n in range(40))
    text += item.format("build")

    found = patch(text, alone(), name="list.yaml").after

    assert found.startswith(text)
    assert textwrap.dedent(found[len(text) :]).startswith("resources:\n    requests:\n        cpu: 2\n")
