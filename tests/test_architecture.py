"""What the import contract cannot see: which modules a running collector has loaded."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

MSGSPEC = {"msgspec", "typing_extensions"}
"""msgspec imports the second where it happens to be installed."""

ALLOWED = sys.stdlib_module_names | MSGSPEC | {"jobmeter"}
START_SECONDS = 30.0
SENDING = ("--receiver=https://127.0.0.1:9", "--grace=100ms")
"""To where nobody listens."""


@pytest.mark.parametrize("options", [(), SENDING], ids=["keeps", "sends"])
def test_a_sampling_collector_has_loaded_the_standard_library_and_msgspec_only(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    if importlib.util.find_spec("jobmeter.cli") is None:
        pytest.skip("there is no collector yet")
    journal = tmp_path / "journal.jsonl"

    loaded = _modules_of_collector(journal, *options)

    assert "jobmeter" in loaded
    assert loaded - _modules_of_bare_python() - ALLOWED == set()
    assert {"ssl", "http"} & loaded == ({"ssl", "http"} if options else set())


def _modules_of_collector(journal: Path, *more: str) -> set[str]:
    """The top-level modules that a collector has imported once it has written its first samples."""
    options = ["--interval=100ms", f"--journal={journal}", *more]
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "jobmeter", "collector", *options],
        env=_environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        _wait_for_lines(process, journal, 3)
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=START_SECONDS)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, stderr[-2000:]
    return _imported(stderr)


def _wait_for_lines(process: subprocess.Popen[str], path: Path, count: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if path.exists() and len(path.read_bytes().splitlines()) >= count:
            return
        time.sleep(0.05)


def _modules_of_bare_python() -> set[str]:
    """What the interpreter and its site packages load by themselves."""
    command = [sys.executable, "-X", "importtime", "-c", ""]
    done = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=True)
    return _imported(done.stderr)


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[1] / "src")}


def _imported(stderr: str) -> set[str]:
    """The top-level names in the output of `-X importtime`."""
    lines = [line for line in stderr.splitlines() if line.startswith("import time:") and "[us]" not in line]
    return {line.rsplit("|", 1)[1].strip().split(".")[0] for line in lines}
