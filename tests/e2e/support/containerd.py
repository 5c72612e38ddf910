"""A containerd of the tests' own; its containers are driven by ctr."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.support.cgroup import own_cgroups, remove_tree
from tests.e2e.support.collectors import wait_until
from tests.e2e.support.components import require_command, require_root
from tests.e2e.support.docker import DYING_WITH_THE_TESTS, busybox_image, hierarchy_root, host_image

BUSYBOX = "localhost/bb:1"
HOST = "localhost/host:1"
NAMESPACES = ("default", "ci", "k8s.io")
CONFIGURATION = """
version = 2
root = "{directory}/root"
state = "{directory}/state"
[grpc]
  address = "{directory}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/bb:1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{directory}/cni"
    conf_dir = "{directory}/cni"
"""


class Containerd:
    """The daemon between `start` and `stop`; containers outlive it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory / "containerd.sock"
        (directory / "config.toml").write_text(CONFIGURATION.format(directory=directory))
        self._daemon: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.directory / "log").open("ab") as log:
            self._daemon = subprocess.Popen(
                [*DYING_WITH_THE_TESTS, "containerd", "--config", str(self.directory / "config.toml")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(lambda: self._ctr("version").returncode == 0, "containerd")

    def stop(self) -> None:
        """End it."""
        if self._daemon is not None:
            self._daemon.terminate()
            self._daemon.wait(30)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._daemon is not None
        os.kill(self._daemon.pid, number)

    def ctr(self, *arguments: str) -> str:
        """Run ctr; what it prints."""
        done = self._ctr(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _ctr(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["ctr", "--address", str(self.socket), *arguments], capture_output=True, text=True, check=False
        )


@contextmanager
def running_containerd(parents: Sequence[str] = ()) -> Iterator[Containerd]:
    """A containerd with both images in each namespace; `parents` are cgroups that its containers are put below."""
    require_root("containerd")
    for command in ("containerd", "ctr", "busybox"):
        require_command(command)
    directory = Path(tempfile.mkdtemp(prefix="jobmeter-containerd-"))
    engine = Containerd(directory)
    try:
        engine.start()
        for name, content in ((BUSYBOX, busybox_image()), (HOST, host_image())):
            archive = directory / "image.tar"
            archive.write_bytes(_archive(name, content))
            for namespace in NAMESPACES:
                engine.ctr("--namespace", namespace, "image", "import", str(archive))
        yield engine
    finally:
        engine.stop()
        for hierarchy in set(own_cgroups().values()):
            for parent in (*NAMESPACES, *parents):
                remove_tree(hierarchy_root(hierarchy) / parent)
        shutil.rmtree(directory, ignore_errors=True)


def _archive(name: str, layer: bytes) -> bytes:
    """An image of one layer in the form that ctr imports."""
    digest = hashlib.sha256(layer).hexdigest()
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{digest}"]}
    sleep = {"Cmd": ["/bin/sleep", "300"]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": sleep, "rootfs": rootfs}).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": [f"{digest}/layer.tar"]}]
    buffer = io.BytesIO()
    with tarfile.TarFile(fileobj=buffer, mode="w") as archive:
        for path, content in (
            (config_name, config),
            (f"{digest}/layer.tar", layer),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
