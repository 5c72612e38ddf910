"""Text of /proc into values; sources are proc_pid_stat(5), proc_pid_status(5), proc_stat(5) and their like."""

import os
from collections.abc import Iterator, Mapping
from typing import Final

from jobmeter.model.account import Interface
from jobmeter.model.errors import KernelFormatError
from jobmeter.model.readings import ProcessReading
from jobmeter.model.sample import HostSample

TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
CPU_MODES: Final = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
"""The kernel's, in its order. Time of guests comes behind them and is in ``user`` and ``nice`` already."""
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_SIGCHLD_BIT: Final = 1 << 16
_NET_DEV_FIELDS: Final = 16


def parse_stat(line: bytes) -> ProcessReading:
    """One line of /proc/PID/stat; the name may hold any byte, so fields are counted from its last ``)``."""
    opening, closing = line.find(b"("), line.rfind(b")")
    fields = line[closing + 2 :].split()
    try:
        return ProcessReading(
            pid=int(line[:opening]),
            name=line[opening + 1 : closing].decode("utf-8", "replace"),
            state=fields[0].decode("ascii"),
            parent_pid=int(fields[1]),
            faults=int(fields[7]) + int(fields[9]),
            user_seconds=int(fields[11]) / TICKS_PER_SECOND,
            system_seconds=int(fields[12]) / TICKS_PER_SECOND,
            reaped_user_seconds=int(fields[13]) / TICKS_PER_SECOND,
            reaped_system_seconds=int(fields[14]) / TICKS_PER_SECOND,
            threads=int(fields[17]),
            start_seconds=int(fields[19]) / TICKS_PER_SECOND,
            rss_bytes=max(0, int(fields[21])) * PAGE_BYTES,
        )
    except (ValueError, IndexError, OverflowError):
        raise KernelFormatError(f"not a line of /proc/PID/stat: {line[:80]!r}") from None


def parse_status_high_water(text: bytes) -> int | None:
    """VmHWM in bytes, the largest resident set of a process so far; None for a kernel thread or zombie."""
    value = _field(text, b"VmHWM:")
    if value is None:
        return None
    try:
        return int(value.split()[0]) * 1024
    except (ValueError, IndexError):
        raise KernelFormatError(f"VmHWM of /proc/PID/status is not a number: {value[:40]!r}") from None


def parse_status_ignores_sigchld(text: bytes) -> bool:
    """True when SIGCHLD is in SigIgn: the children of this process are reaped without an account."""
    value = _field(text, b"SigIgn:")
    try:
        return value is not None and bool(int(value, 16) & _SIGCHLD_BIT)
    except ValueError:
        raise KernelFormatError(f"SigIgn of /proc/PID/status is not a mask: {value!r}") from None


def _field(text: bytes, name: bytes) -> bytes | None:
    start = 0 if text.startswith(name) else text.find(b"\n" + name) + 1
    if start == 0 and not text.startswith(name):
        return None
    end = text.find(b"\n", start)
    return text[start + len(name) : end if end >= 0 else None].strip()


def parse_cgroup(text: bytes) -> dict[str, str]:
    """/proc/PID/cgroup (cgroups(7)): controller to path; the unified hierarchy's key is ``""``.

    A path of a removed cgroup ends in " (deleted)", which is cut off.
    """
    paths: dict[str, str] = {}
    for line in text.decode("utf-8", "replace").splitlines():
        _, controllers, path = _three_parts(line)
        path = path.removesuffix(" (deleted)")
        for controller in controllers.split(","):
            paths[controller] = path
    return paths


def _three_parts(line: str) -> tuple[str, str, str]:
    parts = line.split(":", 2)
    if len(parts) != 3:
        raise KernelFormatError(f"not a line of /proc/PID/cgroup: {line[:80]!r}")
    return parts[0], parts[1], parts[2]


def parse_host_stat(text: bytes) -> tuple[HostSample, int]:
    """The CPU counters of /proc/stat and the number of online CPUs.

    Idle is idle + iowait. Steal is time that the hypervisor gave to others: neither used nor idle
    here. Guest time is already in user time.
    """
    lines = text.split(b"\n")
    fields = lines[0].split()
    try:
        if fields[0] != b"cpu":
            raise ValueError
        user, nice, system, idle, iowait, irq, softirq, steal = (int(field) for field in fields[1:9])
        sample = HostSample(
            busy_seconds=(user + nice + system + irq + softirq) / TICKS_PER_SECOND,
            idle_seconds=(idle + iowait) / TICKS_PER_SECOND,
            steal_seconds=steal / TICKS_PER_SECOND,
        )
    except (ValueError, IndexError, OverflowError):
        raise KernelFormatError(f"not the first line of /proc/stat: {lines[0][:80]!r}") from None
    return sample, sum(1 for line in lines if line.startswith(b"cpu")) - 1


def parse_boot_time(text: bytes) -> int | None:
    """When the machine was started, of /proc/stat, in seconds since 1970."""
    value = _field(text, b"btime ")
    try:
        return int(value) if value is not None else None
    except ValueError:
        raise KernelFormatError(f"btime of /proc/stat is not a number: {value!r}") from None


def parse_cpu_modes(text: bytes) -> Mapping[str, float]:
    """Seconds that all CPUs together have spent in each mode, of the first line of /proc/stat."""
    line = text.partition(b"\n")[0]
    name, *fields = line.split() or [b""]
    try:
        if name != b"cpu":
            raise ValueError
        ticks = [int(field) for field in fields[: len(CPU_MODES)]]
        return {mode: ticks[index] / TICKS_PER_SECOND for index, mode in enumerate(CPU_MODES)}
    except (ValueError, IndexError, OverflowError):
        raise KernelFormatError(f"not the first line of /proc/stat: {line[:80]!r}") from None


def parse_meminfo(text: bytes) -> Mapping[str, int]:
    """MemTotal, MemAvailable, SwapTotal and SwapFree of /proc/meminfo in bytes, those that are there."""
    found: dict[str, int] = {}
    for name in (b"MemTotal", b"MemAvailable", b"SwapTotal", b"SwapFree"):
        value = _field(text, name + b":")
        if value is None:
            continue
        try:
            found[name.decode()] = int(value.split()[0]) * 1024
        except (ValueError, IndexError):
            raise KernelFormatError(
                f"{name.decode()} of /proc/meminfo is not a number: {value[:40]!r}"
            ) from None
    return found


def parse_net_dev(text: bytes) -> tuple[int, int]:
    """Bytes received and sent over the interfaces of /proc/PID/net/dev that lead out of its network namespace."""
    received = sent = 0
    for name, fields in _interfaces(text):
        if leads_outside(name):
            received += fields[0]
            sent += fields[8]
    return received, sent


def parse_interfaces(text: bytes) -> tuple[Interface, ...]:
    """All interfaces of /proc/PID/net/dev but the loopback, in its order."""
    return tuple(
        Interface(name, *fields[:4], *fields[8:12]) for name, fields in _interfaces(text) if name != "lo"
    )


# Bridges, the ends of veth pairs whose others lie in containers within, overlays and stand-ins: of Linux itself,
# and as Docker, Podman, containerd, libvirt, LXC and the network plugins of Kubernetes call them.
_INNER_INTERFACES = (
    "br", "cali", "cilium", "cni", "docker", "dummy", "flannel", "ifb", "kube-", "lxc", "nerdctl", "podman",
    "veth", "virbr", "vxlan",
)  # fmt: skip


def leads_outside(interface: str) -> bool:
    """Whether bytes of an interface go out of its network namespace or come in, told by its name.

    What containers within a container send passes their bridge, their end of a pair and the outer interface: it is
    counted at the last one only.
    """
    return interface != "lo" and not interface.startswith(_INNER_INTERFACES)


def _interfaces(text: bytes) -> Iterator[tuple[str, list[int]]]:
    for line in text.split(b"\n")[2:]:
        name, colon, counters = line.partition(b":")
        if not colon:
            continue
        try:
            fields = [int(field) for field in counters.split()]
        except ValueError:
            fields = []
        if len(fields) < _NET_DEV_FIELDS:
            raise KernelFormatError(f"not a line of /proc/PID/net/dev: {line[:80]!r}")
        yield _interface_name(name.strip()), fields


def _interface_name(name: bytes) -> str:
    """No two the same: what is not printable, and the backslash, are ``\\xNN`` for each byte."""
    text = name.decode("utf-8", "surrogateescape")
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(
        one if one.isprintable() and one != "\\"
        else "".join(f"\\x{byte:02x}" for byte in one.encode("utf-8", "surrogateescape"))
        for one in text
    )  # fmt: skip
