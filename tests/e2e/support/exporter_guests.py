"""Programs for the guest of `support.vm` that run `jobmeter exporter` beside containers by runc."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tests.e2e.support.components import SITE_PACKAGES, require_command
from tests.e2e.support.elf import shared_libraries
from tests.e2e.support.vm import VirtualMachine

PACKAGES = (
    *(
        "anyio",
        "click",
        "google",
        "h11",
        "httptools",
        "idna",
        "inotify_simple.py",
        "isal",
        "prometheus_client",
    ),
    *("starlette", "typing_extensions.py", "uvicorn", "uvloop"),
)
"""What the exporter imports."""


def run_in_guest(vm: VirtualMachine, program: str) -> dict[str, Any]:
    """What a program of `tests.e2e.support` says, which is one line of JSON; it has an empty disk of 16 MiB."""
    done = vm.run(
        f"python3 -m tests.e2e.support.{program}", files=exporter_files(), cpus=2, disk_mib=16, timeout=150
    )
    answers = done.json_lines()
    assert len(answers) == 1, done.stdout
    return dict(answers[0])


def exporter_files(*more: str) -> dict[str, Path]:
    """runc, the packages of the exporter and `more` of them, at the places that they have in the guest."""
    require_command("runc")
    runc = Path(str(shutil.which("runc", path="/usr/sbin:/usr/bin:/sbin:/bin")))
    packages = [SITE_PACKAGES / name for name in (*PACKAGES, *more)]
    native = [file for package in packages for file in package.rglob("*.so")]
    same = {str(one): one for one in (*packages, *shared_libraries(runc, *native))}
    return {"/bin/runc": runc} | same
