"""Docker.

``/docker/ID`` (cgroupfs), ``system.slice/docker-ID.scope`` (systemd, also below another slice),
``/actions_job/ID`` of GitHub's hosted runners. With any other ``--cgroup-parent`` under cgroupfs the
bare id does not tell the engine. Source: seen with dockerd 20.10; moby's daemon/oci_linux.go.
"""

from collections.abc import Sequence

from jobmeter.containers.engines.ids import is_long_hex, prefixed_id

NAME = "docker"
_PARENTS = frozenset({"docker", "actions_job"})


def find_id(parts: Sequence[str], index: int) -> str | None:
    """The id when ``parts[index]`` is a container of Docker."""
    component = parts[index]
    if index and parts[index - 1] in _PARENTS and is_long_hex(component):
        return component
    return prefixed_id(component, "docker")
