"""`jobmeter run` as a user starts it, with the summary that it wrote."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobmeter.model.summary import Summary, decode
from tests.e2e.support.components import JOBMETER, jobmeter_environment

FORGES = ("JOBMETER_", "GITHUB_", "GITEA_", "FORGEJO_", "GITLAB_", "CI_", "XDG_")
"""Variables of the machine that runs the tests, which must not change what a test sees."""

NOBODY = 65534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]
"""Precedes a command that runs without any privilege."""

PATIENCE_SECONDS = 120.0
"""After so long a run is stuck, and the test fails instead of hanging."""


@dataclass(frozen=True)
class Done:
    """A run that ended. `summary` is None when jobmeter wrote none."""

    exit_code: int
    stdout: str
    stderr: str
    summary: Summary | None

    @property
    def result(self) -> Summary:
        """The summary, which there must be."""
        assert self.summary is not None, self.stderr
        return self.summary


class Jobmeter:
    """Starts `jobmeter run` with its journal and summary in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.journal = directory / "journal.jsonl"
        self._summary = directory / "summary.json"

    def argv(self, *words: str | Path) -> list[str]:
        """The whole command line of `jobmeter run WORDS...`."""
        places = [f"--json={self._summary}", f"--journal={self.journal}"]
        return [*JOBMETER, "run", *places, *map(str, words)]

    def environment(self, variables: Mapping[str, str | None] | None = None) -> dict[str, str]:
        """The caller's environment without what tells of a forge; None takes a variable away."""
        plain = {name: value for name, value in jobmeter_environment().items() if not name.startswith(FORGES)}
        wanted = plain | {"TMPDIR": str(self.directory)} | dict(variables or {})
        return {name: value for name, value in wanted.items() if value is not None}

    def run(
        self,
        *words: str | Path,
        env: Mapping[str, str | None] | None = None,
        prefix: Sequence[str] = (),
        **options: Any,
    ) -> Done:
        """Run `PREFIX... jobmeter run WORDS...` to its end."""
        self._summary.unlink(missing_ok=True)
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        done = subprocess.run(
            [*prefix, *self.argv(*words)],
            env=self.environment(env),
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
            **(streams | options),
        )
        return Done(done.returncode, done.stdout or "", done.stderr or "", self.summary())

    def summary(self) -> Summary | None:
        """What the last run wrote."""
        return decode(self._summary.read_bytes()) if self._summary.exists() else None

    @contextmanager
    def start(
        self,
        *words: str | Path,
        env: Mapping[str, str | None] | None = None,
        prefix: Sequence[str] = (),
        **options: Any,
    ) -> Iterator[subprocess.Popen[str]]:
        """A run that goes on; it is killed at the end if it still does. Its standard output is a pipe."""
        self._summary.unlink(missing_ok=True)
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        argv, environment = [*prefix, *self.argv(*words)], self.environment(env)
        with subprocess.Popen(argv, env=environment, text=True, **(streams | options)) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    def finish(self, process: subprocess.Popen[str]) -> Done:
        """Wait for a run that was started."""
        stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
        return Done(process.returncode, stdout or "", stderr or "", self.summary())


def kill(pid: int) -> None:
    """Kill a process that the test left behind; none is fine."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def state_of(pid: int) -> str | None:
    """The state of a process as in proc_pid_stat(5); None when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None
