"""A Podman of the tests' own, with its service, which speaks Docker's API."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.support.cgroup import own_cgroups, remove_tree
from tests.e2e.support.collectors import wait_until
from tests.e2e.support.components import require_command, require_root
from tests.e2e.support.docker import DYING_WITH_THE_TESTS, busybox_image, hierarchy_root, host_image

BUSYBOX = "localhost/bb:1"
HOST = "localhost/host:1"
CGROUPS = "libpod_parent"
"""Below it lie the cgroups of pods and containers."""
# Root may not raise limits on every machine; the file of a real host decides nothing here.
CONFIGURATION = """
[containers]
default_ulimits = ["nofile=1024:4096", "nproc=1024:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


class Podman:
    """Called with the arguments of the command; what it prints."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory / "podman.sock"
        (directory / "containers.conf").write_text(CONFIGURATION)
        self._service: subprocess.Popen[bytes] | None = None

    def __call__(self, *arguments: str, stdin: bytes | None = None) -> str:
        done = subprocess.run(
            [*self._command(), *arguments],
            input=stdin,
            capture_output=True,
            env=self._environment(),
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def run(self, *arguments: str) -> str:
        """`podman run` of an image without a network; flags come first."""
        return self("run", "--network=none", *arguments)

    def serve(self) -> None:
        """Start the service."""
        command = [
            *DYING_WITH_THE_TESTS,
            *self._command(),
            "system",
            "service",
            "--time=0",
            f"unix://{self.socket}",
        ]
        with (self.directory / "log").open("ab") as log:
            self._service = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment()
            )

    def leave(self) -> None:
        """End the service; containers live on."""
        if self._service is not None:
            self._service.kill()
            self._service.wait()
            self.socket.unlink(missing_ok=True)

    def _command(self) -> list[str]:
        root = self.directory
        return [
            "podman",
            *(f"--root={root}/root", f"--runroot={root}/run", f"--tmpdir={root}/tmp"),
            *("--cgroup-manager=cgroupfs", "--events-backend=file", "--storage-driver=vfs", "--runtime=runc"),
        ]

    def _environment(self) -> dict[str, str]:
        return os.environ | {"CONTAINERS_CONF": str(self.directory / "containers.conf")}


@contextmanager
def running_podman() -> Iterator[Podman]:
    """Podman with both images and its service; removed at the end with all containers and pods."""
    require_root("Podman with a data directory of its own")
    for command in ("podman", "runc", "catatonit", "busybox"):
        require_command(command)
    directory = Path(tempfile.mkdtemp(prefix="jobmeter-podman-"))
    engine = Podman(directory)
    try:
        engine("import", "-", BUSYBOX, stdin=busybox_image())
        engine("import", "-", HOST, stdin=host_image())
        engine.serve()
        yield engine
    finally:
        engine("rm", "--all", "--force", "--time=0")
        engine("pod", "rm", "--all", "--force", "--time=0")
        engine.leave()
        parents = {hierarchy_root(own) / CGROUPS for own in own_cgroups().values()}
        wait_until(lambda: all(remove_tree(parent) for parent in parents), "the end of Podman's monitors")
        shutil.rmtree(directory, ignore_errors=True)
