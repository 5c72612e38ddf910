"""A Docker daemon that belongs to the tests: its own data, socket and network namespace.

Containers are driven by the docker command. Two images are made from nothing: `BUSYBOX` holds busybox alone,
`HOST` is a tree of links that becomes the host's whole toolchain once the host's /usr and /etc are mounted.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.e2e.support.cgroup import own_cgroups, remove_tree
from tests.e2e.support.components import JOBMETER, SOURCE, require_command, require_root
from tests.e2e.support.elf import shared_libraries

BUSYBOX = "bb:1"
HOST = "host:1"

START_SECONDS = 30.0
STOP_SECONDS = 30.0

IN_OWN_NETWORK = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
DYING_WITH_THE_TESTS = ["setpriv", "--pdeathsig", "TERM"]

Output = subprocess.CompletedProcess[str]

_DAEMON_NEEDS = ("SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "SYS_CHROOT", "MKNOD")
_INNER_SOCKET = "unix:///run/docker.sock"
_INNER_DAEMON = f"""
for directory in /sys/fs/cgroup /sys/fs/cgroup/*/; do mount -o remount,bind,rw "$directory"; done
exec dockerd --host={_INNER_SOCKET} --bridge=none --iptables=false --ip-forward=false --storage-driver=vfs \
  --data-root=/var/lib/docker --exec-root=/run/docker --pidfile=/run/docker.pid
"""


@dataclass(frozen=True)
class Container:
    """A container that runs, or ran, in the background."""

    engine: DockerEngine
    id: str
    name: str

    @property
    def pid(self) -> int:
        """The host's pid of its first process; 0 when it has ended."""
        return int(self.inspect()["State"]["Pid"])

    def exec(self, *argv: str, flags: Sequence[str] = (), check: bool = True) -> Output:
        """Run one more command inside, as a runner starts a step, and wait for it."""
        return self.engine.docker("exec", *flags, self.id, *argv, check=check)

    def inspect(self) -> dict[str, Any]:
        """What the engine knows about it."""
        (answer,) = json.loads(self.engine.docker("inspect", self.id).stdout)
        return dict(answer)

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        return int(self.engine.docker("wait", self.id).stdout)

    def logs(self) -> str:
        """Standard output, then standard error, up to now."""
        done = self.engine.docker("logs", self.id)
        return done.stdout + done.stderr

    def kill(self, signal: str = "KILL") -> None:
        """Send a signal to its first process."""
        self.engine.docker("kill", f"--signal={signal}", self.id)

    def stop(self, grace_seconds: int = 10) -> int:
        """SIGTERM, and SIGKILL after the grace period, as at the end of a job; its exit code."""
        self.engine.docker("stop", f"--time={grace_seconds}", self.id)
        return self.wait()

    def remove(self) -> None:
        """Kill and forget it."""
        self.engine.docker("rm", "--force", "--volumes", self.id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


@dataclass(frozen=True)
class InnerEngine:
    """A daemon in a container of another daemon: Docker-in-Docker. Its containers have no network."""

    container: Container

    def docker(self, *arguments: str, stdin: bytes | None = None, check: bool = True) -> Output:
        """Run the docker command against it."""
        interactive = [] if stdin is None else ["--interactive"]
        command = ["exec", *interactive, self.container.id, "docker", "--host", _INNER_SOCKET, *arguments]
        return self.container.engine.docker(*command, stdin=stdin, check=check)

    def spawn(self, *argv: str, flags: Sequence[str] = ()) -> str:
        """Start a command in a new container of `BUSYBOX` in the background; the container's id."""
        done = self.docker("run", "--detach", "--network=none", *flags, BUSYBOX, *argv)
        return done.stdout.strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.docker("kill", *self.docker("ps", "--quiet").stdout.split(), check=False)
        self.container.remove()


@dataclass
class DockerEngine:
    """A daemon between `start` and `stop`. Containers have no network unless one is named."""

    directory: Path
    _daemon: subprocess.Popen[bytes] | None = None
    _cgroup_parents: set[str] = field(default_factory=lambda: {"/docker"})

    # --- life

    @classmethod
    def start(cls) -> DockerEngine:
        """Start a daemon and import the images."""
        require_root("a Docker daemon")
        for command in ("docker", "dockerd", "ip", "iptables", "busybox"):
            require_command(command)
        engine = cls(Path(tempfile.mkdtemp(prefix="jobmeter-docker-")))
        try:
            engine._start_daemon()
            engine._import(BUSYBOX, busybox_image())
            engine._import(HOST, host_image())
        except BaseException:
            engine.stop()
            raise
        return engine

    def stop(self) -> None:
        """Remove all containers, end the daemon, remove its files and the cgroups that it leaves behind."""
        if self._daemon is not None:
            if self._daemon.poll() is None:
                self._remove_containers()
                self._daemon.terminate()
            self._daemon.wait(STOP_SECONDS)
        for hierarchy in set(own_cgroups().values()):
            for parent in self._cgroup_parents:
                remove_tree(hierarchy_root(hierarchy) / parent.lstrip("/"))
        shutil.rmtree(self.directory, ignore_errors=True)

    # --- containers

    def docker(self, *arguments: str, stdin: bytes | None = None, check: bool = True) -> Output:
        """Run the docker command against this daemon; its output is text."""
        command = ["docker", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, env=self.environment(), check=False)
        stdout, stderr = (stream.decode(errors="replace") for stream in (done.stdout, done.stderr))
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {stderr.strip()}")
        return subprocess.CompletedProcess(command, done.returncode, stdout, stderr)

    def run(
        self, image: str, *argv: str, flags: Sequence[str] = (), network: str = "none", check: bool = True
    ) -> Output:
        """Run a command in a new container to its end (`docker run --rm`)."""
        return self.docker("run", "--rm", *self._flags(image, flags, network), image, *argv, check=check)

    def spawn(
        self,
        image: str,
        *argv: str,
        flags: Sequence[str] = (),
        name: str | None = None,
        network: str = "none",
    ) -> Container:
        """Start a command in a new container in the background (`docker run --detach`)."""
        named = ["--name", name] if name else []
        done = self.docker("run", "--detach", *named, *self._flags(image, flags, network), image, *argv)
        container = done.stdout.strip()
        return Container(self, container, name or container)

    def spawn_engine(
        self, *, nested: bool = True, flags: Sequence[str] = (), name: str | None = None
    ) -> InnerEngine:
        """Start a daemon in a container. `nested`: its containers' cgroups lie in its own, else beside it."""
        place = ["--cgroupns=private"] if nested else ["--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw"]
        rights = [f"--cap-add={one}" for one in _DAEMON_NEEDS]
        rights += ["--security-opt=seccomp=unconfined", "--device-cgroup-rule=a *:* rwm"]
        disks = [f"--tmpfs={path}:exec" for path in ("/var/lib/docker", "/run", "/tmp")]
        made = self.spawn(HOST, "sh", "-c", _INNER_DAEMON, flags=[*place, *rights, *disks, *flags], name=name)
        inner = InnerEngine(made)
        deadline = time.monotonic() + START_SECONDS
        while inner.docker("version", check=False).returncode != 0:
            if time.monotonic() > deadline:
                raise RuntimeError(f"dockerd within a container did not start:\n{made.logs()[-2000:]}")
            time.sleep(0.1)
        inner.docker("import", "-", BUSYBOX, stdin=busybox_image())
        return inner

    def run_collector(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        flags: Sequence[str] = (),
        name: str | None = None,
        network: str = "none",
    ) -> Container:
        """Start `jobmeter collector ARGUMENTS` of this checkout in a container of its own, in the background.

        `flags` are those of `docker run`, such as `--pid=container:job`, `--cap-add=SYS_PTRACE`,
        `--user=1000` or `--volume=/sys/fs/cgroup:/host/cgroup:ro`. Checkout and interpreter lie at the paths
        that they have on the host.
        """
        variables = {"PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1"} | dict(env or {})
        mounts = [f"--volume={path}:{path}:ro" for path in _interpreter_paths()]
        settings = [f"--env={key}={value}" for key, value in variables.items()]
        command = [*JOBMETER, "collector", *arguments]
        return self.spawn(HOST, *command, flags=[*mounts, *settings, *flags], name=name, network=network)

    def environment(self) -> dict[str, str]:
        """The caller's environment, with docker clients pointed at this daemon."""
        return os.environ | {"DOCKER_HOST": self.url}

    @property
    def url(self) -> str:
        """The address of the daemon's API."""
        return f"unix://{self.directory}/docker.sock"

    @property
    def pid(self) -> int:
        """The daemon's process, in whose network namespace published ports are."""
        assert self._daemon is not None
        return self._daemon.pid

    def log(self) -> str:
        """What the daemon wrote."""
        return (self.directory / "log").read_text(errors="replace")

    # --- inside

    def _start_daemon(self) -> None:
        command = [
            *DYING_WITH_THE_TESTS,
            *IN_OWN_NETWORK,
            "dockerd",
            f"--data-root={self.directory}/data",
            f"--exec-root={self.directory}/exec",
            f"--pidfile={self.directory}/pid",
            f"--host={self.url}",
        ]
        with (self.directory / "log").open("wb") as log:
            self._daemon = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while self.docker("version", check=False).returncode != 0:
            if self._daemon.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"dockerd did not start:\n{self.log()[-2000:]}")
            time.sleep(0.05)

    def _import(self, image: str, archive: bytes) -> None:
        self.docker("import", "-", image, stdin=archive)

    def _remove_containers(self) -> None:
        containers = self.docker("ps", "--all", "--quiet").stdout.split()
        if containers:
            self.docker("rm", "--force", "--volumes", *containers, check=False)

    def _flags(self, image: str, flags: Sequence[str], network: str) -> list[str]:
        for flag in flags:
            if flag.startswith("--cgroup-parent="):
                self._cgroup_parents.add("/" + flag.split("=", 1)[1].strip("/").split("/")[0])
        mounts = ["--volume=/usr:/usr:ro", "--volume=/etc:/etc:ro"] if image == HOST else []
        namespace = [] if any(flag.startswith("--network") for flag in flags) else [f"--network={network}"]
        return [*mounts, *namespace, *flags]


def _interpreter_paths() -> list[Path]:
    """What the interpreter and jobmeter need beyond /usr."""
    paths = {SOURCE, Path(sys.prefix), Path(sys.base_prefix)}
    return sorted(path for path in paths if not path.is_relative_to("/usr"))


def hierarchy_root(directory: Path) -> Path:
    """The mount point of the cgroup hierarchy that holds `directory`."""
    while not directory.is_mount():
        directory = directory.parent
    return directory


def busybox_image() -> bytes:
    """A root file system of busybox alone, as a tar archive."""
    busybox = Path(require_command("busybox"))
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    with _Image() as image:
        image.directories("bin", "proc", "sys", "dev", "tmp", "etc", "root")
        image.file("bin/busybox", busybox)
        for library in shared_libraries(busybox):
            image.file(str(library).lstrip("/"), library)
        for applet in set(applets) - {"busybox"}:
            image.link(f"bin/{applet}", "busybox")
    return image.content()


def host_image() -> bytes:
    """A root file system of links into the host's /usr, which is to be mounted, as a tar archive."""
    with _Image() as image:
        image.directories("usr", "etc", "proc", "sys", "dev", "tmp", "root", "run", "var", "src")
        for name in ("bin", "sbin", "lib", "lib64"):
            image.link(name, f"usr/{name}")
    return image.content()


class _Image:
    """A root file system as a tar archive in memory."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.TarFile(fileobj=self._buffer, mode="w")

    def directories(self, *names: str) -> None:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.type = tarfile.DIRTYPE
            entry.mode = 0o1777 if name == "tmp" else 0o755
            self._tar.addfile(entry)

    def file(self, name: str, source: Path) -> None:
        content = source.read_bytes()
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        entry.mode = 0o755
        self._tar.addfile(entry, io.BytesIO(content))

    def link(self, name: str, target: str) -> None:
        entry = tarfile.TarInfo(name)
        entry.type = tarfile.SYMTYPE
        entry.linkname = target
        self._tar.addfile(entry)

    def content(self) -> bytes:
        return self._buffer.getvalue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._tar.close()
