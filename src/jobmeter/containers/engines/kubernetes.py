"""Kubernetes: the kubelet's directories of pods, and bare containers in them.

``/kubepods/QOS/podUID/ID`` (cgroupfs), ``kubepods.slice/kubepods-QOS.slice/kubepods-QOS-podUID.slice``
(systemd, dashes of the UID as underscores), either below ``kubelet`` or ``kubelet.slice`` in kind;
guaranteed pods have no QOS; a static pod's UID is a hash without dashes. Seen from another cgroup
namespace the path begins within: ``/../../podUID/ID``.
Source: kubernetes pkg/kubelet/cm (node and pod container manager).
"""

from collections.abc import Sequence

from jobmeter.containers.engines.ids import is_long_hex

NAME = "kubernetes"
_POD_PARENTS = frozenset({"kubepods", "burstable", "besteffort", "guaranteed"})
_UID_DIGITS = "0123456789abcdef-_"
_MONITORS = ("conmon", "crio-conmon-", "libpod-conmon-")


def find_id(parts: Sequence[str], index: int) -> str | None:
    """The id or name when ``parts[index]`` is a container in a pod's directory, named without a prefix."""
    if not index or find_pod(parts, index - 1) is None:
        return None
    component = parts[index]
    if is_long_hex(component):
        return component
    named = _below_kubepods(parts, index - 1) and not component.startswith(_MONITORS)
    return component if named else None


def find_pod(parts: Sequence[str], index: int) -> str | None:
    """The UID of the pod when ``parts[index]`` is one's directory, or names it before a colon."""
    component = parts[index]
    if component.startswith("pod"):
        uid = component[3:]
        return uid if uid and (_is_uid(uid) or _below_kubepods(parts, index)) else None
    if "kubepods" not in component or "-pod" not in component:
        return None
    unit = component.partition(":")[0].removesuffix(".slice")
    return unit.rpartition("-pod")[2].replace("_", "-") or None


def _below_kubepods(parts: Sequence[str], index: int) -> bool:
    """Whether ``parts[index]`` is a pod's directory of the cgroupfs driver, by its place."""
    return index > 0 and parts[index].startswith("pod") and parts[index - 1] in _POD_PARENTS


def _is_uid(text: str) -> bool:
    return len(text) in (32, 36) and not text.strip(_UID_DIGITS)
