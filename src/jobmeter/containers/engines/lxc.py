"""LXC, LXD, Incus and Proxmox.

``/lxc/NAME``, ``/lxc.payload/NAME`` and ``/lxc.payload.NAME``; the monitor's ``/lxc.monitor.NAME`` is no
container. Source: lxc.container.conf(5), lxc.cgroup.dir.
"""

from collections.abc import Sequence

NAME = "lxc"
_PARENTS = frozenset({"lxc", "lxc.payload"})


def find_id(parts: Sequence[str], index: int) -> str | None:
    """The name when ``parts[index]`` is a container of LXC."""
    component = parts[index]
    if component.startswith("lxc.payload."):
        return component[12:] or None
    return component if index and parts[index - 1] in _PARENTS else None
