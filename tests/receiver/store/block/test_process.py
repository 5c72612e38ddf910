"""Blocks that are made in a process of their own are those that are made here, and none is ever of half a text."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobmeter.model import wire
from jobmeter.receiver.store.block import coding, worker
from jobmeter.receiver.store.block.coding import Damaged, decoded
from jobmeter.receiver.store.block.process import END, LENGTH, BlockProcess, Encoder
from tests.support.runs import records


@pytest.fixture
def process() -> Iterator[BlockProcess]:
    """One that is let go at the end."""
    made = BlockProcess()
    yield made
    made.let_go()


def text(ticks: int) -> bytes:
    return b"".join(wire.encode(record) + b"\n" for record in records("u", ticks=ticks))


def pid_of(process: BlockProcess) -> int:
    assert process._process is not None
    return process._process.pid


def put(encoder: Encoder | coding.Encoder, content: bytes) -> None:
    for place in range(0, len(content), 5000):
        encoder.add(content[place : place + 5000])


def block_of(encoder: Encoder | coding.Encoder, content: bytes) -> bytes:
    put(encoder, content)
    return encoder.block()


def test_it_is_the_block_that_is_made_here(process: BlockProcess) -> None:
    """One after the other by the same process, an empty piece among them."""
    pids = set()
    for ticks in (400, 900):
        encoder = process.encoder()
        encoder.add(b"")
        assert block_of(encoder, text(ticks)) == block_of(coding.Encoder(), text(ticks))
        pids.add(pid_of(process))
    assert len(pids) == 1


def test_a_small_one_needs_no_process(process: BlockProcess) -> None:
    """It is made sooner than a process begins."""
    content = text(10)
    assert b"".join(decoded(block_of(process.encoder(), content))) == content
    assert process._process is None


def test_what_was_given_up_is_in_no_other_block(process: BlockProcess) -> None:
    """Whoever finds that there is nothing to merge asks for no block."""
    put(process.encoder(), text(500))
    content = text(300)
    assert b"".join(decoded(block_of(process.encoder(), content))) == content


@pytest.mark.parametrize("at", ["between two blocks", "within a text", "before the block"])
def test_one_that_is_killed_gives_no_block_of_half_a_text(process: BlockProcess, at: str) -> None:
    """The next one begins anew."""
    content = text(800)
    block_of(process.encoder(), content)
    encoder = process.encoder()
    if at == "between two blocks":
        os.kill(pid_of(process), signal.SIGKILL)
        assert process._process is not None
        process._process.wait()
        assert b"".join(decoded(block_of(encoder, content))) == content
        return
    put(encoder, content[:400_000])
    os.kill(pid_of(process), signal.SIGKILL)
    with pytest.raises(OSError, match="has ended"):
        block_of(encoder, content[400_000:] if at == "within a text" else b"")
    assert b"".join(decoded(block_of(process.encoder(), content))) == content


def test_it_runs_nothing_of_the_working_directory(
    process: BlockProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever can write there could else do what the receiver may."""
    for name in ("msgspec.py", "struct.py", "jobmeter.py"):
        (tmp_path / name).write_text("raise SystemExit('not this one')\n")
    monkeypatch.chdir(tmp_path)
    content = text(100)
    assert b"".join(decoded(block_of(process.encoder(), content))) == content


def test_one_that_is_let_go_leaves_nothing(process: BlockProcess) -> None:
    """No process and no pipe; whoever is at a text is told so."""
    encoder = process.encoder()
    put(encoder, text(100))
    pid, before = pid_of(process), len(os.listdir("/proc/self/fd"))
    process.let_go()
    process.let_go()
    assert not Path(f"/proc/{pid}").exists()
    assert len(os.listdir("/proc/self/fd")) == before - 2
    with pytest.raises(BrokenPipeError, match="has ended"):
        encoder.block()


def test_what_cannot_be_made_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the process takes the next text."""

    class Failing:
        def add(self, piece: bytes) -> None:
            raise AssertionError

        def block(self) -> bytes:
            raise Damaged("the text does not come back")

    monkeypatch.setattr(worker, "Encoder", Failing)
    answers = io.BytesIO()
    with pytest.raises(BrokenPipeError):
        worker.serve(io.BytesIO(LENGTH.pack(END)), answers)
    assert answers.getvalue()[LENGTH.size :] == b"dthe text does not come back"


def test_it_ends_with_who_began_it() -> None:
    """Without a word, at whatever it is."""
    begun = subprocess.run(
        [sys.executable, "-m", worker.__name__],
        input=LENGTH.pack(10) + b"half",
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (begun.returncode, begun.stdout, begun.stderr) == (0, b"", b"")
