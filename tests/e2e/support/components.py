"""Where real components are found, and what happens when one is missing."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[3]
SOURCE = ROOT / "src"
CACHE = Path(os.environ.get("JOBMETER_TEST_CACHE", ROOT / ".cache")) / "e2e"
SITE_PACKAGES = Path(pytest.__file__).resolve().parents[1]

JOBMETER = [sys.executable, "-m", "jobmeter"]
"""The command under test; its environment is `jobmeter_environment()`."""


def jobmeter_environment(**variables: str) -> dict[str, str]:
    """The caller's environment with this checkout first on Python's path, and `variables` set."""
    return os.environ | {"PYTHONPATH": f"{SOURCE}{os.pathsep}{ROOT}"} | variables


def unavailable(reason: str) -> NoReturn:
    """Skip the test with `reason`; in CI, where every component is installed, fail it."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must not skip this test: {reason}", pytrace=False)
    pytest.skip(reason)


def require_command(name: str) -> str:
    """The path of the program `name`."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        unavailable(f"{name} is not installed; `make test` installs it where it may")
    return path


def optional_command(name: str) -> str:
    """The path of a program that `make test` does not install; without it the test is skipped, in CI too."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not on PATH; tests use it where somebody has put it there")
    return path


def require_cached(pattern: str) -> Path:
    """The newest file below the cache that matches `pattern`."""
    found = sorted(CACHE.glob(pattern), key=lambda path: path.stat().st_mtime)
    if not found:
        unavailable(f"no {pattern} in {CACHE}; `make test` downloads it")
    return found[-1]


def require_root(what: str) -> None:
    """Go on only as root, which `what` needs."""
    if os.geteuid() != 0:
        unavailable(f"{what} needs root")
