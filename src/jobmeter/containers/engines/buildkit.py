"""BuildKit: one cgroup per RUN step of ``docker build``.

``/docker/buildkit/ID``, ``/buildkit/ID`` of a buildkitd on its own, ``docker-ID.scope`` under dockerd's
systemd driver; ids have 25 digits of base 36. Source: the first form seen with dockerd 20.10; the
others moby's builder-next executor and buildkit's executor/oci.
"""

from collections.abc import Sequence

from jobmeter.containers.engines.ids import after_prefix, is_build_id

NAME = "buildkit"


def find_id(parts: Sequence[str], index: int) -> str | None:
    """The id when ``parts[index]`` is a build step."""
    component = parts[index]
    if index and parts[index - 1] == "buildkit":
        return component if is_build_id(component) else None
    rest = after_prefix(component, "docker") or ""
    return rest if is_build_id(rest) else None
