"""The whole machine, and the meter itself, at one tick."""

import os
import resource
import time
from collections.abc import Callable

from jobmeter.linux import procfs
from jobmeter.model.errors import KernelFormatError
from jobmeter.model.job import Host
from jobmeter.model.sample import HostSample, MeterSample

_READ_BYTES = 65536


class HostReader:
    """Reads /proc/stat, /proc/meminfo and our own status below ``root``.

    A file that cannot be opened is said once and left out.
    """

    def __init__(self, root: str = "/proc", warn: Callable[[str], None] = lambda text: None) -> None:
        self.read_errors = 0
        self._stat = _open(f"{root}/stat", warn)
        self._meminfo = _open(f"{root}/meminfo", warn)
        self._own_status = _open(f"{root}/self/status", lambda text: None)
        self.cpus: int | None = None

    def read(self) -> HostSample:
        """The counters now; None for what cannot be read."""
        cpu, memory = HostSample(), {}
        try:
            if self._stat is not None:
                cpu, self.cpus = procfs.parse_host_stat(os.pread(self._stat, _READ_BYTES, 0))
        except (OSError, KernelFormatError):
            self.read_errors += 1
        try:
            if self._meminfo is not None:
                memory = dict(procfs.parse_meminfo(os.pread(self._meminfo, 4096, 0)))
        except (OSError, KernelFormatError):
            self.read_errors += 1
        return HostSample(
            busy_seconds=cpu.busy_seconds,
            idle_seconds=cpu.idle_seconds,
            steal_seconds=cpu.steal_seconds,
            memory_total_bytes=memory.get("MemTotal"),
            memory_available_bytes=memory.get("MemAvailable"),
        )

    def meter(self, read_errors: int, late_ticks: int) -> MeterSample:
        """What this process has cost so far. ru_maxrss would start at the parent's, so VmHWM is read."""
        peak = None
        try:
            if self._own_status is not None:
                peak = procfs.parse_status_high_water(os.pread(self._own_status, 4096, 0))
        except (OSError, KernelFormatError):
            self.read_errors += 1
        return MeterSample(
            cpu_seconds=round(time.process_time(), 6),
            peak_memory_bytes=peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            read_errors=read_errors,
            late_ticks=late_ticks,
        )

    def describe(self) -> Host:
        """The machine's name, size and kernel."""
        sample = self.read()
        system = os.uname()
        return Host(
            name=system.nodename,
            cpus=self.cpus,
            memory_bytes=sample.memory_total_bytes,
            kernel=system.release,
        )

    def close(self) -> None:
        """Give the descriptors back."""
        for fd in (self._stat, self._meminfo, self._own_status):
            if fd is not None:
                os.close(fd)
        self._stat = self._meminfo = self._own_status = None


def read_boot_id(root: str = "/proc") -> str | None:
    """The id of this boot, within which the monotonic clock can be compared."""
    try:
        with open(f"{root}/sys/kernel/random/boot_id") as file:
            return file.read().strip() or None
    except OSError:
        return None


def _open(path: str, warn: Callable[[str], None]) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        warn(f"{path} cannot be read ({error.strerror}): the numbers of the whole machine are missing.")
        return None
