"""Podman.

``machine.slice/libpod-ID.scope`` and ``…/user@1000.service/user.slice/libpod-ID.scope``
(systemd; crun puts the processes into ``…scope/container``), ``/libpod_parent/libpod-ID`` and
``/libpod_parent/POD/libpod-ID`` (cgroupfs), ``UNIT.service/libpod-payload-ID`` (``--cgroups=split``,
Quadlet). The monitor's ``libpod-conmon-ID.scope``, ``conmon`` and ``UNIT.service/runtime`` are no
containers. Source: podman's libpod/oci_conmon_linux.go, pkg/util/utils_linux.go; podman-run(1).
"""

from collections.abc import Sequence

from jobmeter.containers.engines.ids import is_long_hex, prefixed_id

NAME = "podman"
_POD_MARK = "libpod_pod_"


def find_id(parts: Sequence[str], index: int) -> str | None:
    """The id when ``parts[index]`` is a container of Podman."""
    component = parts[index]
    if not component.startswith("libpod-") and ":libpod:" not in component:
        return None
    if index + 1 < len(parts) and parts[index + 1] == "conmon":
        return None
    return prefixed_id(component, "libpod") or prefixed_id(component, "libpod-payload")


def find_pod(parts: Sequence[str], index: int) -> str | None:
    """The id of the pod when ``parts[index]`` is one's directory."""
    component = parts[index]
    if _POD_MARK in component:
        pod = component.rpartition(_POD_MARK)[2].removesuffix(".slice")
        return pod if is_long_hex(pod) else None
    below_default = index > 0 and parts[index - 1] == "libpod_parent"
    holds_container = index + 1 < len(parts) and parts[index + 1].startswith("libpod-")
    return component if (below_default or holds_container) and is_long_hex(component) else None
