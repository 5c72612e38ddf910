"""The machine below all containers, as far as series tell of it: what it has, and what it uses."""

import errno
import math
import os
import time
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from msgspec import Struct

from jobmeter.linux import cgroupfs, procfs
from jobmeter.linux.files import read_whole
from jobmeter.model.errors import KernelFormatError
from jobmeter.model.sample import Stall

_WOBBLE_SECONDS: Final = 3.0
"""By less than that the kernel's account of a CPU mode may fall, and rise again."""
_ABSENT: Final = (errno.ENOENT, errno.ENOTDIR, errno.EOPNOTSUPP)
"""What a kernel answers that has no such file, or does not keep the account (psi=0)."""

_Parsed = TypeVar("_Parsed")


class Machine(Struct, frozen=True, kw_only=True):
    """What it has, and by which names it is known; None, and an empty name, where it cannot be told.

    ``booted`` is in seconds since 1970.
    """

    cpus: int | None = None
    memory_bytes: int | None = None
    swap_bytes: int | None = None
    booted: int | None = None
    machine_id: str = ""
    system_uuid: str = ""
    boot_id: str = ""


def read_machine(proc: str = "/proc", sys: str = "/sys") -> Machine:
    """Of proc_stat(5), proc_meminfo(5), machine-id(5) and the firmware's tables."""
    stat, meminfo = _read(f"{proc}/stat"), _read(f"{proc}/meminfo")
    try:
        cpus: int | None = procfs.parse_host_stat(stat)[1]
        booted = procfs.parse_boot_time(stat)
    except KernelFormatError:
        cpus = booted = None
    try:
        memory = dict(procfs.parse_meminfo(meminfo))
    except KernelFormatError:
        memory = {}
    return Machine(
        cpus=cpus,
        memory_bytes=memory.get("MemTotal"),
        swap_bytes=memory.get("SwapTotal"),
        booted=booted,
        # The first process has the host's files, also where we see only a container's.
        machine_id=_line(f"{proc}/1/root/etc/machine-id"),
        system_uuid=_line(f"{sys}/class/dmi/id/product_uuid"),
        boot_id=_line(f"{proc}/sys/kernel/random/boot_id"),
    )


class MachineUse(Struct, frozen=True, kw_only=True):
    """The counters of the whole machine, and its memory, at one moment; what could not be read is left out.

    ``cpu_seconds`` are of all CPUs together, by mode; ``pressure_seconds`` by resource, and ``some`` or ``full``.
    ``cpus`` are those that are online, ``booted`` is in seconds since 1970.
    """

    cpu_seconds: Mapping[str, float] = {}
    cpus: int | None = None
    memory_total_bytes: int | None = None
    memory_available_bytes: int | None = None
    swap_total_bytes: int | None = None
    swap_free_bytes: int | None = None
    pressure_seconds: Mapping[tuple[str, str], float] = {}
    booted: int | None = None


class MachineReader:
    """Reads five files below ``root``, which is /proc. ``errors`` counts the readings that failed, by kind.

    Sources: proc_stat(5), proc_meminfo(5), Documentation/accounting/psi.rst.
    """

    def __init__(
        self, root: str, errors: dict[str, int], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._root = root
        self._errors = errors
        self._monotonic = monotonic
        self._read_at = -math.inf
        self._shown: dict[str, float] = {}
        self._missing: dict[str, float] = {}

    def read(self) -> MachineUse:
        """What the kernel says now."""
        stat = self._text("stat")
        memory = self._parsed(procfs.parse_meminfo, self._text("meminfo")) or {}
        counted = self._parsed(procfs.parse_host_stat, stat)
        cpus = counted[1] if counted is not None else None
        return MachineUse(
            cpu_seconds=self._possible(self._parsed(procfs.parse_cpu_modes, stat) or {}, cpus or 1),
            cpus=cpus,
            memory_total_bytes=memory.get("MemTotal"),
            memory_available_bytes=memory.get("MemAvailable"),
            swap_total_bytes=memory.get("SwapTotal"),
            swap_free_bytes=memory.get("SwapFree"),
            pressure_seconds=self._pressure(),
            booted=self._parsed(procfs.parse_boot_time, stat),
        )

    def _pressure(self) -> Mapping[tuple[str, str], float]:
        """Of the machine there is no time in which all work waited for a CPU: the kernel writes 0 there."""
        found: dict[tuple[str, str], float | None] = {}
        for resource in ("cpu", "memory", "io"):
            stall = self._parsed(cgroupfs.parse_pressure, self._text(f"pressure/{resource}")) or Stall()
            found[resource, "some"] = stall.some_seconds
            found[resource, "full"] = stall.full_seconds if resource != "cpu" else None
        return {key: seconds for key, seconds in found.items() if seconds is not None}

    def _possible(self, modes: Mapping[str, float], cpus: int) -> Mapping[str, float]:
        """Idle time and waiting for disks may fall a little (proc_stat(5)).

        A CPU that is taken away takes its time with it, and brings all of it when it comes back: what cannot have
        passed in any mode since the last reading has not.
        """
        now = self._monotonic()
        most, self._read_at = (now - self._read_at) * cpus + _WOBBLE_SECONDS, now
        for mode, seconds in modes.items():
            shown = self._shown.get(mode, 0.0)
            missing = self._missing.get(mode, 0.0)
            if not -_WOBBLE_SECONDS < seconds + missing - shown <= most:
                missing = self._missing[mode] = shown - seconds
            self._shown[mode] = max(shown, round(seconds + missing, 6))
        return {mode: self._shown[mode] for mode in modes}

    def _text(self, name: str) -> bytes:
        """Empty where there is none."""
        doing = "open"
        try:
            fd = os.open(f"{self._root}/{name}", os.O_RDONLY | os.O_CLOEXEC)
            doing = "read"
            try:
                return read_whole(fd)
            finally:
                os.close(fd)
        except OSError as error:
            if error.errno not in _ABSENT:
                self._failed(doing)
        except KernelFormatError:
            self._failed("format")
        return b""

    def _parsed(self, parse: Callable[[bytes], _Parsed], text: bytes) -> _Parsed | None:
        try:
            return parse(text) if text else None
        except KernelFormatError:
            self._failed("format")
            return None

    def _failed(self, kind: str) -> None:
        self._errors[kind] = self._errors.get(kind, 0) + 1


def _line(path: str) -> str:
    return _read(path)[:256].decode("utf-8", "replace").strip()


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(65536)
    except OSError:
        return b""
