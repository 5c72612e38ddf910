"""The machine below all containers, as far as series tell of it."""

from msgspec import Struct

from jobmeter.linux import procfs
from jobmeter.model.errors import KernelFormatError


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


def _line(path: str) -> str:
    return _read(path)[:256].decode("utf-8", "replace").strip()


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(65536)
    except OSError:
        return b""
