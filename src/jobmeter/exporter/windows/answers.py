"""What a Docker engine on Windows answers, and what is kept of it.

Shapes and units are those of the Docker Engine API (moby's api/swagger.yaml: SystemInfo, ContainerSummary,
ContainerInspectResponse, ContainerStatsResponse). What an answer leaves out, and what the API says is not filled on
Windows, is None.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Struct

from jobmeter.containers.catalog.facts import MAX_NAME_CHARACTERS, ContainerFacts, describe
from jobmeter.containers.engines.ids import is_long_hex
from jobmeter.model.account import Account, Bounds, Interface
from jobmeter.model.errors import SourceUnavailable
from jobmeter.model.sample import ByteLimit, Limit

ENGINE = "docker"
MAX_NETWORKS = 64
_UNITS_PER_SECOND = 10_000_000
"""CPU time is told in units of 100 ns."""
_NANO = 1_000_000_000

Isolation = Literal["hyperv", "process"]
"""A virtual machine of its own, or the kernel of the host."""
_Count = Annotated[int, Meta(ge=0)]
_Shape = TypeVar("_Shape")


class About(NamedTuple):
    """The engine: ``isolation`` is that of containers that were made without one, ``cpus`` those of the machine."""

    isolation: Isolation | None
    cpus: int | None


class Made(Struct, frozen=True, kw_only=True):
    """How a container was made, with its limits as they were asked for; ``started`` in seconds since 1970."""

    isolation: Isolation | None = None
    started: float | None = None
    nano_cpus: int = 0
    cpu_count: int = 0
    cpu_percent: int = 0
    memory_bytes: int = 0

    def bounds(self, cpus: int | None) -> Bounds:
        """The limits that bind it, on a machine with so many CPUs."""
        return Bounds(cpu_cores=self._cores(cpus), memory_bytes=self._memory())

    def _cores(self, cpus: int | None) -> Limit:
        """As the engine hands them on (moby's daemon/oci_windows.go): a share is one of the CPUs that it may use."""
        if self.nano_cpus:
            return self.nano_cpus / _NANO
        share = (self.cpu_percent or 100) / 100
        if self.cpu_count:
            return self.cpu_count * share if self.isolation == "hyperv" else float(self.cpu_count)
        if self.isolation != "process":
            return None  # A virtual machine has limits of its own, which nobody tells.
        if not self.cpu_percent:
            return "unlimited"
        return cpus * share if cpus else None

    def _memory(self) -> ByteLimit:
        if self.memory_bytes:
            return self.memory_bytes
        return "unlimited" if self.isolation == "process" else None


class Usage(NamedTuple):
    """What a container has used, and how many CPUs its machine has."""

    account: Account
    cpus: int | None


# --- The engine


class _Info(Struct, frozen=True):
    OSType: str | None = None
    Isolation: str | None = None
    NCPU: int | None = None


def parse_info(answer: bytes) -> About:
    """The answer to `/info`. Raises SourceUnavailable, also for an engine that does not run Windows containers."""
    info = _decode(answer, _Info)
    require_windows(info.OSType or "")
    return About(_isolation(info.Isolation), info.NCPU or None)


def require_windows(system: str) -> None:
    """Raises SourceUnavailable for the system that an engine names, unless it is Windows."""
    if system == "windows":
        return
    if not system:
        raise SourceUnavailable("it does not say that it runs containers of Windows")
    raise SourceUnavailable(
        f"it runs containers of {system[:40]!r}, and here only those of Windows are asked for: an exporter on "
        "that host shows them"
    )


# --- Containers


class _Listed(Struct, frozen=True):
    Id: str
    Names: list[str] | None = None
    Image: str | None = None
    Labels: dict[str, str] | None = None
    Created: float | None = None


def parse_list(answer: bytes) -> list[ContainerFacts]:
    """The answer to `/containers/json`: those that run. What has no full id is left out. Raises SourceUnavailable."""
    found: dict[str, ContainerFacts] = {}
    for one in _decode(answer, list[_Listed]):
        facts = _describe(one) if is_long_hex(one.Id) else None
        if facts is not None:
            found.setdefault(facts.id, facts)
    return list(found.values())


def _describe(one: _Listed) -> ContainerFacts | None:
    # The names of links to a container have a second slash.
    names = [name.lstrip("/") for name in one.Names or ()]
    return describe(
        engine=ENGINE,
        container_id=one.Id,
        name=min(names, key=lambda name: name.count("/"), default=""),
        image=one.Image or "",
        labels=one.Labels or {},
        created=max(0.0, one.Created or 0.0) or None,
    )


class _State(Struct, frozen=True):
    StartedAt: str | None = None


class _HostConfig(Struct, frozen=True):
    Isolation: str | None = None
    NanoCpus: _Count | None = None
    CpuCount: _Count | None = None
    CpuPercent: _Count | None = None
    Memory: _Count | None = None


class _Inspected(Struct, frozen=True):
    State: _State | None = None
    HostConfig: _HostConfig | None = None


def parse_inspect(answer: bytes, about: About) -> Made:
    """The answer to `/containers/ID/json`. Raises SourceUnavailable."""
    inspected = _decode(answer, _Inspected)
    config = inspected.HostConfig or _HostConfig()
    return Made(
        isolation=_isolation(config.Isolation) or about.isolation,
        started=_moment((inspected.State or _State()).StartedAt),
        nano_cpus=config.NanoCpus or 0,
        cpu_count=config.CpuCount or 0,
        cpu_percent=config.CpuPercent or 0,
        memory_bytes=config.Memory or 0,
    )


# --- Statistics


class _CpuUsage(Struct, frozen=True):
    total_usage: _Count | None = None
    usage_in_kernelmode: _Count | None = None
    usage_in_usermode: _Count | None = None


class _Cpu(Struct, frozen=True):
    cpu_usage: _CpuUsage | None = None


class _Memory(Struct, frozen=True):
    commitbytes: _Count | None = None
    commitpeakbytes: _Count | None = None
    privateworkingset: _Count | None = None


class _Storage(Struct, frozen=True):
    read_count_normalized: _Count | None = None
    read_size_bytes: _Count | None = None
    write_count_normalized: _Count | None = None
    write_size_bytes: _Count | None = None


class _Network(Struct, frozen=True):
    rx_bytes: _Count = 0
    rx_packets: _Count = 0
    rx_dropped: _Count = 0
    tx_bytes: _Count = 0
    tx_packets: _Count = 0
    tx_dropped: _Count = 0


class _Stats(Struct, frozen=True):
    os_type: str | None = None
    read: str | None = None
    num_procs: _Count | None = None
    cpu_stats: _Cpu | None = None
    memory_stats: _Memory | None = None
    storage_stats: _Storage | None = None
    networks: dict[str, _Network] | None = None


def parse_stats(answer: bytes) -> Usage | None:
    """The answer to `/containers/ID/stats?stream=false&one-shot=true`. Raises SourceUnavailable.

    None for a container that does not run: the engine then answers with zeros, read in the year 1.
    """
    stats = _decode(answer, _Stats)
    if stats.os_type is not None:
        require_windows(stats.os_type)
    if _moment(stats.read) is None:
        return None
    memory, storage = stats.memory_stats or _Memory(), stats.storage_stats or _Storage()
    networks = _interfaces(stats.networks or {})
    cpu = _cpu((stats.cpu_stats or _Cpu()).cpu_usage or _CpuUsage(), memory)
    account = Account(
        cpu_seconds=_seconds(cpu.total_usage),
        cpu_user_seconds=_seconds(cpu.usage_in_usermode),
        cpu_system_seconds=_seconds(cpu.usage_in_kernelmode),
        memory_usage_bytes=memory.commitbytes,
        memory_charged_peak_bytes=memory.commitpeakbytes,
        memory_private_working_set_bytes=memory.privateworkingset,
        io_read_bytes=storage.read_size_bytes,
        io_written_bytes=storage.write_size_bytes,
        io_reads=storage.read_count_normalized,
        io_writes=storage.write_count_normalized,
        network_received_bytes=sum(one.received_bytes for one in networks) if networks else None,
        network_sent_bytes=sum(one.sent_bytes for one in networks) if networks else None,
        interfaces=networks or None,
    )
    return Usage(account, stats.num_procs or None)


def _cpu(cpu: _CpuUsage, memory: _Memory) -> _CpuUsage:
    """The API writes 0 for CPU times that it does not know.

    So the two modes of a container in a virtual machine, and all of one of which Windows told nothing: what runs has
    committed memory.
    """
    if cpu.usage_in_kernelmode or cpu.usage_in_usermode:
        return cpu
    known = cpu.total_usage or memory.commitbytes
    return _CpuUsage(total_usage=cpu.total_usage if known else None)


def _seconds(units: int | None) -> float | None:
    return None if units is None else units / _UNITS_PER_SECOND


def _interfaces(networks: Mapping[str, _Network]) -> tuple[Interface, ...]:
    """One for each endpoint; Windows counts no errors."""
    return tuple(
        Interface(
            name[:MAX_NAME_CHARACTERS], one.rx_bytes, one.rx_packets, None, one.rx_dropped,
            one.tx_bytes, one.tx_packets, None, one.tx_dropped,
        )
        for name, one in sorted(networks.items())[:MAX_NETWORKS]
    )  # fmt: skip


# --- Common


def _decode(answer: bytes, shape: type[_Shape]) -> _Shape:
    try:
        return msgspec.json.decode(answer, type=shape)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        reason = str(error).partition(" (byte")[0]
        raise SourceUnavailable(
            f"its answer has not the form of the Docker Engine API: {reason[:160]}"
        ) from None


def _isolation(word: str | None) -> Isolation | None:
    """None for the default, and for a word of later."""
    match (word or "").lower():
        case "hyperv":
            return "hyperv"
        case "process":
            return "process"
    return None


def _moment(text: str | None) -> float | None:
    """A time in RFC 3339 as seconds since 1970; None for none, which the API writes as the first day of the year 1."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    if moment.year <= 1:
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
