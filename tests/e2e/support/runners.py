"""The forges' own runners, and what stands in for them: each is given an address and takes jobs until it is stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from tests.e2e.support.components import jobmeter_environment, optional_command
from tests.e2e.support.gateways import TOKEN
from tests.e2e.support.stand_in import VERSION

UUID = "0a1b2c3d-0000-4000-8000-000000000001"
STOPPING_SECONDS = 20

ACT_LIKE = """
log: {{level: info}}
runner:
  file: .runner
  capacity: 1
  fetch_interval: 200ms
  fetch_interval_max: 200ms
  report_interval: 200ms
  log_report_interval: 200ms
  log_report_max_latency: 100ms
  state_report_interval: 200ms
cache: {{enabled: false}}
host: {{workdir_parent: "{folder}/work"}}
"""
"""One file for all that were made of act_runner; each leaves out the keys that it does not know."""

GITLAB = """
concurrent = 1
check_interval = 1
[[runners]]
  name = "of the tests"
  url = "http://127.0.0.1:{port}/"
  token = "{token}"
  executor = "shell"
  builds_dir = "{folder}/builds"
  cache_dir = "{folder}/cache"
"""


class Program(NamedTuple):
    """One runner; ``command`` is how it is started for a port, with its files in a folder."""

    name: str
    forge: Literal["forgejo", "gitea", "gitlab"]
    command: Callable[[str, Path, int], list[str]]
    installed: bool = True

    def __str__(self) -> str:
        return self.name

    def version(self) -> str:
        """What it says that it is; the test is skipped where it is not installed."""
        if not self.installed:
            return VERSION
        said = subprocess.run(
            [optional_command(self.name), "--version"], capture_output=True, text=True, check=True
        ).stdout
        found = re.search(r"version:?\s+(\S+)", said, re.IGNORECASE)
        assert found, said
        return found[1]

    @contextmanager
    def working(self, folder: Path, port: int) -> Iterator[None]:
        """Taking jobs from this port of the machine. It sees no home but its own, and its log is there."""
        folder.mkdir()
        command = self.command(self.name, folder, port)
        environment = jobmeter_environment(HOME=str(folder), XDG_CACHE_HOME=str(folder))
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
            try:
                yield
            finally:
                process.terminate()
                try:
                    process.wait(STOPPING_SECONDS)
                finally:
                    _kill_group(process.pid)


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _act_like(name: str, folder: Path, port: int) -> list[str]:
    registration = {
        "id": 1, "uuid": UUID, "name": "of the tests", "token": TOKEN, "labels": ["here:host"],
        "address": f"http://127.0.0.1:{port}",
    }  # fmt: skip
    (folder / ".runner").write_text(json.dumps(registration))
    (folder / "config.yaml").write_text(ACT_LIKE.format(folder=folder))
    return [optional_command(name), "-c", "config.yaml", "daemon"]


def _gitlab(name: str, folder: Path, port: int) -> list[str]:
    (folder / "config.toml").write_text(GITLAB.format(port=port, token=TOKEN, folder=folder))
    return [optional_command(name), "run", "--config", "config.toml", "--working-directory", str(folder)]


def _stand_in(*words: str) -> Callable[[str, Path, int], list[str]]:
    first, *rest = words
    module = "tests.e2e.support.stand_in"
    return lambda name, folder, port: [sys.executable, "-m", module, first, str(port), *rest]


PROGRAMS = (
    Program("stand-in", "forgejo", _stand_in("actions", UUID, TOKEN), installed=False),
    Program("forgejo-runner", "forgejo", _act_like),
    Program("act_runner", "gitea", _act_like),
    Program("gitea-runner", "gitea", _act_like),
    Program("stand-in-of-gitlab", "gitlab", _stand_in("gitlab", TOKEN), installed=False),
    Program("gitlab-runner", "gitlab", _gitlab),
)
