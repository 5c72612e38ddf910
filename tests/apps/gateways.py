"""The gateway in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PROGRAM = """
import os, sys
from jobmeter.apps.gateway import gateway
from jobmeter.config.gateway import gateway_settings
sys.exit(gateway(gateway_settings(sys.argv[1:], os.environ)))
"""


@contextmanager
def running(
    tmp_path: Path, text: str, within: Sequence[str] = ()
) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The daemon, started by the command ``within`` if there is one, and where it listens."""
    file = tmp_path / "gateway.toml"
    file.write_text(text)
    process = subprocess.Popen(
        [*within, sys.executable, "-c", PROGRAM, f"--config={file}", f"--state-dir={tmp_path / 'state'}"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "src")},
    )
    with process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                told = json.loads(line)
                if told["msg"] == "gateway started":
                    yield process, {**told["forges"], "metrics": told["listen"]}
                    return
            raise AssertionError("it has not started")
        finally:
            process.kill()


class Place:
    """The metrics listener."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def get(self, path: str, method: str = "GET") -> str:
        return await asyncio.to_thread(self._ask, path, method)

    def _ask(self, path: str, method: str) -> str:
        request = urllib.request.Request(f"http://{self._address}{path}", method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.read().decode())

    async def values(self, path: str = "/metrics") -> dict[str, float]:
        lines = (line.rpartition(" ") for line in (await self.get(path)).splitlines() if line[0] != "#")
        return {name: float(value) for name, _, value in lines}
