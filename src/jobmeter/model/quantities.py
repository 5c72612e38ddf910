"""Durations, CPU and memory quantities: what a user writes, and what a person reads."""

import math
import re

from jobmeter.model.errors import UsageError
from jobmeter.model.statistics import STATISTIC_DIGITS

_DURATION_UNITS_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(us|µs|ms|s|m|h)")
_QUANTITY = re.compile(r"(\d+(?:\.\d*)?|\.\d+)([a-zA-Z]*)")
_BYTE_UNITS = {"": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50} | {
    "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15,
}  # fmt: skip
_CPU_UNITS = {"": 1.0, "m": 1e-3}
_MAX_QUANTITY = 2.0**63
_MAX_PERCENT = 1e6


def parse_duration(text: str) -> float:
    """Seconds from ``500ms``, ``2s``, ``1m30s`` (the form of Go's time.ParseDuration, without signs)."""
    pieces = list(_DURATION.finditer(text))
    if not pieces or "".join(piece.group() for piece in pieces) != text:
        raise UsageError(f"{text!r} is not a duration; accepted are forms such as 500ms, 2s, 1m30s, 1h")
    seconds = sum(float(piece[1]) * _DURATION_UNITS_SECONDS[piece[2]] for piece in pieces)
    if not math.isfinite(seconds) or seconds > 1e9:
        raise UsageError(f"{text!r} is too long a duration; at most 1e9 seconds are accepted")
    return seconds


def parse_cores(text: str) -> float:
    """Cores from ``2``, ``0.5`` or ``500m`` (Kubernetes notation)."""
    return _parse_quantity(text, _CPU_UNITS, "a CPU quantity", "2, 0.5 or 500m")


def parse_bytes(text: str) -> int:
    """Bytes from ``256Mi``, ``1.5Gi`` (powers of 1024), ``1G`` (powers of 1000) or a plain number."""
    return round(_parse_quantity(text, _BYTE_UNITS, "a memory quantity", "1073741824, 256Mi, 1.5Gi or 1G"))


def _parse_quantity(text: str, units: dict[str, int] | dict[str, float], what: str, accepted: str) -> float:
    match = _QUANTITY.fullmatch(text.strip())
    factor = units.get(match[2]) if match else None
    if match is None or factor is None:
        raise UsageError(f"{text!r} is not {what}; accepted are forms such as {accepted}")
    value = float(match[1]) * factor
    if not value < _MAX_QUANTITY:
        raise UsageError(f"{text!r} is too large for {what}")
    return value


def format_bytes(value: float) -> str:
    """``17.2 MiB``: three significant digits in powers of 1024."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1000 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.3g} {unit}"


def format_duration(seconds: float) -> str:
    """``740 ms``, ``12.3 s``, ``4 m 05 s``, ``2 h 03 m``."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} m"


def format_cores(cores: float) -> str:
    """``1.93``: cores with two decimals, by way of the three that a summary has: one number looks the same everywhere.

    >>> format_cores(0.00498), format_cores(0.005)
    ('0.01', '0.01')
    """
    return f"{round(cores, STATISTIC_DIGITS):.2f}"


def format_change(before: float, after: float) -> str:
    """``+107 %`` or ``-3.5 %`` from one value to another; nothing where there was nothing before."""
    if before <= 0 or after < 0 or not math.isfinite(percent := (after / before - 1) * 100):
        return ""
    if abs(percent) < 0.05:
        return "±0 %"
    if abs(percent) < 9.95:
        return f"{percent:+.1f} %"
    return f"{percent:+,.0f} %" if percent < _MAX_PERCENT else f"{percent:+.3g} %"


def format_percent(ratio: float) -> str:
    """``42 %`` from a ratio of 0 to 1; one decimal below 10 %."""
    percent = ratio * 100
    return f"{percent:.1f} %" if 0 < percent < 9.95 else f"{percent:.0f} %"
