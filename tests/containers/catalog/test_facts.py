"""What is kept of a container: cleaned, bounded, and with its pod."""

import pytest

from jobmeter.containers.catalog.facts import (
    MAX_KEY_CHARACTERS,
    MAX_LABELS,
    MAX_NAME_CHARACTERS,
    MAX_VALUE_CHARACTERS,
    ContainerFacts,
    PodFacts,
    describe,
)

UID = "2c48913c-b29f-11e7-9350-020968147796"
POD_LABELS = {
    "io.kubernetes.pod.uid": UID,
    "io.kubernetes.pod.name": "runner-1",
    "io.kubernetes.pod.namespace": "ci",
}


def make(
    name: str = "web", image: str = "bb:1", container_id: str = "ab12", **labels: str
) -> ContainerFacts | None:
    return describe(
        engine="docker", container_id=container_id, name=name, image=image, labels=labels, created=None
    )


def labelled(labels: dict[str, str], annotations: dict[str, str] | None = None) -> ContainerFacts:
    facts = describe(
        engine="containerd",
        container_id="ab12",
        name="",
        image="",
        labels=labels,
        created=5.0,
        annotations=annotations,
    )
    assert facts is not None
    return facts


@pytest.mark.parametrize(
    "text, expected",
    [
        ("/web", "web"),
        ("", None),
        ("a\nb", "a b"),
        ("caf\udce9", "caf\ufffd"),
        ("\x1b[31mred", "[31mred"),
        ("x" * 10240, "x" * MAX_NAME_CHARACTERS),
    ],
)
def test_names(text: str, expected: str | None) -> None:
    """Names of containers and images are on one line, printable and bounded; an empty one is none."""
    by_name, by_image = make(name=text), make(image=text.lstrip("/"))
    assert by_name is not None
    assert by_image is not None
    assert (by_name.name, by_image.image) == (expected, expected)


@pytest.mark.parametrize("container_id", ["", "\n", "\x00"])
def test_no_id(container_id: str) -> None:
    """What has no id is no container."""
    assert make(container_id=container_id) is None


def test_labels() -> None:
    """Keys and values are cleaned and cut; a key of blanks goes."""
    facts = labelled({"a": "1\n2", "k" * 500: "v" * 5000, "\t": "x", "empty": ""})
    assert facts.labels == {
        "a": "1 2",
        "k" * MAX_KEY_CHARACTERS: "v" * MAX_VALUE_CHARACTERS,
        "empty": "",
    }


def test_many_labels() -> None:
    """Of too many labels those stay that tell of a job, wherever they stand."""
    labels = {f"a{number}": "x" for number in range(1000)} | {"jobmeter.repository": "o/r"}
    facts = labelled(labels)
    assert len(facts.labels) == MAX_LABELS
    assert facts.labels["jobmeter.repository"] == "o/r"


def test_container_of_a_pod() -> None:
    """Its pod is told by its labels; it is called as in the pod where the engine has no name for it."""
    facts = labelled({**POD_LABELS, "io.kubernetes.container.name": "build"})
    assert (facts.name, facts.pod, facts.is_sandbox) == ("build", PodFacts(UID, "runner-1", "ci"), False)


def test_sandbox() -> None:
    """A sandbox brings the labels of the pod, and of its annotations those that tell of a job."""
    facts = labelled(
        {**POD_LABELS, "io.cri-containerd.kind": "sandbox", "team": "a"},
        {"jobmeter.job": "build", "kubernetes.io/psp": "x" * 9999},
    )
    assert facts.is_sandbox
    assert facts.pod is not None
    assert facts.pod.labels["team"] == "a"
    assert facts.pod.annotations == {"jobmeter.job": "build"}


def test_sandbox_of_dockershim() -> None:
    """Where Kubernetes runs on Docker, annotations are labels of the sandbox, marked as such."""
    facts = labelled(
        {
            **POD_LABELS,
            "io.kubernetes.docker.type": "podsandbox",
            "annotation.job.runner.gitlab.com/id": "5",
            "annotation.other": "x",
        }
    )
    assert facts.pod is not None
    assert facts.pod.annotations == {"job.runner.gitlab.com/id": "5"}
    assert facts.pod.labels == {**POD_LABELS, "io.kubernetes.docker.type": "podsandbox"}


def test_pod_beside_the_labels() -> None:
    """An engine may tell the pod's id in another way."""
    facts = describe(
        engine="podman", container_id="ab12", name="x", image="", labels={}, created=None, pod_id="c0ffee"
    )
    assert facts is not None
    assert facts.pod == PodFacts("c0ffee")


def test_all_labels() -> None:
    """A container's labels stand over its pod's, and those over annotations."""
    pod = PodFacts("u", labels={"a": "pod", "b": "pod"}, annotations={"a": "note", "b": "note", "c": "note"})
    facts = ContainerFacts("containerd", "ab12", None, None, {"a": "own"}, None, pod)
    assert facts.all_labels() == {"a": "own", "b": "pod", "c": "note"}
