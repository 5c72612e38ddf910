"""Sizing advice in the words of those who reserve and limit: JSON, Kubernetes, Docker, GitLab."""

import json
import re
from collections.abc import Callable, Mapping, Sequence

import msgspec

from jobmeter.model.sizing.answer import Advice, ContainerAdvice, Cpu, Memory
from jobmeter.report.text import clean

_MIB, _GIB = 2**20, 2**30
# What every YAML version and dialect takes for a string as it stands.
_PLAIN = re.compile(r"(?!(?:y|n|on|off|yes|no|true|false|null)$)[a-z][\w.-]*", re.IGNORECASE)
_SERVICE = re.compile(r"svc-\d+")


def sizing_json(advice: Advice) -> bytes:
    """The whole answer, indented for people, with a final newline."""
    return msgspec.json.format(msgspec.json.encode(advice), indent=2) + b"\n"


def cpu_quantity(cores: float) -> str:
    """``1250m`` or ``2``, as Kubernetes writes cores."""
    thousandths = round(cores * 1000)
    return f"{thousandths}m" if thousandths % 1000 else f"{thousandths // 1000}"


def memory_quantity(size_bytes: int) -> str:
    """``1248Mi`` or ``2Gi``; advice comes in whole MiB, a sum of something else in bytes."""
    if size_bytes % _MIB:
        return f"{size_bytes}"
    return f"{size_bytes // _GIB}Gi" if size_bytes % _GIB == 0 else f"{size_bytes // _MIB}Mi"


def kubernetes_resources(cpu: Cpu, memory: Memory) -> dict[str, dict[str, str]]:
    """``resources`` of a container; what is not known is left out."""
    parts = {
        "requests": (cpu.request_cores, memory.request_bytes),
        "limits": (cpu.limit_cores, memory.limit_bytes),
    }
    return {name: found for name, (cores, size) in parts.items() if (found := _quantities(cores, size))}


def _quantities(cores: float | None, size_bytes: int | None) -> dict[str, str]:
    found = {"cpu": cpu_quantity(cores)} if cores is not None else {}
    return found | ({"memory": memory_quantity(size_bytes)} if size_bytes is not None else {})


def kubernetes_yaml(advice: Advice) -> str:
    """Containers with their ``resources``, to be merged into a pod's manifest."""
    lines = [*_comments(advice), "containers:" if advice.containers else "containers: []"]
    for container in advice.containers:
        lines.append(f"  - name: {_yaml_string(container.name)}")
        resources = kubernetes_resources(container.cpu, container.memory)
        lines.append("    resources:" if resources else "    resources: {}")
        for part, quantities in resources.items():
            lines.append(f"      {part}:")
            lines += [f"        {name}: {quantity}" for name, quantity in quantities.items()]
    return "\n".join(lines) + "\n"


def docker_flags(container: ContainerAdvice) -> list[str]:
    """Flags of ``docker run`` or ``podman run``: limits, and requests as reservation and weight."""
    cpu, memory = container.cpu, container.memory
    flags: list[tuple[str, float | None, Callable[[float], str]]] = [
        ("--cpus", cpu.limit_cores, lambda cores: f"{cores:g}"),
        ("--cpu-shares", cpu.request_cores, lambda cores: f"{max(2, round(cores * 1024))}"),
        ("--memory", memory.limit_bytes, docker_memory),
        ("--memory-reservation", memory.request_bytes, docker_memory),
    ]
    return [f"{name}={form(value)}" for name, value, form in flags if value is not None]


def docker_memory(size_bytes: float) -> str:
    """``1504m``, as Docker and compose write memory."""
    return f"{size_bytes / _MIB:.0f}m"


def docker_text(advice: Advice) -> str:
    """One line of flags for each container, its name in a comment above."""
    lines = _comments(advice)
    for container in advice.containers:
        lines += [f"# {clean(container.name)}", " ".join(docker_flags(container))]
    return "\n".join(lines) + "\n"


def gitlab_variables(advice: Advice) -> dict[str, str]:
    """``KUBERNETES_*`` variables of a job: of its build container, the helper, and all services together.

    The Kubernetes executor calls them build, helper, svc-0 …; a job metered elsewhere has other names: then the one
    that needs the most memory is the build, and the rest are services.
    """
    roles = _gitlab_roles(advice.containers)
    variables: dict[str, str] = {}
    for role, prefix in (("build", ""), ("helper", "HELPER_"), ("service", "SERVICE_")):
        found = [container for container in advice.containers if roles[container.name] == role]
        parts: dict[str, str | None] = {
            "CPU_REQUEST": _most([each.cpu.request_cores for each in found], cpu_quantity),
            "CPU_LIMIT": _most([each.cpu.limit_cores for each in found], cpu_quantity),
            "MEMORY_REQUEST": _most([each.memory.request_bytes for each in found], memory_quantity),
            "MEMORY_LIMIT": _most([each.memory.limit_bytes for each in found], memory_quantity),
        }
        variables |= {f"KUBERNETES_{prefix}{name}": text for name, text in parts.items() if text}
    return variables


def _most(values: Sequence[float | None], form: Callable[..., str]) -> str | None:
    known = [value for value in values if value is not None]
    return form(max(known)) if known else None


def _gitlab_roles(containers: Sequence[ContainerAdvice]) -> Mapping[str, str]:
    names = [container.name for container in containers]
    build = "build" if "build" in names else None
    if build is None and containers:
        others = [each for each in containers if each.name != "helper" and not _SERVICE.fullmatch(each.name)]
        build = max(others or containers, key=lambda each: each.memory.request_bytes or 0).name
    return {name: "build" if name == build else "helper" if name == "helper" else "service" for name in names}


def gitlab_yaml(advice: Advice) -> str:
    """``variables`` of a job in ``.gitlab-ci.yml``; the runner must allow jobs to overwrite them."""
    lines = [*_comments(advice), "variables:"]
    lines += [f'  {name}: "{text}"' for name, text in gitlab_variables(advice).items()]
    return "\n".join(lines) + "\n"


def _comments(advice: Advice) -> list[str]:
    return [f"# jobmeter, {advice.meta.confidence_phase}: {clean(advice.meta.reason)}"]


def _yaml_string(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else json.dumps(clean(text), ensure_ascii=False)
