"""What an engine says of one container, cleaned and bounded."""

import sys
from collections.abc import Iterable, Mapping

from msgspec import Struct

from jobmeter.identity.containers import LABEL_PREFIXES
from jobmeter.identity.variables import printable

MAX_LABELS = 128
MAX_KEY_CHARACTERS = 128
MAX_VALUE_CHARACTERS = 1024
MAX_NAME_CHARACTERS = 256

_POD_UID = "io.kubernetes.pod.uid"
_CONTAINER_NAME = "io.kubernetes.container.name"
# containerd's CRI plugin; dockershim and cri-dockerd.
_SANDBOX_MARKS = (("io.cri-containerd.kind", "sandbox"), ("io.kubernetes.docker.type", "podsandbox"))
_DOCKERSHIM_ANNOTATION = "annotation."

Pairs = Iterable[tuple[str, str]]


class PodFacts(Struct, frozen=True):
    """The pod of a container; one object is shared by all of its containers.

    ``labels`` are the pod's own, of ``annotations`` those that tell of a job; both are empty for as long as the
    engine has not told of the pod's sandbox.
    """

    uid: str
    name: str | None = None
    namespace: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class ContainerFacts(Struct, frozen=True):
    """One container. ``created`` is in seconds since 1970, ``is_sandbox`` marks what only holds a pod together."""

    engine: str
    id: str
    name: str | None
    image: str | None
    labels: dict[str, str]
    created: float | None
    pod: PodFacts | None = None
    is_sandbox: bool = False

    def all_labels(self) -> dict[str, str]:
        """Its labels over those of its pod over the pod's annotations, for ``identify_container``."""
        if self.pod is None:
            return self.labels
        return self.pod.annotations | self.pod.labels | self.labels


def describe(
    *,
    engine: str,
    container_id: str,
    name: str,
    image: str,
    labels: Mapping[str, str],
    created: float | None,
    pod_id: str = "",
    annotations: Mapping[str, str] | None = None,
) -> ContainerFacts | None:
    """What is kept of a container; None for one without an id.

    ``pod_id`` is for engines that tell it beside the labels, ``annotations`` are those of a sandbox's pod.
    """
    cleaned_id = clean(container_id)
    if cleaned_id is None:
        return None
    kept = _bounded(labels.items())
    is_sandbox = any(kept.get(key) == value for key, value in _SANDBOX_MARKS)
    uid = kept.get(_POD_UID) or clean(pod_id)
    pod = _pod(uid, kept, annotations or {}, is_sandbox=is_sandbox) if uid is not None else None
    return ContainerFacts(
        engine=engine,
        id=cleaned_id,
        name=clean(name.lstrip("/")) or kept.get(_CONTAINER_NAME),
        image=clean(image),
        labels=kept,
        created=created,
        pod=pod,
        is_sandbox=is_sandbox,
    )


def clean(text: str) -> str | None:
    """A name on one line and not too long; None for nothing."""
    return printable(text[:MAX_NAME_CHARACTERS]) or None


def _pod(
    uid: str, labels: Mapping[str, str], annotations: Mapping[str, str], *, is_sandbox: bool
) -> PodFacts:
    name, namespace = labels.get("io.kubernetes.pod.name"), labels.get("io.kubernetes.pod.namespace")
    if not is_sandbox:
        return PodFacts(uid, name, namespace)
    own: dict[str, str] = {}
    told = dict(annotations)
    for key, value in labels.items():
        if key.startswith(_DOCKERSHIM_ANNOTATION):
            told[key.removeprefix(_DOCKERSHIM_ANNOTATION)] = value
        else:
            own[key] = value
    telling = ((key, value) for key, value in told.items() if key.startswith(LABEL_PREFIXES))
    return PodFacts(uid, name, namespace, own, _bounded(telling))


def _bounded(pairs: Pairs) -> dict[str, str]:
    """At most MAX_LABELS, those first that tell of a job; keys are shared in memory."""
    ordered = sorted(pairs, key=_tells_nothing)[:MAX_LABELS]
    kept: dict[str, str] = {}
    for key, value in ordered:
        cleaned = printable(key[:MAX_KEY_CHARACTERS])
        if cleaned:
            kept[sys.intern(cleaned)] = printable(value[:MAX_VALUE_CHARACTERS])
    return kept


def _tells_nothing(pair: tuple[str, str]) -> bool:
    return not pair[0].startswith(LABEL_PREFIXES)
