"""A /proc of a few files in a temporary folder, rewritten in place between two readings."""

from __future__ import annotations

import gc
import shutil
from pathlib import Path
from typing import Any

from tests.support.kernel import stat_line

SIGCHLD_BIT = 0x10000


class FakeHost:
    """Processes with stat, comm, status and cgroup; ``root`` stands for /proc.

    A reader keeps descriptors, so files are rewritten in place: a descriptor of a process that is
    ``remove``d goes on answering, only the listing tells. One that is ``vanish``ing is still listed, but
    its files are empty.
    """

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self._root = root
        self._fields: dict[int, dict[str, Any]] = {}
        self.machine()
        (root / "self").mkdir()

    def put(
        self,
        pid: int,
        *,
        cgroup: str = "0::/\n",
        ignores_sigchld: bool = False,
        peak_kb: int | None = None,
        **fields: Any,
    ) -> None:
        """Make or change a process; ``fields`` are those of stat_line and are kept from one call to the next."""
        known = self._fields.setdefault(pid, {})
        known.update(fields)
        directory = self._root / str(pid)
        directory.mkdir(exist_ok=True)
        _rewrite(directory / "stat", stat_line(pid, **known))
        _rewrite(directory / "comm", f"{known.get('name', 'work')}\n".encode())
        status = (
            f"Name:\t{known.get('name', 'work')}\nSigIgn:\t{SIGCHLD_BIT if ignores_sigchld else 0:016x}\n"
        )
        if peak_kb is not None:
            status += f"VmHWM:\t{peak_kb:8} kB\n"
        _rewrite(directory / "status", status.encode())
        _rewrite(directory / "cgroup", cgroup.encode())

    def remove(self, pid: int) -> None:
        """The process is gone and was so when /proc is listed."""
        del self._fields[pid]
        shutil.rmtree(self._root / str(pid))

    def vanish(self, pid: int) -> None:
        """The process goes between the listing and the reading."""
        _rewrite(self._root / str(pid) / "stat", b"")

    def machine(
        self, *, busy: int = 0, idle: int = 0, total_kb: int = 8192, available_kb: int = 4096
    ) -> None:
        """/proc/stat in clock ticks and /proc/meminfo."""
        _rewrite(self._root / "stat", f"cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 0\ncpu1 0\n".encode())
        _rewrite(
            self._root / "meminfo", f"MemTotal: {total_kb} kB\nMemAvailable: {available_kb} kB\n".encode()
        )


def _rewrite(path: Path, text: bytes) -> None:
    with path.open("r+b" if path.exists() else "wb") as file:
        file.write(text)
        file.truncate()


def open_descriptors() -> int:
    """How many descriptors this process holds, without those of garbage that other tests have left."""
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))
