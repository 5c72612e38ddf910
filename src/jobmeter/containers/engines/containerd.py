"""containerd.

``cri-containerd-ID.scope`` and ``SLICE:cri-containerd:ID`` of its CRI plugin,
``nerdctl-ID.scope``, ``/k8s.io/ID`` and ``/moby/ID`` by namespace, and ``/default/NAME`` of ctr, where
NAME is what the user chose. A bare id below a Kubernetes pod does not tell the engine.
Source: containerd's internal/cri getCgroupsPath and oci.WithDefaultSpec; seen with ctr 1.6.
"""

from collections.abc import Sequence

from jobmeter.containers.engines.ids import is_long_hex, prefixed_id

NAME = "containerd"
_NAMESPACES = frozenset({"default", "k8s.io", "moby"})


def find_id(parts: Sequence[str], index: int) -> str | None:
    """The id or name when ``parts[index]`` is a container of containerd."""
    component = parts[index]
    if index and parts[index - 1] in _NAMESPACES and is_long_hex(component):
        return component
    # A name of the user's choice is believed only where ctr puts it: right below the root.
    if tuple(parts[:index]) == ("", "default"):
        return component
    return prefixed_id(component, "cri-containerd") or prefixed_id(component, "nerdctl")
