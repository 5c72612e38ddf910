"""Text of cgroup files into values: v2 of Documentation/admin-guide/cgroup-v2.rst, v1 of its cgroup-v1 folder."""

from jobmeter.model.errors import KernelFormatError
from jobmeter.model.sample import ByteLimit, Limit, Stall

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
    """The values of ``names`` in a flat keyed file (cpu.stat, memory.stat, memory.events); None for the absent."""
    return [_value_of(text, name) for name in names]


def _value_of(text: bytes, name: bytes) -> int | None:
    needle = name + b" "
    start = 0 if text.startswith(needle) else text.find(b"\n" + needle) + 1
    if start == 0 and not text.startswith(needle):
        return None
    end = text.find(b"\n", start)
    try:
        return _whole(text[start + len(needle) : end if end >= 0 else None])
    except ValueError:
        raise KernelFormatError(f"{name.decode()} is not a number: {text[start : start + 60]!r}") from None


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


def parse_blkio_bytes(text: bytes) -> tuple[int, int] | None:
    """Bytes read and written of blkio.throttle.io_service_bytes (v1).

    None when no device is listed: the kernel counts there only for devices with a throttle rule.
    """
    read = written = 0
    devices = False
    for line in text.splitlines():
        fields = line.split()
        if len(fields) != 3:
            continue
        devices = True
        try:
            count = _whole(fields[2])
        except ValueError:
            raise KernelFormatError(f"not a line of blkio.throttle.io_service_bytes: {line[:60]!r}") from None
        if fields[1] == b"Read":
            read += count
        elif fields[1] == b"Write":
            written += count
    return (read, written) if devices else None


def parse_cpu_max(text: bytes) -> Limit:
    """cpu.max (v2), "QUOTA PERIOD" in microseconds, as cores."""
    quota, _, period = text.strip().partition(b" ")
    if quota == b"max":
        return "unlimited"
    try:
        return _whole(quota) / _whole(period or b"100000")
    except (ValueError, ZeroDivisionError):
        raise KernelFormatError(f"not a cpu.max: {text[:40]!r}") from None


def parse_cfs_quota(quota: bytes, period: bytes) -> Limit:
    """cpu.cfs_quota_us and cpu.cfs_period_us (v1) as cores; a negative quota is no limit."""
    microseconds, per = parse_number(quota), parse_number(period)
    if microseconds < 0:
        return "unlimited"
    if per <= 0:
        raise KernelFormatError(f"not a period of cpu.cfs_period_us: {period[:40]!r}")
    return microseconds / per


def parse_byte_limit(text: bytes) -> ByteLimit:
    """memory.max (v2) or memory.limit_in_bytes (v1)."""
    if text.strip() == b"max":
        return "unlimited"
    value = parse_number(text)
    return "unlimited" if value >= _V1_UNLIMITED_BYTES else value
