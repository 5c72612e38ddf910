"""`jobmeter gateway` that starts runners itself, and what those are and leave on this machine."""

from __future__ import annotations

import json
import os
import random
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from typing import Any
from uuid import uuid4

from jobmeter.gateway.launcher.templates import COMMANDS
from tests.e2e.support import runners
from tests.e2e.support.components import optional_command
from tests.e2e.support.gateways import TOKEN, RunningGateway
from tests.e2e.support.runners import UUID, Program

ACCOUNT = "nobody"
"""Of launched runners: it has no files of its own."""
PROGRAMS = (*runners.PROGRAMS, runners.PROGRAMS[0]._replace(name="stand-in-of-gitea", forge="gitea"))
"""What is launched: each official runner, and a stand-in for each forge."""
_CONFIG = """
metrics_server = "127.0.0.1:{metrics}"
shutdown_timeout = "0s"
{receiver}
[[forge]]
name = "{name}"
kind = "{kind}"
url = "{url}"
listen = "127.0.0.1:{port}"
mode = "launch"
fetch_interval = "50ms"
fetch_interval_max = "50ms"

[[forge.runner]]
name = "of-the-tests"
"""


class LaunchingGateway(RunningGateway):
    """One with one registration; ``runner`` are further keys of its ``[[forge.runner]]``, as TOML has them.

    ``tables`` are further ones of its file.
    """

    def __init__(
        self,
        folder: Path,
        url: str,
        kind: str,
        runner: Mapping[str, str],
        receiver: str | None = None,
        receiver_token: str | None = None,
        tables: str = "",
    ) -> None:
        super().__init__(folder, url, kind)
        self.port, self.metrics = lasting_port(), lasting_port()
        self.name = f"forge-{uuid4().hex[:8]}"
        """Of the forge: it is in the name of each cgroup."""
        self.work = folder / "work"
        told = _CONFIG.format(
            metrics=self.metrics,
            receiver=_receiver(folder, receiver, receiver_token),
            name=self.name,
            kind=kind,
            url=url,
            port=self.port,
        )
        account = {} if "isolated" in runner else {"user": json.dumps(ACCOUNT)}
        keys = {
            "registration_file": json.dumps(str(_registration(folder, kind, url))),
            "work_dir": json.dumps(str(self.work)),
            **account,
            **runner,
        }
        told += "".join(f"{key} = {value}\n" for key, value in keys.items())
        self._config.write_text(told + tables)

    def processes(self) -> list[int]:
        """Those that were started for a task: they are in its directory, or name it."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                words = (folder / "cmdline").read_bytes().decode("utf-8", "replace")
                if str(self.work) in words or str(self.work) in os.readlink(folder / "cwd"):
                    found.append(int(folder.name))
        return found

    def runners(self) -> list[int]:
        """Those that are at work, official ones or stand-ins."""
        found = []
        for pid in self.processes():
            with suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes()
                if f"{self.work}/".encode() in words and b"/config." in words:
                    found.append(pid)
        return found

    def runner(self) -> int | None:
        """The first of them."""
        return next(iter(self.runners()), None)

    def left(self) -> list[str]:
        """What is there of tasks: directories, processes, cgroups."""
        folders = list(self.work.iterdir()) if self.work.exists() else []
        # Not rglob(), which fails at what goes meanwhile.
        cgroups = [top for top, _, _ in os.walk("/sys/fs/cgroup") if self.name in os.path.basename(top)]
        launches = [
            os.path.join(top, name)
            for top, folders_of, files in os.walk(self.state / "launches")
            for name in (*folders_of, *files)
            if name not in (self.name, ".room.new")
        ]
        return [str(one) for one in (*folders, *self.processes(), *cgroups, *launches)]


def lasting_port() -> int:
    """A free one that no connection gets by chance while nobody listens there: runners try theirs again and again."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(10_000, first)
        with suppress(OSError), socket.socket() as tried:
            tried.bind(("127.0.0.1", port))
            return port


def stand_in(kind: str) -> dict[str, str]:
    """Keys of a runner that is small enough to be read; our Python is for our own account."""
    words = ("-m", "tests.e2e.support.stand_in", "once", kind, "{url}", "{uuid}", "{token}", "{config}")
    root = Path(__file__).parents[3]
    return {
        "command": json.dumps([sys.executable, *words]),
        "isolated": "true",
        "environment": f'{{ PYTHONPATH = "{root}:{root / "src"}" }}',
    }


def ready(program: Program) -> dict[str, str]:
    """Keys of this runner: of an official one as it is without a command, but for where it is."""
    if program.installed:
        words = [optional_command(program.name), *COMMANDS[program.forge][1:]]
        return {"command": json.dumps(words)}
    return stand_in(program.forge)


def _receiver(folder: Path, url: str | None, token: str | None) -> str:
    """The keys of a receiver; only root reads its token."""
    if url is None:
        return ""
    if token is None:
        return f'receiver = "{url}"'
    file = folder / "receiver-token"
    file.touch(0o600)
    file.write_text(token)
    return f'receiver = "{url}"\nreceiver_token_file = "{file}"'


def _registration(folder: Path, kind: str, url: str) -> Path:
    """As the official runner has made it; only root reads it."""
    file = folder / "registration"
    told: dict[str, Any] = {
        "id": 1, "uuid": UUID, "name": "of-the-tests", "token": TOKEN, "labels": ["here:host"], "address": url,
    }  # fmt: skip
    if kind == "gitlab":
        file.write_text(f'[[runners]]\nname = "of-the-tests"\ntoken = "{TOKEN}"\nurl = "{url}"\n')
    else:
        file.write_text(json.dumps(told))
    file.chmod(0o600)
    return file


@contextmanager
def open_folder() -> Iterator[Path]:
    """One that other accounts reach; those of pytest are of its account alone."""
    folder = Path(tempfile.mkdtemp(prefix="jobmeter-launch-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def launching_gateway(
    folder: Path,
    url: str,
    kind: str,
    runner: Mapping[str, str],
    receiver: str | None = None,
    receiver_token: str | None = None,
    tables: str = "",
) -> AsyncIterator[LaunchingGateway]:
    """One that has begun; at the end nothing of what it said is a secret, or a fault of its own."""
    gateway = LaunchingGateway(folder, url, kind, runner, receiver, receiver_token, tables)
    try:
        await gateway.start()
        yield gateway
        gateway.check()
    finally:
        gateway.clean_up()
        _end(gateway)


def _end(gateway: LaunchingGateway) -> None:
    """Whatever is left of its tasks."""
    for pid in gateway.processes():
        with suppress(ProcessLookupError):
            os.kill(pid, 9)
