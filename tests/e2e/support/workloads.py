"""Commands as CI jobs run them, each hard on a meter in its own way.

`prepare(workdir)` lays out what a run needs and is called on the host; `argv(workdir)` is then run once. What
runs in the virtual machine finds the same files there at the same paths (pass `{str(workdir): workdir}` as
files) and uses nothing but a shell, the standard library of Python and static programs.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.support.components import ROOT, require_cached, require_command

GCC_FILES = 40
LOOP_PROCESSES = 2000
PROGRAMS = Path(__file__).parent / "programs"
SYSTEM_PYTHON = Path("/usr/bin/python3")
PYTHON = SYSTEM_PYTHON if SYSTEM_PYTHON.exists() else Path(sys.executable).resolve()
"""An interpreter that every user may run, which the tests' own need not be; the guest has it at the same path."""

TEST_MODULES = 4
TEST_MODULE = """
import json, subprocess, sys, unittest

BURN = "sum(i * i for i in range({count}))"


class Suite{number}(unittest.TestCase):
    def test_sum(self):
        self.assertGreater(eval(BURN), 0)

    def test_json(self):
        value = {{str(i): [i, i * {number}.5] for i in range(20000)}}
        self.assertEqual(json.loads(json.dumps(value)), value)

    def test_processes(self):
        children = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(2)]
        self.assertEqual([child.wait() for child in children], [0, 0])
"""


@dataclass(frozen=True)
class Workload:
    """One command with what it needs."""

    name: str
    prepare: Callable[[Path], None]
    argv: Callable[[Path], list[str]]
    runs_in_vm: bool = False

    def __str__(self) -> str:
        return self.name


def _prepare_gcc(workdir: Path) -> None:
    require_command("gcc")
    subprocess.run([sys.executable, ROOT / "scripts/generate_c.py", workdir, str(GCC_FILES)], check=True)


def _prepare_hello(workdir: Path) -> None:
    require_command("make")
    archive = require_cached("sources/hello_*.orig.tar.gz")
    source = workdir / "hello"
    source.mkdir(parents=True)
    subprocess.run(["tar", "-xf", archive, "-C", source, "--strip-components=1"], check=True)


def _prepare_nothing(workdir: Path) -> None:
    workdir.mkdir(parents=True, exist_ok=True)


def _prepare_unittest(workdir: Path) -> None:
    workdir.mkdir(parents=True, exist_ok=True)
    for number in range(TEST_MODULES):
        module = TEST_MODULE.format(number=number, count=250_000 * (number + 1))
        (workdir / f"test_part_{number}.py").write_text(module)


def build_program(name: str, directory: Path) -> Path:
    """The program `programs/NAME.c`, compiled into `directory` unless it is there; static, so it runs anywhere."""
    path = directory / name
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        source = PROGRAMS / f"{name}.c"
        subprocess.run([require_command("gcc"), "-O2", "-static", "-pthread", "-o", path, source], check=True)
    return path


def _prepare_program(name: str) -> Callable[[Path], None]:
    def prepare(workdir: Path) -> None:
        build_program(name, workdir)

    return prepare


def _shell(script: str) -> Callable[[Path], list[str]]:
    return lambda workdir: ["/bin/sh", "-c", f"cd {workdir} || exit; {script}"]


def _program(name: str) -> Workload:
    return Workload(name, _prepare_program(name), lambda workdir: [str(workdir / name)], runs_in_vm=True)


SERIAL_GCC = Workload("serial_gcc", _prepare_gcc, _shell("for f in unit_*.c; do gcc -O2 -c $f || exit; done"))
"""One short compiler after another: each lives for a fraction of a sampling interval."""

HELLO = Workload("hello", _prepare_hello, _shell("cd hello && ./configure -q && make -j2 -s"))
"""GNU hello: some 4,500 processes, most of them gone within milliseconds."""

SHELL_LOOP = Workload(
    "shell_loop",
    _prepare_nothing,
    _shell(f"i=0; while [ $i -lt {LOOP_PROCESSES} ]; do /bin/true; i=$((i + 1)); done"),
    runs_in_vm=True,
)
"""2,000 processes that do nothing."""

DAEMONS = _program("daemons")
"""Double-forked daemons whose parents exit at once; they end before the command does."""

THREADS = _program("threads")
"""Four threads, of which three end before the process does."""

AUTOREAP = _program("autoreap")
"""Children that nobody waits for: /proc keeps no trace of their time."""

PYTHON_TESTS = Workload(
    "python_tests",
    _prepare_unittest,
    lambda workdir: [str(PYTHON), "-m", "unittest", "discover", "-q", "-s", str(workdir)],
    runs_in_vm=True,
)
"""A test suite that computes in the runner itself and in its children."""

WORKLOADS = (SERIAL_GCC, HELLO, SHELL_LOOP, DAEMONS, THREADS, PYTHON_TESTS, AUTOREAP)
