"""`jobmeter gateway` as it is started by operators, that can be killed and started again where it was."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO

from tests.apps.gateways import Place
from tests.e2e.support.components import JOBMETER, jobmeter_environment
from tests.support.receivers import closed_port

SECRETS = ("planted-token", "task-secret", "task-token", "job-secret", "planted-mask")
"""What runners, jobs and their logs hold in these tests; `task-secret` and the like are what the forges hand out."""
TOKEN = "planted-token-of-a-runner"
DEFAULTS = {
    "public_url": "https://forge.example/",
    "fetch_interval": "50ms",
    "fetch_interval_max": "50ms",
}
_CONFIG = 'metrics_server = "127.0.0.1:{metrics}"\nshutdown_timeout = "10s"\n[[forge]]\nname = "forge"\n'
_SECONDS = 30


class RunningGateway:
    """One forge's; addresses, state and log stay the same over restarts. ``keys`` are those of ``[[forge]]``.

    ``top`` are lines above all tables, ``tables`` further ones.
    """

    def __init__(
        self, folder: Path, url: str, kind: str = "forgejo", *, top: str = "", tables: str = "", **keys: Any
    ) -> None:
        self.port, self.metrics = closed_port(), closed_port()
        self.state = folder / "state"
        self._log = folder / "gateway.log"
        self._config = folder / "gateway.toml"
        told = {"kind": kind, "url": url, "listen": f"127.0.0.1:{self.port}", **DEFAULTS, **keys}
        lines = [f"{key} = {json.dumps(value)}" for key, value in told.items()]
        text = f"{top}\n{_CONFIG.format(metrics=self.metrics)}" + "\n".join(lines)
        self._config.write_text(f"{text}\n{tables}\n")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def arguments(self) -> list[str]:
        """Of the command."""
        return ["gateway", f"--config={self._config}", f"--state-dir={self.state}", "--log-format=json"]

    @property
    def command(self) -> list[str]:
        """What is started."""
        return [*JOBMETER, *self.arguments]

    @property
    def place(self) -> Place:
        """Its metrics listener."""
        return Place(f"127.0.0.1:{self.metrics}")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """All that it has said, over its restarts."""
        return self._log.read_text()

    @property
    def warned(self) -> list[dict[str, Any]]:
        """What it has warned of."""
        lines = [json.loads(line) for line in self.log.splitlines()]
        return [line for line in lines if line["level"] == "warn"]

    def said(self, message: str) -> list[dict[str, Any]]:
        """The warnings with this message."""
        return [line for line in self.warned if line["msg"] == message]

    @property
    def most_memory(self) -> int:
        """The most bytes that it had in memory."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found
        return int(found[1]) * 1024

    def opened_log(self) -> BinaryIO:
        """Where it says what it says."""
        return self._log.open("ab")

    async def start(self) -> None:
        """Begin, and wait until it listens."""
        with self.opened_log() as log:
            self._process = subprocess.Popen(self.command, env=jobmeter_environment(), stderr=log)
        deadline = time.monotonic() + _SECONDS
        while not listens(self.port):
            assert self._process.poll() is None, self.log
            assert time.monotonic() < deadline, "it does not listen"
            await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """End it as the kernel does."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """End it as an operator does, without waiting for jobs."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        assert await self._end(signal.SIGTERM) == 0

    async def _end(self, number: int) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return await asyncio.to_thread(self._process.wait, _SECONDS)

    def check(self) -> None:
        """No secret in anything that it said, and no fault of its own."""
        log = self.log
        for word in (*SECRETS, "Traceback", "fault of ours"):
            assert word not in log, word
        for line in log.splitlines():
            assert line.startswith("{"), line

    def clean_up(self) -> None:
        """Leave no process behind."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(_SECONDS)


def listens(port: int) -> bool:
    """Whether somebody does at this port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@asynccontextmanager
async def running_gateway(
    folder: Path, url: str, kind: str = "forgejo", **keys: Any
) -> AsyncIterator[RunningGateway]:
    """One that has begun; at the end nothing of what it said is a secret, or a fault of its own."""
    gateway = RunningGateway(folder, url, kind, **keys)
    try:
        await gateway.start()
        yield gateway
        gateway.check()
    finally:
        gateway.clean_up()
