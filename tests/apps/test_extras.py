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
DAEMONS = {"exporter": (*SERVING, "isal"), "receiver": (*SERVING, "alembic", "sqlalchemy")}


@pytest.mark.parametrize(
    "daemon, library", [(daemon, library) for daemon, libraries in DAEMONS.items() for library in libraries]
)
def test_a_library_that_is_missing(daemon: str, library: str, tmp_path: Path) -> None:
    """Each of those it cannot work without, whichever part of it needs it first."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, library, daemon, "--listen=127.0.0.1:0"],
        capture_output=True, text=True, timeout=30, check=False, cwd=tmp_path,
    )  # fmt: skip
    said = f"jobmeter {daemon}: {library} is not installed, it comes with jobmeter's extra {daemon}: "
    assert (done.returncode, done.stderr.startswith(said), done.stderr.count("\n")) == (1, True, 1), (
        done.stderr
    )
