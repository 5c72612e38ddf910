"""Last reports reach the forge in order, once, also after a restart; and are dropped when it does not want them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Self

import pytest

from jobmeter.gateway.forges.port import Call
from jobmeter.gateway.keeping.finals import KEPT_SECONDS, MAX_BYTES, MAX_TASKS, Finals, Spool, Verdict
from tests.gateway.relay.rig import Messages, until

LOG = Call(method="POST", path="/UpdateLog", headers=(("x-runner-token", "secret"),), body=b"\xff1")
STATE = Call(method="POST", path="/UpdateTask", body=b"\xff2")


Send = Callable[[str, Call], Awaitable[Verdict]]


class Forge:
    """Answers as told, then takes everything."""

    def __init__(self, *verdicts: Verdict) -> None:
        self.verdicts = deque(verdicts)
        self.told: list[tuple[str, str]] = []

    async def __call__(self, task_id: str, call: Call) -> Verdict:
        self.told.append((task_id, call.path))
        return self.verdicts.popleft() if self.verdicts else "taken"

    def was_told(self, times: int) -> bool:
        return len(self.told) >= times


class Rig:
    """Finals with a clock of their own."""

    def __init__(self, folder: Path, forge: Send) -> None:
        self.now = 1000.0
        self.log = Messages()
        self.finals = Finals(Spool(folder), forge, self.log, quiet_seconds=0.02, wall=lambda: self.now)
        self.finals.restore()

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self.finals.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    async def empty(self) -> None:
        await until(lambda: not self.finals.waiting)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_they_are_delivered_in_order(tmp_path):
    """First the log, then the state; not before the runner has been quiet, and then the files are gone."""

    async def main():
        forge = Forge()
        async with Rig(tmp_path, forge) as rig:
            rig.finals.keep("7", state=STATE)
            rig.finals.keep("7", log=LOG)
            await until(lambda: files(tmp_path) == ["7.json"])
            await asyncio.sleep(0.05)
            assert forge.told == []
            assert (tmp_path / "7.json").stat().st_mode & 0o777 == 0o600
            rig.now += 1
            await rig.empty()
            assert forge.told == [("7", "/UpdateLog"), ("7", "/UpdateTask")]
            await until(lambda: files(tmp_path) == [])

    asyncio.run(main())


@pytest.mark.parametrize("verdict", ["away", "later"])
def test_a_forge_that_takes_nothing_is_asked_again(tmp_path, verdict):
    """What it has taken is not told twice."""

    async def main():
        forge = Forge(verdict, "taken", verdict, "taken")
        async with Rig(tmp_path, forge) as rig:
            rig.finals.keep("7", log=LOG, state=STATE)
            for calls in (1, 3, 4):
                rig.now += 1
                await until(partial(forge.was_told, calls))
            await rig.empty()
            assert [path for _, path in forge.told] == [
                "/UpdateLog",
                "/UpdateLog",
                "/UpdateTask",
                "/UpdateTask",
            ]

    asyncio.run(main())


def test_what_the_forge_does_not_want_is_dropped(tmp_path):
    """A log that it has closed, and a state."""

    async def main():
        forge = Forge("closed", "closed")
        async with Rig(tmp_path, forge) as rig:
            rig.finals.keep("7", log=LOG, state=STATE)
            rig.now += 1
            await rig.empty()
            assert len(forge.told) == 2
            assert rig.log.texts == [
                "the last log of a job was dropped: the forge does not want it",
                "the last state of a job was dropped: the forge does not want it",
            ]

    asyncio.run(main())


def test_a_runner_that_brings_it_itself(tmp_path):
    """Then nobody else does."""

    async def main():
        forge = Forge()
        async with Rig(tmp_path, forge) as rig:
            rig.finals.keep("7", log=LOG, state=STATE)
            rig.finals.keep("8", log=LOG)
            rig.finals.taken("7", "log")
            rig.finals.taken("8", "log")
            rig.finals.taken("9", "log")
            held = [
                (task, kind)
                for task in ("7", "8")
                for kind in ("log", "state")
                if rig.finals.holds(task, kind)
            ]
            assert held == [("7", "state")]
            rig.now += 1
            await rig.empty()
            assert forge.told == [("7", "/UpdateTask")]
            await until(lambda: files(tmp_path) == [])

    asyncio.run(main())


def test_they_outlive_the_process(tmp_path):
    """With their bytes and the token that they need; a damaged file is dropped."""

    async def main():
        async with Rig(tmp_path, Forge()) as rig:
            rig.finals.keep("7", log=LOG, state=STATE)
            await until(lambda: files(tmp_path) == ["7.json"])
        (tmp_path / "8.json").write_bytes(b"{")
        forge = Forge()
        rig = Rig(tmp_path, forge)
        assert [final.calls for final in rig.finals._kept.values()] == [[LOG, STATE]]
        rig.now += 1
        async with rig:
            await rig.empty()
        assert forge.told == [("7", "/UpdateLog"), ("7", "/UpdateTask")]
        await until(lambda: files(tmp_path) == [])

    asyncio.run(main())


def test_a_forge_that_never_comes_back(tmp_path):
    """After a day it is given up."""

    async def main():
        away: list[Verdict] = ["away"] * 100
        forge = Forge(*away)
        async with Rig(tmp_path, forge) as rig:
            rig.finals.keep("7", state=STATE)
            rig.now += 1
            await until(lambda: len(forge.told) >= 1)
            rig.now += KEPT_SECONDS
            await rig.empty()
            assert rig.log.texts == ["a last report is given up, the forge was away for too long"]

    asyncio.run(main())


def test_they_are_bounded():
    """One more than may be is told, and not kept."""

    async def main():
        log = Messages()
        finals = Finals(None, Forge(), log)
        for number in range(MAX_TASKS + 1):
            finals.keep(str(number), state=STATE)
        assert len(finals.waiting) == MAX_TASKS
        assert log.warned == [
            {"message": "too many last reports are kept; one more is not", "task": str(MAX_TASKS)}
        ]

    asyncio.run(main())


@pytest.mark.parametrize("verdict", ["away", "later", RuntimeError()])
def test_one_that_is_never_taken_keeps_none_back(tmp_path, verdict):
    """Those of other tasks are told when it has been tried, also by a fault of ours."""

    async def main():
        told = list[str]()

        async def refuses_seven(task_id: str, call: Call) -> Verdict:
            told.append(task_id)
            if isinstance(verdict, Exception) and task_id == "7":
                raise verdict
            return verdict if task_id == "7" else "taken"

        async with Rig(tmp_path, refuses_seven) as rig:
            for task_id in ("7", "8", "9"):
                rig.finals.keep(task_id, state=STATE)
            rig.now += 1
            await until(lambda: rig.finals.waiting == ["7"])
            assert (told[0], told.count("8"), told.count("9")) == ("7", 1, 1)

    asyncio.run(main())


def test_logs_are_bounded_in_bytes():
    """One that is too much is told, and its task's result is kept without it."""

    async def main():
        log = Messages()
        finals = Finals(None, Forge(), log)
        half = Call(method="POST", path="/UpdateLog", body=bytes(MAX_BYTES // 2))
        for task_id in ("7", "8", "7", "9"):
            finals.keep(task_id, log=half)
        finals.keep("9", state=STATE)
        assert {task_id: final.calls for task_id, final in finals._kept.items()} == {
            "7": [half],
            "8": [half],
            "9": [STATE],
        }
        assert log.warned == [{"message": "too much of last logs is kept; one more is not", "task": "9"}]

    asyncio.run(main())


def test_no_secret_shows(tmp_path):
    """Neither in what is printed, nor in what is logged."""
    finals = Finals(Spool(tmp_path), Forge(), Messages())

    async def main():
        finals.keep("7", log=LOG)

    asyncio.run(main())
    assert "secret" not in repr(finals._kept)
