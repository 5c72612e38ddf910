"""The names of cAdvisor and of the kubelet's endpoint, for dashboards and alerts that were made for them.

Names, kinds and labels are those of cAdvisor's lib/metrics/prometheus.go and of containerPrometheusLabelsFunc in the
kubelet's server.go (2026). Which of them are not offered, and what is meant otherwise: docs/exporter-cadvisor.md.
"""

import os.path
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Literal

from msgspec.structs import replace

from jobmeter.exporter.container import Identity, Row
from jobmeter.exporter.dialects.dialect import Snapshot
from jobmeter.exporter.families import Family, Labels, Parts, Value
from jobmeter.exporter.machine import Machine
from jobmeter.exporter.render import Renderer, Sample, family, label_text
from jobmeter.model.account import DeviceCount, Spec
from jobmeter.model.sample import ByteLimit

MAX_CONTAINER_LABELS = 32
MAX_LABEL_NAME_CHARACTERS = 128
_LABEL_PREFIX = "container_label_"
_CONTAINER_NAME = "io.kubernetes.container.name"
_NO_LABEL_CHARACTER = re.compile("[^a-zA-Z0-9_]")
_LEFT_OUT_INTERFACES = ("lo", "veth", "docker", "nerdctl")
"""Those whose names begin so are left out there too."""

MACHINE: tuple[tuple[str, str, Callable[[Machine], int | None]], ...] = (
    ("machine_cpu_cores", "Logical CPUs that are online.", lambda machine: machine.cpus),
    ("machine_memory_bytes", "Memory of the machine.", lambda machine: machine.memory_bytes),
    ("machine_swap_bytes", "Swap of the machine.", lambda machine: machine.swap_bytes),
)


class CadvisorDialect:
    """Containers, and the cgroups that are none: the root, slices, services, pods."""

    detailed = True
    with_groups = True

    def __init__(
        self, machine: Machine, device_name: Callable[[str], str], clock: Callable[[], float]
    ) -> None:
        """``device_name`` tells the path of a block device by its number."""
        self._machine = machine
        self._renderer = Renderer(families(device_name, clock), _labels)
        self._pods: dict[tuple[str, str | None], Identity] = {}

    def render(self, snapshot: Snapshot, *, openmetrics: bool) -> Iterator[str]:
        """All of it."""
        rows = (*self._with_pods(snapshot.groups, snapshot.rows), *snapshot.rows)
        yield from self._renderer.render(rows, openmetrics=openmetrics)
        machine = self._machine
        labels = label_text(
            (
                ("boot_id", machine.boot_id),
                ("machine_id", machine.machine_id),
                ("system_uuid", machine.system_uuid),
            )
        )
        for name, text, value_of in MACHINE:
            yield from family(
                name, "gauge", text, (Sample(labels, value_of(machine)),), openmetrics=openmetrics
            )

    def _with_pods(self, groups: Iterable[Row], containers: Iterable[Row]) -> list[Row]:
        """The groups, of which those that hold the containers of a Kubernetes pod tell its name.

        A pod's identity stays the same object, by which the renderer knows that its labels do.
        """
        before, now = self._pods, dict[tuple[str, str | None], Identity]()
        at: dict[str, Identity] = {}
        for row in containers:
            namespace, pod = row.identity.namespace, row.identity.pod_name
            if namespace is not None:
                known = before.get((namespace, pod)) or Identity(namespace=namespace, pod_name=pod)
                at[os.path.dirname(row.path)] = now.setdefault((namespace, pod), known)
        self._pods = now
        return [replace(row, identity=at[row.path]) if row.path in at else row for row in groups]


# --- Labels


def _labels(row: Row) -> Labels:
    """Those of the kubelet for what belongs to a pod, of cAdvisor itself for the rest.

    A label that a container has not is left out, which to Prometheus is the same as an empty one.
    """
    identity = row.identity
    is_container = row.id != row.path
    image = identity.image or ""
    if identity.namespace is not None:
        return (
            ("container", identity.labels.get(_CONTAINER_NAME, "")),
            ("id", row.path),
            ("image", image),
            ("name", row.id if is_container else ""),
            ("namespace", identity.namespace),
            ("pod", identity.pod_name or ""),
        )
    own = (("id", row.path), ("image", image), ("name", row.name if is_container else ""))
    return (*container_labels(identity.labels), *own)


def container_labels(labels: Mapping[str, str]) -> Labels:
    """A container's labels by names that Prometheus takes; of two that become the same the first in order stays."""
    named: dict[str, str] = {}
    for key, value in sorted(labels.items()):
        name = _LABEL_PREFIX + _NO_LABEL_CHARACTER.sub("_", key[:MAX_LABEL_NAME_CHARACTERS])
        if value and len(named) < MAX_CONTAINER_LABELS:
            named.setdefault(name, value)
    return tuple(named.items())


# --- Families


def families(device_name: Callable[[str], str], clock: Callable[[], float]) -> tuple[Family, ...]:
    """All that tell of a container or a group."""

    def last_seen(row: Row) -> int:
        return int(clock() if row.ended is None else row.ended)

    return (
        _one("container_last_seen", "gauge", "When it was seen last, in seconds since 1970.", last_seen),
        *_CPU, *_MEMORY, *_PRESSURE, *_NETWORK, *_file_system(device_name), *_PROCESSES, *_SPEC,
    )  # fmt: skip


def _one(
    name: str,
    kind: Literal["counter", "gauge"],
    text: str,
    value: Callable[[Row], Value],
    *,
    while_alive: bool = False,
) -> Family:
    return Family(name, kind, text, (((), value),), while_alive=while_alive)


def _in_use(name: str, text: str, field: str) -> Family:
    """What one that has ended has no more."""
    return _one(name, "gauge", text, attrgetter(f"account.{field}"), while_alive=True)


def _counted(name: str, text: str, field: str) -> Family:
    return _one(name, "counter", text, attrgetter(f"account.{field}"))


def _where_limited(name: str, text: str, field: str) -> Family:
    """What only one with a CPU quota of its own has."""
    value_of: Callable[[Row], Value] = attrgetter(f"account.{field}")
    return _one(name, "counter", text, lambda row: value_of(row) if _quota(row) is not None else None)


def _quota(row: Row) -> int | None:
    quota = (row.bounds.spec or _NO_SPEC).cpu_quota_microseconds
    return quota if isinstance(quota, int) else None


def _file_system(device_name: Callable[[str], str]) -> Iterator[Family]:
    """By block device. How full a container's own file system is, only a walk through it tells: it is left out."""

    def devices(field: str) -> Parts:
        counts: Callable[[Row], tuple[DeviceCount, ...] | None] = attrgetter(f"account.{field}")
        return Parts("device", lambda row: [(device_name(one.device), one) for one in counts(row) or ()])

    transferred, operations = devices("io_bytes_by_device"), devices("io_operations_by_device")
    counters = (
        ("reads_bytes", "Bytes read.", transferred, "read"),
        ("writes_bytes", "Bytes written.", transferred, "written"),
        ("reads", "Reads.", operations, "read"),
        ("writes", "Writes.", operations, "written"),
    )
    gauges = (
        ("limit", "Size of a file system of the machine.", "size_bytes"),
        ("usage", "What is used of a file system of the machine.", "used_bytes"),
    )
    for name, text, parts, way in counters:
        yield Family(f"container_fs_{name}_total", "counter", text, each=(parts, attrgetter(way)))
    for name, text, field in gauges:
        yield Family(f"container_fs_{name}_bytes", "gauge", text, each=(_FILESYSTEMS, attrgetter(field)))


_FILESYSTEMS = Parts("device", lambda row: [(one.device, one) for one in row.account.filesystems])


def _spec(name: str, text: str, value_of: Callable[[Spec], Value]) -> Family:
    return _one(f"container_spec_{name}", "gauge", text, lambda row: value_of(row.bounds.spec or _NO_SPEC))


def _or_none(value: ByteLimit) -> Value:
    """As there: no limit is 0."""
    return 0 if value == "unlimited" else value


_NO_SPEC = Spec()
_CPU = (
    Family("container_cpu_usage_seconds_total", "counter", "CPU time used.",
           (((("cpu", "total"),), lambda row: row.account.cpu_seconds),)),
    _counted("container_cpu_user_seconds_total", "CPU time used in user mode.", "cpu_user_seconds"),
    _counted("container_cpu_system_seconds_total", "CPU time used in the kernel.", "cpu_system_seconds"),
    _where_limited("container_cpu_cfs_periods_total", "Periods in which the CPU quota was enforced.", "cpu_periods"),
    _where_limited("container_cpu_cfs_throttled_periods_total", "Periods in which it was throttled.",
                   "cpu_throttled_periods"),
    _where_limited("container_cpu_cfs_throttled_seconds_total", "Time for which its threads were throttled.",
                   "cpu_throttled_seconds"),
)  # fmt: skip
_MEMORY = (
    _in_use("container_memory_usage_bytes", "Memory charged to it, page cache included.", "memory_usage_bytes"),
    _in_use("container_memory_working_set_bytes", "That without file pages that were not used lately.",
            "memory_working_set_bytes"),
    _in_use("container_memory_rss", "Bytes of memory of its own that no file backs.", "memory_anon_bytes"),
    _in_use("container_memory_cache", "Bytes of page cache.", "memory_file_bytes"),
    _in_use("container_memory_swap", "Bytes in swap.", "memory_swap_bytes"),
    _one("container_memory_max_usage_bytes", "gauge", "The most memory charged so far.",
         lambda row: row.account.memory_charged_peak_bytes),
    _counted("container_memory_failcnt", "Times when the memory limit was met.", "memory_limit_hits"),
    _counted("container_oom_events_total", "Processes killed for want of memory.", "oom_kills"),
)  # fmt: skip
_PRESSURE = tuple(
    _counted(
        f"container_pressure_{resource}_{kind}_seconds_total", f"Time in which {whose} work waited for {what}.",
        f"{resource}_{kind}_seconds",
    )
    for resource, what in (("cpu", "a CPU"), ("memory", "memory"), ("io", "a disk"))
    for kind, whose in (("waiting", "some"), ("stalled", "all"))
)  # fmt: skip
_INTERFACES = Parts(
    "interface",
    lambda row: [
        (one.name, one)
        for one in row.account.interfaces or ()
        if one.name and not one.name.lower().startswith(_LEFT_OUT_INTERFACES)
    ],
)
_NETWORK = tuple(
    Family(
        f"container_network_{way}_{what}_total", "counter", f"{about} that were {past}.",
        each=(_INTERFACES, attrgetter(f"{past}_{field}")),
    )
    for way, past in (("receive", "received"), ("transmit", "sent"))
    for what, field, about in (
        ("bytes", "bytes", "Bytes"),
        ("packets", "packets", "Packets"),
        ("errors", "errors", "Packets with an error"),
        ("packets_dropped", "dropped", "Packets that were dropped, of those"),
    )
)  # fmt: skip
_PROCESSES = (
    _in_use("container_processes", "Processes in its own cgroup, those of cgroups below left out.", "process_count"),
    _in_use("container_threads", "Its threads, those of cgroups below included.", "processes"),
    _one("container_threads_max", "gauge", "So many threads it may have; 0 for no limit.",
         lambda row: _or_none(row.bounds.processes)),
)  # fmt: skip
_SPEC = (
    _one("container_start_time_seconds", "gauge", "When it began, in seconds since 1970.",
         lambda row: int(row.started) if row.started is not None else None),
    _spec("cpu_period", "Length of a period of its CPU quota, in microseconds.",
          lambda spec: spec.cpu_period_microseconds),
    _one("container_spec_cpu_quota", "gauge", "CPU time that it may use in a period, in microseconds.", _quota),
    _spec("cpu_shares", "Its weight when CPUs are scarce, 2 to 262144.", lambda spec: spec.cpu_shares),
    _spec("memory_limit_bytes", "Its own memory limit; 0 for none.", lambda spec: _or_none(spec.memory_limit_bytes)),
    _spec("memory_reservation_limit_bytes", "Memory that is kept for it.",
          lambda spec: _or_none(spec.memory_reservation_bytes)),
    _spec("memory_swap_limit_bytes", "Its own swap limit, on cgroup v1 with memory; 0 for none.",
          lambda spec: _or_none(spec.memory_swap_limit_bytes)),
)  # fmt: skip
