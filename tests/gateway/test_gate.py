"""Nothing is fetched while there is no room, and it is said once."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from jobmeter.gateway.gate import (
    AvailableMemory,
    Check,
    FreeDisk,
    Gate,
    MemoryPressure,
    Script,
    Unknown,
    parse_some_avg10,
)
from jobmeter.model.errors import KernelFormatError

PRESSURE = (
    b"some avg10=12.50 avg60=1.00 avg300=0.10 total=1\nfull avg10=1.00 avg60=0.00 avg300=0.00 total=1\n"
)


class Log:
    """Keeps what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def warn(self, message: str, **fields: object) -> None:
        self.said.append(f"{message}: {fields}")

    def info(self, message: str, **fields: object) -> None:
        self.said.append(f"{message}: {fields}")


class Told:
    """A check that says what a test wants."""

    def __init__(self, name: str = "disk") -> None:
        self.name = name
        self.answer: str | Unknown | None = None

    async def trouble(self) -> str | None:
        if isinstance(self.answer, Unknown):
            raise self.answer
        return self.answer


def asked(check: Check) -> str | None:
    """What it answers."""
    return asyncio.run(_of(check.trouble))


async def _of(ask: Callable[[], Awaitable[str | None]]) -> str | None:
    return await ask()


def test_a_disk_with_room(tmp_path: Path) -> None:
    """And one that has less than is asked for."""
    assert asked(FreeDisk([str(tmp_path)], 1)) is None
    trouble = asked(FreeDisk(["/proc", str(tmp_path)], 2**62)) or ""
    assert trouble.startswith("/proc has 0 B free, less than ")


def test_a_disk_that_cannot_be_looked_at(tmp_path: Path) -> None:
    """Is no reason to stop."""
    with pytest.raises(Unknown, match="nonesuch cannot be looked at: No such file or directory"):
        asked(FreeDisk([str(tmp_path / "nonesuch")], 1))


def test_a_disk_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps one thread, however often it is asked."""
    answers = threading.Event()
    begun: list[str] = []

    def hangs(path: str) -> os.statvfs_result:
        begun.append(path)
        answers.wait(10)
        return os.stat_result  # type: ignore[return-value]

    monkeypatch.setattr("jobmeter.gateway.gate.os.statvfs", hangs)

    async def work() -> None:
        disk = FreeDisk(["/net"], 1, limit_seconds=0.05)
        for _ in range(3):
            assert await disk.trouble() == "/net did not answer within 50 ms"
        assert begun == ["/net"]
        answers.set()
        disk.close()

    asyncio.run(work())


@pytest.mark.parametrize(
    "least, trouble",
    [(1024, None), (1025, "1 KiB of memory are available, less than 1 KiB"), (2**30, "less than 1 GiB")],
)
def test_memory(tmp_path: Path, least: int, trouble: str | None) -> None:
    """By MemAvailable."""
    (tmp_path / "meminfo").write_text("MemTotal: 2 kB\nMemAvailable: 1 kB\n")
    found = asked(AvailableMemory(least, str(tmp_path)))
    assert (found is None) == (trouble is None)
    assert trouble is None or trouble in str(found)


@pytest.mark.parametrize("text", ["", "MemTotal: 2 kB\n", None])
def test_memory_that_is_not_told(tmp_path: Path, text: str | None) -> None:
    """No number, no file."""
    if text is not None:
        (tmp_path / "meminfo").write_text(text)
    with pytest.raises(Unknown, match="memory"):
        asked(AvailableMemory(1, str(tmp_path)))


@pytest.mark.parametrize("most, closed", [(12.5, False), (12.4, True)])
def test_pressure(tmp_path: Path, most: float, closed: bool) -> None:
    """By the share of ten seconds."""
    (tmp_path / "pressure").mkdir()
    (tmp_path / "pressure/memory").write_bytes(PRESSURE)
    found = asked(MemoryPressure(most, str(tmp_path)))
    assert (found is not None) == closed
    assert found is None or "12.5 % of the last 10 s, more than 12.4 %" in found


def test_pressure_that_is_not_told(tmp_path: Path) -> None:
    """By a kernel without it."""
    with pytest.raises(Unknown, match="pressure on memory cannot be read"):
        asked(MemoryPressure(1, str(tmp_path)))


@pytest.mark.parametrize("text", [b"", b"some total=1\n", b"some avg10=x\n", b"full avg10=1.00\n"])
def test_pressure_in_another_form(text: bytes) -> None:
    """Is refused."""
    with pytest.raises(KernelFormatError):
        parse_some_avg10(text)


def script(tmp_path: Path, text: str, limit_seconds: float = 10.0) -> Script:
    """One that does this."""
    file = tmp_path / "check"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return Script(str(file), limit_seconds)


@pytest.mark.parametrize(
    "text, end",
    [
        ("echo fine", None),
        ("exit 3", "ended with exit code 3"),
        ("echo first; echo 'no licence left' >&2; echo; exit 1", "ended with exit code 1: no licence left"),
        ("kill -9 $$", "ended with signal 9"),
        ("printf '\\033[31mred\\377'; exit 1", "ended with exit code 1: [31mred\ufffd"),
        ("head -c 3000000 /dev/zero | tr '\\0' x; exit 1", "ended with exit code 1: " + "x" * 200),
    ],
)
def test_a_script(tmp_path: Path, text: str, end: str | None) -> None:
    """Its exit code counts, its last line is told."""
    found = asked(script(tmp_path, text))
    assert found == (None if end is None else f"{tmp_path}/check {end}")


def test_a_script_that_does_not_end(tmp_path: Path) -> None:
    """Is ended, with all that it has started."""
    pids = tmp_path / "pids"
    begun = time.monotonic()
    found = asked(script(tmp_path, f"sleep 60 & echo $! > {pids}; wait", 0.3))
    assert found == f"{tmp_path}/check did not end within 300 ms"
    assert time.monotonic() - begun < 30
    pid = int(pids.read_text())
    deadline = time.monotonic() + 10
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _runs(pid)


def test_a_script_that_leaves_somebody_behind(tmp_path: Path) -> None:
    """Who still could write is not waited for."""
    pids = tmp_path / "pids"
    begun = time.monotonic()
    found = asked(script(tmp_path, f"setsid sleep 60 & echo $! > {pids}; sleep 0.1; echo no; exit 1"))
    os.kill(int(pids.read_text()), 9)
    assert found == f"{tmp_path}/check ended with exit code 1"
    assert time.monotonic() - begun < 30


def _runs(pid: int) -> bool:
    try:
        return b") Z" not in Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False


def test_a_script_that_is_none(tmp_path: Path) -> None:
    """Is trouble too: the operator wanted it asked."""
    found = asked(Script(str(tmp_path), 1.0)) or ""
    assert found.endswith("cannot be executed: Permission denied")


def test_the_gate_says_once_that_it_closes_and_opens() -> None:
    """However long it is closed, and for whatever more reasons."""
    log, disk, memory = Log(), Told("disk"), Told("memory")
    told: list[str | None] = []
    gate = Gate([disk, memory], log, 30.0, told.append)

    def look() -> str | None:
        asyncio.run(gate.look())
        return gate.why

    assert look() is None
    assert gate.closed == {"disk": False, "memory": False}
    disk.answer = "no room"
    assert look() == look() == "no room"
    memory.answer = "no memory"
    assert look() == "no room; no memory"
    assert gate.closed == {"disk": True, "memory": True}
    disk.answer = None
    assert look() == "no memory"
    memory.answer = None
    assert look() is None
    assert log.said == [
        "nothing is fetched for now; what runs goes on: {'why': 'no room'}",
        "fetching goes on: {}",
    ]
    assert told == ["no room", "no room; no memory", "no memory", None]


def test_what_cannot_be_read_is_told_once() -> None:
    """And keeps nothing closed; a trouble of before is over then."""
    log, check = Log(), Told()
    gate = Gate([check], log, 30.0)
    for answer in ("no room", Unknown("gone"), Unknown("gone"), None, Unknown("gone")):
        check.answer = answer
        asyncio.run(gate.look())
    assert gate.why is None
    assert [one.partition(":")[0] for one in log.said] == [
        "nothing is fetched for now; what runs goes on",
        "a check before fetching is left out",
        "fetching goes on",
        "a check before fetching is left out",
    ]


def test_it_looks_again_and_again() -> None:
    """The first time at once; a gate without checks has nothing to do."""

    async def work() -> int:
        looks = 0

        class Counting(Told):
            async def trouble(self) -> str | None:
                nonlocal looks
                looks += 1
                return None

        await Gate([], Log(), 0.001).watch()
        watching = asyncio.create_task(Gate([Counting()], Log(), 0.001).watch())
        while looks < 3:
            await asyncio.sleep(0.001)
        watching.cancel()
        return looks

    assert asyncio.run(work()) >= 3
