"""A disk of a test's own, which becomes full, or cannot be written to, when the test says so."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.support.components import require_root, unavailable

_PIECE = 4096


class SmallDisk:
    """At ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave no room on it."""
        with self._ballast.open("ab", 0) as file:
            try:
                while file.write(bytes(_PIECE)):
                    pass
            except OSError:
                return

    def free(self) -> None:
        """There is room again."""
        self._ballast.unlink()

    def lock(self) -> None:
        """From now on it can only be read."""
        subprocess.run(["mount", "-o", "remount,ro", self.folder], check=True)

    def unlock(self) -> None:
        """It can be written to again."""
        subprocess.run(["mount", "-o", "remount,rw", self.folder], check=True)


@contextmanager
def small_disk(folder: Path, size: str = "1m") -> Iterator[SmallDisk]:
    """At a folder, which is made if need be; files that are open in it stay so at the end."""
    require_root("a disk of the test's own")
    folder.mkdir(mode=0o755, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", str(folder)]
    if subprocess.run(mount, stderr=subprocess.DEVNULL, check=False).returncode:
        unavailable("no tmpfs can be mounted here")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
