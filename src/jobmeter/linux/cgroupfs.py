"""Text of cgroup files into values: v2 of Documentation/admin-guide/cgroup-v2.rst, v1 of its cgroup-v1 folder."""

from typing import Literal

from jobmeter.model.account import DeviceCount
from jobmeter.model.errors import KernelFormatError
from jobmeter.model.sample import Limit, Stall

# v1 shows "no limit" as the largest page-aligned long; anything near it is no limit.
_V1_UNLIMITED_BYTES = 1 << 62
_MAX = 1 << 64


def parse_number(text: bytes) -> int:
    """A file of one number, as memory.current or cpuacct.usage."""
    try:
        return _whole(text)
    except ValueError:
        raise KernelFormatError(f"not a number: {text[:40]!r}") from None


def _whole(text: bytes) -> int:
    """A whole number as the kernel keeps them, in 64 bits; anything else is a ValueError."""
    value = int(text)
    if abs(value) >= _MAX:
        raise ValueError
    return value


def parse_flat_keyed(text: bytes, *names: bytes) -> list[int | None]:
    """The values of ``names`` in a flat keyed file (cpu.stat, memory.stat, memory.events); None for the absent.

    It is quicker when they are named in the order of the file: each is looked for from where the last one was.
    """
    text = b"\n" + text
    values: list[int | None] = []
    last = 0
    for name in names:
        needle = b"\n" + name + b" "
        found = text.find(needle, last)
        if found < 0 and (found := text.find(needle, 0, last)) < 0:
            values.append(None)
            continue
        last = found
        start = found + len(needle)
        end = text.find(b"\n", start)
        try:
            values.append(_whole(text[start : end if end >= 0 else None]))
        except ValueError:
            raise KernelFormatError(
                f"{name.decode()} is not a number: {text[start : start + 60]!r}"
            ) from None
    return values


def parse_cpuacct_stat(text: bytes) -> tuple[int, int]:
    """User and system time of cpuacct.stat (v1), in clock ticks."""
    try:
        user_name, user, system_name, system = text.split()
        if (user_name, system_name) == (b"user", b"system"):
            return _whole(user), _whole(system)
    except ValueError:
        pass
    raise KernelFormatError(f"not user and system time: {text[:60]!r}")


def parse_pressure(text: bytes) -> Stall:
    """A *.pressure file (Documentation/accounting/psi.rst): the totals, in seconds."""
    totals: dict[bytes, float] = {}
    for line in text.splitlines():
        kind, _, rest = line.partition(b" ")
        _, _, total = rest.partition(b"total=")
        try:
            totals[kind] = _whole(total) / 1e6
        except ValueError:
            raise KernelFormatError(f"not a line of a pressure file: {line[:80]!r}") from None
    return Stall(some_seconds=totals.get(b"some"), full_seconds=totals.get(b"full"))


def parse_io_stat(text: bytes) -> tuple[int, int]:
    """Bytes read and written over all devices of io.stat (v2)."""
    return parse_io_stat_whole(text)[:2]


def parse_io_stat_whole(text: bytes) -> tuple[int, int, int, int]:
    """Bytes read and written, and operations of both kinds, over all devices of io.stat (v2)."""
    sums = dict.fromkeys((b"rbytes", b"wbytes", b"rios", b"wios"), 0)
    for word in text.split():
        key, _, value = word.partition(b"=")
        if key in sums:
            try:
                sums[key] += _whole(value)
            except ValueError:
                raise KernelFormatError(f"not a field of io.stat: {word[:40]!r}") from None
    read, written, reads, writes = sums.values()
    return read, written, reads, writes


def parse_io_stat_devices(text: bytes) -> tuple[tuple[DeviceCount, ...], tuple[DeviceCount, ...]]:
    """Bytes, and operations, of each device of io.stat (v2)."""
    transferred, operations = [], []
    for line in text.splitlines():
        device, _, counters = line.partition(b" ")
        if counters.strip():
            read, written, reads, writes = parse_io_stat_whole(counters)
            name = device.decode("ascii", "replace")
            transferred.append(DeviceCount(name, read, written))
            operations.append(DeviceCount(name, reads, writes))
    return tuple(transferred), tuple(operations)


def parse_blkio_bytes(text: bytes) -> tuple[int, int] | None:
    """Bytes read and written of blkio.throttle.io_service_bytes (v1).

    None when no device is listed: the kernel counts there only for devices with a throttle rule.
    """
    devices = parse_blkio_devices(text)
    return (sum(one.read for one in devices), sum(one.written for one in devices)) if devices else None


def parse_blkio_devices(text: bytes) -> tuple[DeviceCount, ...]:
    """What was read and written of each device of a blkio.throttle file (v1)."""
    counts: dict[bytes, dict[bytes, int]] = {}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) != 3:
            continue
        try:
            counts.setdefault(fields[0], {})[fields[1]] = _whole(fields[2])
        except ValueError:
            raise KernelFormatError(f"not a line of blkio.throttle.io_service_bytes: {line[:60]!r}") from None
    return tuple(
        DeviceCount(device.decode("ascii", "replace"), count.get(b"Read", 0), count.get(b"Write", 0))
        for device, count in counts.items()
    )


def parse_cpu_max(text: bytes) -> Limit:
    """cpu.max (v2), "QUOTA PERIOD" in microseconds, as cores."""
    quota, period = parse_cpu_quota(text)
    return "unlimited" if quota == "unlimited" else quota / period


def parse_cpu_quota(text: bytes) -> tuple[int | Literal["unlimited"], int]:
    """Quota and period of cpu.max (v2) in microseconds."""
    quota, _, period = text.strip().partition(b" ")
    try:
        microseconds = _whole(period or b"100000")
        if microseconds <= 0:
            raise ValueError
        return "unlimited" if quota == b"max" else _whole(quota), microseconds
    except ValueError:
        raise KernelFormatError(f"not a cpu.max: {text[:40]!r}") from None


def parse_cfs_quota(quota: bytes, period: bytes) -> Limit:
    """cpu.cfs_quota_us and cpu.cfs_period_us (v1) as cores; a negative quota is no limit."""
    microseconds, per = parse_number(quota), parse_number(period)
    if microseconds < 0:
        return "unlimited"
    if per <= 0:
        raise KernelFormatError(f"not a period of cpu.cfs_period_us: {period[:40]!r}")
    return microseconds / per


def parse_byte_limit(text: bytes) -> int | Literal["unlimited"]:
    """memory.max (v2) or memory.limit_in_bytes (v1)."""
    if text.strip() == b"max":
        return "unlimited"
    value = parse_number(text)
    return "unlimited" if value >= _V1_UNLIMITED_BYTES else value
