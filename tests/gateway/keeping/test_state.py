"""What a restart needs is on disk when that is said, whole, and for nobody else to read."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from jobmeter.gateway.forges.port import Identity, Task, TaskFacts
from jobmeter.gateway.keeping.files import remove, write_whole
from jobmeter.gateway.keeping.state import Keeper, State, StateFile
from jobmeter.gateway.relay.tasks import Known
from jobmeter.model.job import Job
from tests.gateway.relay.rig import Messages

TASK = Task(id="7", body=b"\x00\xffsecret", encoding="proto", facts=TaskFacts(repository="a/b"))
KNOWN = Known(
    id="7", proof="abc", identity="uuid", at=1.5, task=TASK, key="k", parked=2.5, job=Job(repository="a/b")
)
STATE = State(
    tasks=[KNOWN],
    names=[Identity(key="uuid", name="one", labels=("docker",), version="v1")],
    drained={"abc": "uuid"},
)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_what_was_written_is_read(tmp_path):
    """Byte for byte, the task's body too."""
    file = StateFile(tmp_path / "forge", Messages())
    assert file.read() == State()
    file.write(STATE)
    assert StateFile(tmp_path / "forge", Messages()).read() == STATE


def test_nobody_else_can_read_it(tmp_path):
    """Whatever the process's mask is."""
    before = os.umask(0)
    try:
        file = StateFile(tmp_path / "forge", Messages())
        file.read()
        file.write(STATE)
    finally:
        os.umask(before)
    assert mode(tmp_path / "forge") == 0o700
    assert [(path.name, mode(path)) for path in (tmp_path / "forge").iterdir()] == [("state.json", 0o600)]


def test_what_a_kill_has_left_unfinished_is_removed(tmp_path):
    """Nobody would ever look at it, and there may be secrets in it."""
    unfinished = tmp_path / ".state.json.new"
    unfinished.write_bytes(b"secret")
    StateFile(tmp_path, Messages()).read()
    assert not unfinished.exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema": "another"}', b'{"tasks": [{}]}', b"\xff"])
def test_a_damaged_file_is_put_aside(tmp_path, content):
    """It is told, and nothing is lost: who wants to may look at it."""
    log = Messages()
    file = StateFile(tmp_path, log)
    (tmp_path / "state.json").write_bytes(content)
    assert file.read() == State()
    assert (tmp_path / "state.damaged").read_bytes() == content
    assert len(log.warned) == 1


def test_a_file_is_whole_or_the_one_before(tmp_path, monkeypatch):
    """A write that fails changes nothing and leaves nothing behind."""
    write_whole(tmp_path / "file", b"before")

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_whole(tmp_path / "file", b"after")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"before")]


def test_a_link_is_not_followed(tmp_path):
    """Nobody can have another file overwritten."""
    (tmp_path / "elsewhere").write_bytes(b"mine")
    (tmp_path / ".file.new").symlink_to(tmp_path / "elsewhere")
    write_whole(tmp_path / "file", b"content")
    assert (tmp_path / "elsewhere").read_bytes() == b"mine"
    remove(tmp_path / "file")
    remove(tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_kept_waits_until_it_is_on_disk():
    """Of many changes at once the last is written, in few writes; without a change there is no wait."""
    written: list[int] = []
    known = [KNOWN]

    async def main():
        keeper = Keeper(
            lambda: State(tasks=list(known)), lambda state: written.append(len(state.tasks)), Messages()
        )
        await keeper.kept()
        running = asyncio.create_task(keeper.run())
        for _ in range(100):
            known.append(KNOWN)
            keeper.changed()
        await asyncio.gather(*(keeper.kept() for _ in range(100)))
        assert written[-1] == 101
        assert len(written) <= 2
        known.append(KNOWN)
        keeper.changed()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await keeper.close()
        assert written[-1] == 102

    asyncio.run(main())


def test_a_disk_that_is_full_stops_nobody():
    """It is told, and who waits goes on."""

    def fail(_: State) -> None:
        raise OSError(28, "No space left on device")

    async def main():
        log = Messages()
        keeper = Keeper(State, fail, log)
        running = asyncio.create_task(keeper.run())
        keeper.changed()
        await asyncio.wait_for(keeper.kept(), 5)
        assert log.warned == [
            {"message": "what a restart needs cannot be written", "error": "No space left on device"}
        ]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(main())
