"""Sizing advice written into a file: a Kubernetes manifest, a GitLab CI file or a compose file."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import unified_diff
from typing import NamedTuple

from jobmeter.model.errors import UsageError
from jobmeter.model.sizing.answer import Advice, ContainerAdvice
from jobmeter.report.sizing_forms import docker_memory, gitlab_variables, kubernetes_resources
from jobmeter.report.sizing_yaml import Documents, Node, Path, entries
from jobmeter.report.text import clean

# What a forge adds to the name of a job: the number of a parallel one, the values of a matrix.
_JOB_SUFFIX = re.compile(r"(?: \d+/\d+|:? ?\[.*\])$")
_OLD_COMPOSE_KEYS = ("cpus", "mem_limit", "mem_reservation")


class Patch(NamedTuple):
    """A file as it was and as it should be; ``missing`` are containers of the advice that it does not have."""

    name: str
    before: str
    after: str
    missing: tuple[str, ...] = ()

    def diff(self) -> str:
        """The change as a unified diff, empty where there is none."""
        lines = unified_diff(
            self.before.splitlines(keepends=True),
            self.after.splitlines(keepends=True),
            f"a/{self.name}",
            f"b/{self.name}",
        )
        return "".join(
            line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
        )


class _Change(NamedTuple):
    path: Path
    value: str
    quoted: bool


def patch(text: str, advice: Advice, *, name: str, job: str | None = None) -> Patch:
    """The file ``name`` with the advice in it; what kind of file it is is seen from its content.

    ``job`` is the job's name, by which a GitLab CI file is searched. Raises UsageError with one sentence where the
    text is no such file, or the place is not found, or cannot be changed alone.
    """
    documents = Documents(text, name)
    if not advice.containers:
        raise UsageError(f"{name} is not changed: no run was observed, so there is no advice for a container")
    changes, missing = _changes(documents, advice, job)
    for change in changes:
        documents = documents.assign(change.path, change.value, quoted=change.quoted)
    return Patch(name, text, documents.text, missing)


def _changes(documents: Documents, advice: Advice, job: str | None) -> tuple[list[_Change], tuple[str, ...]]:
    roots = [dict(entries(root)) for root in documents.roots]
    if any({"apiVersion", "kind"} <= root.keys() for root in roots):
        return _by_container(documents, advice, "container", _manifest_containers(documents), _in_manifest)
    if len(roots) == 1 and "services" in roots[0] and roots[0]["services"].id == "mapping":
        services = {name: (0, "services", name) for name, _ in entries(roots[0]["services"])}
        return _by_container(documents, advice, "service", _doubled(services), _in_compose)
    if any(_is_gitlab(root) for root in roots):
        return _gitlab(documents, advice, job), ()
    raise UsageError(f"{documents.name} is no Kubernetes manifest, no GitLab CI file and no compose file")


def _by_container(
    documents: Documents,
    advice: Advice,
    noun: str,
    places: Mapping[str, list[Path]],
    changes: Callable[[Documents, Path, ContainerAdvice], Iterator[_Change]],
) -> tuple[list[_Change], tuple[str, ...]]:
    """The changes of all containers that the file has; one in each is taken to be the same."""
    found: list[_Change] = []
    missing = []
    for container in advice.containers:
        name = container.name
        if len(advice.containers) == len(places) == 1:
            name = next(iter(places))
        name = next((each for each in places if _is_named(container.name, each)), name)
        if len(places.get(name, ())) > 1:
            raise UsageError(
                f"{documents.name} has several {noun}s called {clean(name)}: leave one of them in a file"
            )
        if name in places:
            found += changes(documents, places[name][0], container)
        else:
            missing.append(container.name)
    if len(missing) == len(advice.containers):
        wanted, there = _listed(missing), _listed(sorted(places)) or "none"
        raise UsageError(f"{documents.name} has no {noun} {wanted}; it has {there}")
    return found, tuple(missing)


def _is_named(container: str, place: str) -> bool:
    """The same, or the name that compose gives to a service's container: ``shop-web-1``."""
    return re.fullmatch(rf"(?:.+[-_])?{re.escape(place)}[-_]\d+|{re.escape(place)}", container) is not None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(clean(name) for name in names)


def _doubled(places: Mapping[str, Path]) -> dict[str, list[Path]]:
    return {name: [path] for name, path in places.items()}


def _manifest_containers(documents: Documents) -> dict[str, list[Path]]:
    """Where the containers of pods are, by name."""
    places: dict[str, list[Path]] = {}
    for number, root in enumerate(documents.roots):
        for path, node in _walk(root, (number,)):
            if path[-2:-1] in (("containers",), ("initContainers",)):
                name = dict(entries(node)).get("name")
                if name is not None and name.id == "scalar":
                    places.setdefault(name.value, []).append(path)
    return places


def _walk(node: Node, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Node]]:
    """All nodes but those that an alias refers to, which come once."""
    waiting, seen = [(path, node)], set()
    while waiting:
        path, node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield path, node
        if node.id == "sequence":
            waiting += [((*path, place), item) for place, item in enumerate(node.value)]
        waiting += [((*path, key), value) for key, value in entries(node)]


def _in_manifest(_: Documents, path: Path, container: ContainerAdvice) -> Iterator[_Change]:
    for part, quantities in kubernetes_resources(container.cpu, container.memory).items():
        for resource, quantity in quantities.items():
            yield _Change((*path, "resources", part, resource), quantity, quoted=False)


def _in_compose(documents: Documents, path: Path, container: ContainerAdvice) -> Iterator[_Change]:
    """In the keys that the service has: those of version 2, or ``deploy.resources``."""
    cpu, memory = container.cpu, container.memory
    old = any(documents.node((*path, key)) is not None for key in _OLD_COMPOSE_KEYS)
    places: list[tuple[tuple[str, ...], float | int | None]] = [
        (("cpus",) if old else ("deploy", "resources", "limits", "cpus"), cpu.limit_cores),
        (("mem_limit",) if old else ("deploy", "resources", "limits", "memory"), memory.limit_bytes),
        (("deploy", "resources", "reservations", "cpus"), None if old else cpu.request_cores),
        (
            ("mem_reservation",) if old else ("deploy", "resources", "reservations", "memory"),
            memory.request_bytes,
        ),
    ]
    for keys, value in places:
        if value is not None:
            text = f"{value:g}" if keys[-1] == "cpus" else docker_memory(value)
            yield _Change((*path, *keys), text, quoted=keys[-1] == "cpus")


def _is_gitlab(root: Mapping[str, Node]) -> bool:
    jobs = [dict(entries(node)).keys() for node in root.values()]
    return "stages" in root or any(keys & {"script", "extends", "trigger"} for keys in jobs)


def _gitlab(documents: Documents, advice: Advice, job: str | None) -> list[_Change]:
    if not job:
        raise UsageError(f"{documents.name} is a GitLab CI file, so the name of the job is needed")
    for wanted in (job, _JOB_SUFFIX.sub("", job)):
        for number in range(len(documents.roots)):
            node = documents.node((number, wanted))
            if node is not None and node.id == "mapping":
                return [
                    _Change((number, wanted, "variables", name), text, quoted=True)
                    for name, text in gitlab_variables(advice).items()
                ]
    raise UsageError(f"{documents.name} has no job {clean(job)}")
