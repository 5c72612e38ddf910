"""A virtual machine whose kernel has cgroup v2 alone, with all its controllers.

The guest is a kernel package of the distribution and a root file system in memory: busybox, this Python with
msgspec, and this checkout at the paths they have on the host. It needs no privilege and no hardware support.
Each run boots a new guest, which takes a few seconds.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec

from tests.e2e.support.collectors import wait_until
from tests.e2e.support.components import (
    CACHE,
    ROOT,
    SITE_PACKAGES,
    require_cached,
    require_command,
    unavailable,
)
from tests.e2e.support.cpio import CpioWriter
from tests.e2e.support.elf import shared_libraries

QEMU = "qemu-system-x86_64"
# This machine has a HPET. With the PIT alone, a guest on a busy host fails to measure its clock and stops. With a
# thread for each processor, one of some forty guests stands still for ever.
MACHINE = [
    *(QEMU, "-accel", "tcg,thread=single", "-M", "q35"),
    *("-nodefaults", "-nographic", "-no-reboot", "-serial", "stdio"),
]
KERNEL = "kernel/boot/vmlinuz-*"
PYTHON = Path(sys.executable).resolve()
STDLIB = Path(sysconfig.get_path("stdlib"))
NOT_IN_GUEST = {
    *("test", "idlelib", "tkinter", "turtledemo", "lib2to3", "ensurepip", "pydoc_data"),
    *("site-packages", "dist-packages"),
}

INIT = f"""#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm
mount -t tmpfs shm /dev/shm
mount -t cgroup2 none /sys/fs/cgroup
ip link set lo up
echo "+cpu +memory +io +pids" > /sys/fs/cgroup/cgroup.subtree_control
export HOME=/root PATH=/bin PYTHONPATH={ROOT / "src"}:{ROOT}:{SITE_PACKAGES}
cd /root
. /run-once
poweroff -f
"""

ADDRESS = "10.0.2.15"
"""The guest's own, where it has a network."""
DRIVERS = (
    *("virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci"),
    *("failover", "net_failover", "virtio_net", "veth"),
)
"""Of its network and of those of its containers; each after those that it needs."""
NETWORK = f"""
for one in {" ".join(DRIVERS)}; do insmod /drivers/$one.ko || exit; done
ip address add {ADDRESS}/24 dev eth0
ip link set eth0 up
"""

STILL_ALIVE = "still at work after"
# What is still there shortly before the patience ends is told: a guest whose script hangs says where.
RUN_ONCE = """(
    sleep {patience}
    echo "{still_alive} {patience} s:"
    ps -o pid,ppid,stat,args
    for one in /proc/[0-9]*; do echo "$one: $(cat $one/comm) $(cat $one/wchan) $(cat $one/syscall)"; done
) 2>&1 &
echo {marker} begin
sh /script
echo {marker} end $?
"""


Files = Mapping[str, Path | bytes]


class MachineStopped(TimeoutError):
    """The emulated machine itself stands still: not even its clock goes on, whatever ran in it."""


@dataclass(frozen=True)
class VmResult:
    """What a script said inside the guest."""

    stdout: str
    exit_code: int

    def json_lines(self) -> list[Any]:
        """The lines that are JSON objects, decoded."""
        return [json.loads(line) for line in self.stdout.splitlines() if line.startswith("{")]


@dataclass(frozen=True)
class RunningGuest:
    """One whose script reads lines, and answers each with a line that is a JSON object."""

    process: subprocess.Popen[bytes]
    console: Path

    def ask(self, what: str) -> dict[str, Any]:
        """The next answer to this line."""
        before = len(self._answers())
        assert self.process.stdin is not None
        self.process.stdin.write(f"{what}\n".encode())
        self.process.stdin.flush()
        return self.wait(before + 1)

    def wait(self, count: int = 1) -> dict[str, Any]:
        """The last of so many answers, once they are there; the first may be to nothing, when it is ready."""
        try:
            wait_until(lambda: self.process.poll() is not None or len(self._answers()) >= count, "the guest")
            return dict(json.loads(self._answers()[count - 1]))
        except (TimeoutError, IndexError):
            said = self.console.read_text(errors="replace")
            raise RuntimeError(f"the guest does not answer:\n{said}") from None

    def kill(self) -> None:
        """End the machine at once, as a loss of power does."""
        self.process.kill()
        self.process.communicate()

    def _answers(self) -> list[bytes]:
        whole = self.console.read_bytes().rpartition(b"\n")[0]
        return [line for line in whole.splitlines() if line.startswith(b"{")]


@dataclass(frozen=True)
class VirtualMachine:
    """A guest that can be booted any number of times."""

    kernel: Path
    base: Path

    @classmethod
    def prepare(cls) -> VirtualMachine:
        """Find the kernel and make, or reuse, the part of the guest's files that never changes."""
        if platform.machine() != "x86_64":
            unavailable("the virtual machine is of the kind x86_64")
        require_command(QEMU)
        kernel = require_cached(KERNEL)
        return cls(kernel, _base_archive(Path(require_command("busybox"))))

    def run(
        self,
        script: str,
        *,
        files: Files | None = None,
        timeout: float = 120.0,
        memory_mib: int = 1024,
        cpus: int = 1,
        disk_mib: int = 0,
    ) -> VmResult:
        """Boot, run a shell script as root in the root cgroup, and power off.

        `files` maps paths in the guest to files or directories of the host, or to contents. `python3` and
        `jobmeter` are on the guest's PATH, `tests.e2e.support` can be imported. The script's standard output
        and error come back together; to tell them apart, send one to a file. `/dev/nvme0n1` is an empty disk
        where `disk_mib` is not 0.
        """
        marker = f"guest-{uuid4().hex}"
        with (
            self._archive(script, marker, files, patience=int(timeout * 0.6)) as initrd,
            tempfile.NamedTemporaryFile(prefix="jobmeter-disk-") as disk,
        ):
            devices = ["-m", str(memory_mib), "-smp", str(cpus), *_disk(Path(disk.name), disk_mib)]
            try:
                console = self._boot(initrd, timeout, devices)
            except MachineStopped:
                console = self._boot(initrd, timeout, devices)
        return _parse_console(console, marker)

    @contextmanager
    def running(
        self, script: str, console: Path, *, ports: tuple[int, int], files: Files | None = None
    ) -> Iterator[RunningGuest]:
        """Boot as `run` does, with a network; the guest is there until it is killed, at the latest at the end.

        It is `ADDRESS` in a network out of which no way leads. One of its TCP ports is one of this machine's
        loopback: `ports` are the one here and the one there. What it says is written to the file `console`.
        """
        drivers = {
            f"/drivers/{name}.ko": require_cached(f"kernel/drivers/{name}.ko").read_bytes()
            for name in DRIVERS
        }
        here, there = ports
        network = f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{here}-{ADDRESS}:{there}"
        devices = ["-m", "1024", "-netdev", network, "-device", "virtio-net-pci,netdev=net,romfile="]
        with self._archive(f"{NETWORK}{script}", "guest", {**drivers, **(files or {})}) as initrd:
            with console.open("wb") as output:
                process = subprocess.Popen(
                    self._command(initrd, devices), stdin=subprocess.PIPE, stdout=output, stderr=output
                )
            guest = RunningGuest(process, console)
            try:
                yield guest
            finally:
                guest.kill()

    @contextmanager
    def _archive(
        self, script: str, marker: str, files: Files | None, *, patience: int = 3600
    ) -> Iterator[Path]:
        """The guest's files."""
        with tempfile.NamedTemporaryFile(prefix="jobmeter-vm-") as initrd:
            with self.base.open("rb") as base:
                shutil.copyfileobj(base, initrd)
            once = RUN_ONCE.format(marker=marker, still_alive=STILL_ALIVE, patience=patience)
            _write_changing_part(CpioWriter(initrd), script, once, files or {})
            initrd.flush()
            yield Path(initrd.name)

    def _boot(self, initrd: Path, timeout: float, devices: list[str]) -> str:
        try:
            done = subprocess.run(
                self._command(initrd, devices), stdin=subprocess.DEVNULL, capture_output=True,
                timeout=timeout, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            console = (error.stdout or b"").decode(errors="replace")
            kind = TimeoutError if STILL_ALIVE in console else MachineStopped
            raise kind(f"the guest did not end within {timeout} s:\n{console}") from None
        return done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")

    def _command(self, initrd: Path, devices: list[str]) -> list[str]:
        return [
            *MACHINE,
            *devices,
            *("-kernel", str(self.kernel), "-initrd", str(initrd)),
            *("-append", "console=ttyS0 loglevel=0 panic=-1 mitigations=off"),
        ]


def _disk(path: Path, mib: int) -> list[str]:
    """Arguments for an empty disk, of which the guest's kernel has the driver within."""
    if not mib:
        return []
    os.truncate(path, mib << 20)
    return ["-drive", f"file={path},format=raw,if=none,id=disk", "-device", "nvme,serial=1,drive=disk"]


def _write_changing_part(archive: CpioWriter, script: str, once: str, files: Files) -> None:
    with archive:
        # With the bytecode that is there: to compile a daemon takes an emulated machine seconds.
        archive.copy_tree(ROOT / "src", ROOT / "src")
        archive.copy_tree(ROOT / "tests/e2e/support", ROOT / "tests/e2e/support")
        archive.file("/script", script.encode())
        archive.file("/run-once", once.encode())
        for path, content in files.items():
            if isinstance(content, bytes):
                archive.file(path, content)
            else:
                archive.copy_tree(content, path)


def _parse_console(console: str, marker: str) -> VmResult:
    text = console.replace("\r\n", "\n")
    _, begun, rest = text.partition(f"{marker} begin\n")
    stdout, ended, exit_code = rest.partition(f"{marker} end ")
    if not begun or not ended:
        raise RuntimeError(f"the guest did not run the script to its end:\n{text}")
    return VmResult(stdout, int(exit_code.split()[0]))


def _base_archive(busybox: Path) -> Path:
    """The cached archive of what stays the same from run to run."""
    made_from = [PYTHON, sys.version, SITE_PACKAGES, msgspec.__version__, busybox.stat(), INIT, _source()]
    path = CACHE / f"guest-{hashlib.sha256(repr(made_from).encode()).hexdigest()[:16]}.cpio"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{uuid4().hex}")
        with unfinished.open("wb") as stream, CpioWriter(stream) as archive:
            _write_base(archive, busybox)
        unfinished.replace(path)
    return path


def _write_base(archive: CpioWriter, busybox: Path) -> None:
    for directory in ("proc", "sys", "dev", "tmp", "run", "root", "etc"):
        archive.directory(f"/{directory}")
    archive.file("/init", INIT.encode(), executable=True)
    archive.file("/bin/jobmeter", b'#!/bin/sh\nexec python3 -m jobmeter "$@"\n', executable=True)
    _write_busybox(archive, busybox)
    _write_python(archive)
    programs = [busybox, PYTHON, *STDLIB.glob("lib-dynload/*.so"), *_msgspec().glob("*.so")]
    for library in sorted(shared_libraries(*programs)):
        archive.copy(library, library)


def _write_busybox(archive: CpioWriter, busybox: Path) -> None:
    archive.copy(busybox, "/bin/busybox")
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in sorted(set(applets) - {"busybox"}):
        archive.link(f"/bin/{applet}", "busybox")


def _write_python(archive: CpioWriter) -> None:
    archive.copy(PYTHON, PYTHON)
    for name in {"/bin/python3", "/usr/bin/python3"} - {str(PYTHON)}:
        archive.link(name, PYTHON)
    archive.copy_tree(STDLIB, STDLIB, skip=_not_in_guest)
    archive.copy_tree(_msgspec(), SITE_PACKAGES / "msgspec")


def _source() -> str:
    """The text that says how the archive is made."""
    return Path(__file__).read_text()


def _msgspec() -> Path:
    return Path(msgspec.__file__).parent


def _not_in_guest(path: Path) -> bool:
    optimized = ".opt-" in path.name
    return optimized or path.parts[0] in NOT_IN_GUEST or path.parts[0].startswith("config-")
