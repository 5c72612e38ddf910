"""A /proc whose processes also show their environment and their mounts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.support.fake_host import FakeHost

ENGINE_MOUNTS = "20 1 8:1 / / rw - ext4 /dev/vda rw\n25 20 0:22 / /run rw - tmpfs tmpfs rw\n"
"""Of the host: its engines' sockets are in /run."""


class Processes:
    """`host.root` stands for /proc."""

    def __init__(self, root: Path) -> None:
        self.host = FakeHost(root)
        self._root = root
        (root / "self" / "mountinfo").write_text(ENGINE_MOUNTS)

    def put(
        self,
        pid: int,
        cgroup: str,
        *,
        parent: int = 1,
        environ: Mapping[str, str] | bytes = b"",
        mounts: str = "",
        name: str = "sh",
    ) -> None:
        """A process in this cgroup of each hierarchy; mounts are lines of mountinfo."""
        if not isinstance(environ, bytes):
            environ = b"".join(f"{name}={value}\0".encode() for name, value in environ.items())
        self.host.put(pid, parent=parent, cgroup=f"2:cpuacct:{cgroup}\n0::{cgroup}\n")
        (self._root / str(pid) / "environ").write_bytes(environ)
        (self._root / str(pid) / "mountinfo").write_text(mounts)
        (self._root / str(pid) / "comm").write_text(f"{name}\n")
