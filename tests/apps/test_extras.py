"""A daemon whose extra is not installed says so in one sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT = """
import sys
library, *argv = sys.argv[1:]
sys.modules[library] = None
from jobmeter.cli import main
sys.exit(main(argv))
"""
SERVING = ("httptools", "prometheus_client", "starlette", "uvicorn", "uvloop")
DAEMONS = {
    "exporter": (*SERVING, "isal"),
    "gateway": (*SERVING, "aiohttp", "google.protobuf"),
    "receiver": (*SERVING, "alembic", "sqlalchemy"),
}
FORGE = '[[forge]]\nname = "one"\nkind = "forgejo"\nurl = "http://127.0.0.1:9/"\nlisten = "127.0.0.1:0"\n'


@pytest.mark.parametrize(
    "daemon, library", [(daemon, library) for daemon, libraries in DAEMONS.items() for library in libraries]
)
def test_a_library_that_is_missing(daemon: str, library: str, tmp_path: Path) -> None:
    """Each of those it cannot work without, whichever part of it needs it first."""
    config = tmp_path / "gateway.toml"
    config.write_text(FORGE)
    more = [f"--config={config}"] if daemon == "gateway" else []
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, library, daemon, "--listen=127.0.0.1:0", *more],
        capture_output=True, text=True, timeout=30, check=False, cwd=tmp_path,
    )  # fmt: skip
    said = f"jobmeter {daemon}: {library.partition('.')[0]} is not installed, it comes with jobmeter's extra {daemon}: "
    assert (done.returncode, done.stderr.startswith(said), done.stderr.count("\n")) == (1, True, 1), (
        done.stderr
    )


def test_the_library_for_windows_hosts(tmp_path: Path) -> None:
    """Only who follows one needs it."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, "aiohttp", "exporter", "--listen=127.0.0.1:0",
         "--windows-engine=b=tcp://127.0.0.1:9"],
        capture_output=True, text=True, timeout=30, check=False, cwd=tmp_path,
    )  # fmt: skip
    said = "jobmeter exporter: aiohttp is not installed, it comes with jobmeter's extra windows: "
    assert (done.returncode, done.stderr.startswith(said)) == (1, True), done.stderr
