"""From the path of a process's cgroup to the container that it belongs to."""

from collections.abc import Sequence

from msgspec import Struct

from jobmeter.containers.engines import (
    buildkit,
    containerd,
    crio,
    docker,
    kubernetes,
    lxc,
    podman,
    systemd,
)
from jobmeter.containers.engines.ids import is_long_hex
from jobmeter.identity.variables import printable

# Kubernetes after the engines that sign the containers of its pods with a prefix.
ENGINES = (docker, buildkit, podman, containerd, crio, kubernetes, lxc, systemd)

MAX_NAME_LENGTH = 80
_DELETED = " (deleted)"
_UNIT_SUFFIXES = (".scope", ".service", ".slice")
_INNER_NAMES = frozenset({"container", "init", "init.scope", "payload", "runtime", "supervisor"})


class ContainerRef(Struct, frozen=True):
    """A container as its cgroup path tells it.

    ``engine`` is None when only a bare id is seen. ``path`` leads to the container's own directory: what
    lies below (``…/container``, ``…/init``, units of a systemd inside) belongs to it. ``parent_path``
    is that of the container around it, ``pod`` the UID of its Kubernetes pod or the id of its Podman pod.
    """

    engine: str | None
    id: str | None
    path: str
    parent_path: str | None = None
    pod: str | None = None


def locate(path: str) -> ContainerRef | None:
    """The innermost container of a cgroup path; None outside of any. Never raises.

    A path as seen from another cgroup namespace (``/../ID``) or of a removed cgroup (`` (deleted)``) is
    understood; so is a whole line of /proc/PID/cgroup. ``/`` is the root, or one's own container seen
    from within: either way no container that the path could name.
    """
    parts = _split(path)
    found: ContainerRef | None = None
    found_at = -1
    for index, component in enumerate(parts):
        if component in ("", "..", "."):
            continue
        identified = _identify(parts, index)
        if identified is not None:
            found = ContainerRef(
                engine=identified[0],
                id=identified[1],
                path="/".join(parts[: index + 1]),
                parent_path=found.path if found is not None else None,
                pod=_find_pod(parts, index, in_container=found_at == index - 1),
            )
            found_at = index
    return found


def short_name(ref_or_path: ContainerRef | str) -> str:
    """A stable readable name where no map gives one.

    ``docker-4f0c2a9d81b3``; ``pod2c48913c-9bca8d63d5fa`` in a pod; ``lxc-web`` for a container with a
    name; outside of containers the last directory, as ``ssh`` of /system.slice/ssh.service.
    """
    if isinstance(ref_or_path, str):
        ref = locate(ref_or_path)
        return _directory_name(_split(ref_or_path)) if ref is None else short_name(ref)
    ref = ref_or_path
    if ref.id is None:
        return _directory_name(_split(ref.path))
    short_id = ref.id[:12] if is_long_hex(ref.id) else _clean(ref.id)
    if ref.pod is not None:
        return _clean(f"pod{ref.pod.replace('-', '')[:8]}-{short_id}")
    return _clean(f"{ref.engine or 'container'}-{short_id}")


def _identify(parts: Sequence[str], index: int) -> tuple[str | None, str] | None:
    """Engine and id when the directory at this index is a container's own."""
    for engine in ENGINES:
        container_id = engine.find_id(parts, index)
        if container_id is not None:
            return engine.NAME, container_id
    if is_long_hex(parts[index]) and podman.find_pod(parts, index) is None:
        return None, parts[index]
    return None


def _find_pod(parts: Sequence[str], index: int, *, in_container: bool) -> str | None:
    """The pod of the container at this index: the front of its own name, or the directory above it.

    ``in_container``: the directory above is itself a container, so it is no pod.
    """
    if ":" in parts[index] and (pod := kubernetes.find_pod(parts, index)) is not None:
        return pod
    if not index or in_container:
        return None
    return kubernetes.find_pod(parts, index - 1) or podman.find_pod(parts, index - 1)


def _split(path: str) -> list[str]:
    path = path.rstrip("\n").removesuffix(_DELETED)
    if path[:1].isdigit():
        # "0::/docker/ID" or "4:memory:/docker/ID"
        fields = path.split(":", 2)
        if len(fields) == 3 and fields[0].isdigit() and fields[2].startswith("/"):
            path = fields[2]
    return path.split("/")


def _directory_name(parts: Sequence[str]) -> str:
    names = [part for part in parts if part not in ("", "..", ".")]
    if not names:
        return "root"
    name = _clean(names[-1])
    if names[-1] in _INNER_NAMES and len(names) > 1:
        name = f"{_clean(names[-2])}-{name}"
    return name or "root"


def _clean(name: str) -> str:
    for suffix in _UNIT_SUFFIXES:
        name = name.removesuffix(suffix)
    return printable(systemd.unescape(name))[:MAX_NAME_LENGTH]
