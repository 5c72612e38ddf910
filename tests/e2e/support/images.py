"""The images of `deploy/`, built without a registry or a package index.

Their base is made here: busybox, this Python, and the wheels of the pinned packages, where pip looks for them
instead of at an index.
"""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import sys
import sysconfig
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.e2e.support.components import CACHE, ROOT, SITE_PACKAGES, require_cached, require_command
from tests.e2e.support.docker import Container, DockerEngine, Output
from tests.e2e.support.elf import shared_libraries

BASE = "base:1"
EXPORTER = "jobmeter-exporter"
GATEWAY = "jobmeter-gateway"
DEPLOY_PAGE = "docs/deploy.md"
COMPOSE = ROOT / "deploy/compose/stress.yaml"
WHEELS = "/wheelhouse"
PYTHON = Path(sys.executable).resolve()
STDLIB = Path(sysconfig.get_path("stdlib"))
NOT_NEEDED = (
    "test",
    "idlelib",
    "tkinter",
    "turtledemo",
    "lib2to3",
    "site-packages",
    "dist-packages",
    "__pycache__",
)

Filter = Callable[[tarfile.TarInfo], tarfile.TarInfo | None]


class Stress:
    """The stress test's project: `docker-compose -f deploy/compose/stress.yaml`, with images built of `BASE`."""

    def __init__(self, engine: DockerEngine) -> None:
        require_command("docker-compose")
        import_base(engine)
        self.engine = engine

    def compose(self, *arguments: str) -> Output:
        """Run docker-compose on the file and return what it printed."""
        command = ["docker-compose", "--file", str(COMPOSE), *arguments]
        environ = self.engine.environment() | {"BASE": BASE}
        done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done

    def container(self, service: str) -> Container:
        """The container of a service, started or not."""
        label = f"label=com.docker.compose.service={service}"
        id_ = self.engine.docker("ps", "--all", "--no-trunc", "--quiet", "--filter", label).stdout.strip()
        return Container(self.engine, id_, service)

    def curl(self, url: str) -> str:
        """Ask from the machine on which the containers run: the daemon's network namespace."""
        return curl(self.engine, url)


def import_base(engine: DockerEngine) -> None:
    """Make `BASE` known to the engine."""
    require_cached("wheels/msgspec-*.whl")
    changes = [f"ENV PIP_NO_INDEX=1 PIP_FIND_LINKS={WHEELS}", "ENV PATH=/usr/bin:/bin"]
    flags = [word for change in changes for word in ("--change", change)]
    engine.docker("import", *flags, "-", BASE, stdin=_base())


def build(engine: DockerEngine, image: str) -> None:
    """Make `EXPORTER` or `GATEWAY` by the command of the page."""
    import_base(engine)
    target = image.removeprefix("jobmeter-")
    words = documented(DEPLOY_PAGE, f"docker build -f deploy/Dockerfile --target {target}")
    words = [str(ROOT / word) if word in (".", "deploy/Dockerfile") else word for word in words[1:]]
    engine.docker(*words, f"--build-arg=BASE={BASE}")


def documented(page: str, start: str) -> list[str]:
    """The one command of a page that begins so, in words."""
    text = (ROOT / page).read_text().replace("\\\n", " ")
    (line,) = [line for line in text.splitlines() if re.sub(" +", " ", line).startswith(start)]
    return shlex.split(line, comments=True)


def curl(engine: DockerEngine, url: str, token: str = "") -> str:
    """Ask an address in the daemon's network namespace, until it answers 200."""
    request = f"r.Request({url!r}, headers={{'Authorization': 'Bearer {token}'}})"
    get = f"import urllib.request as r; print(r.urlopen({request}, timeout=30).read().decode())"
    command = ["nsenter", f"--net=/proc/{engine.pid}/ns/net", sys.executable, "-c", get]
    deadline = time.monotonic() + 60
    while (done := subprocess.run(command, capture_output=True, text=True, check=False)).returncode:
        assert time.monotonic() < deadline, done.stderr
        time.sleep(0.2)
    return done.stdout


def _base() -> bytes:
    buffer = io.BytesIO()
    with tarfile.TarFile(fileobj=buffer, mode="w") as tar:
        for name in ("proc", "sys", "dev", "etc", "root", "run", "var", "tmp", "usr/bin"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(entry)
        _add_busybox(tar, Path(require_command("busybox")))
        _add_python(tar)
        tar.add(CACHE / "wheels", WHEELS, filter=_readable)
    return buffer.getvalue()


def _add_busybox(tar: tarfile.TarFile, busybox: Path) -> None:
    tar.add(busybox.resolve(), "bin/busybox", filter=_readable)
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in set(applets) - {"busybox"}:
        _link(tar, f"bin/{applet}", "/bin/busybox")


def _add_python(tar: tarfile.TarFile) -> None:
    extensions = [
        *STDLIB.glob("lib-dynload/*.so"),
        *SITE_PACKAGES.glob("*/*.so"),
        *SITE_PACKAGES.glob("*/*/*.so"),
    ]
    for library in shared_libraries(Path(require_command("busybox")), PYTHON, *extensions):
        if not library.is_relative_to(SITE_PACKAGES):
            tar.add(library.resolve(), str(library), filter=_readable)
    tar.add(PYTHON, str(PYTHON), filter=_readable)
    tar.add(STDLIB, str(STDLIB), filter=_needed)
    if Path("/usr/bin/python3") != PYTHON:
        _link(tar, "usr/bin/python3", str(PYTHON))


def _needed(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    parts = Path("/", entry.name).relative_to(STDLIB).parts
    return None if set(parts) & set(NOT_NEEDED) or parts[:1] == ("config",) else _readable(entry)


def _readable(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Owned by root and open to all, however it lies here."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    return entry


def _link(tar: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    tar.addfile(entry)
