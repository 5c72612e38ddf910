"""Work in the background goes on whatever happens to it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jobmeter.receiver import service
from jobmeter.receiver.bookkeeping import Bookkeeping
from jobmeter.receiver.service import kept_going


class Telling:
    def __init__(self) -> None:
        self.told: list[dict[str, object]] = []

    def warn(self, message: str, **fields: object) -> None:
        self.told.append(fields)


def test_work_that_fails_is_told_and_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it ends by itself."""
    monkeypatch.setattr(service, "_AGAIN_SECONDS", 0.0)
    log, begun = Telling(), []

    async def work() -> None:
        begun.append(1)
        if len(begun) < 3:
            raise RuntimeError("a fault")

    asyncio.run(kept_going(work, log))

    assert [told["error"] for told in log.told] == ["RuntimeError: a fault"] * 2
    assert len(begun) == 3


def test_history_is_kept_after_any_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not after faults of the database alone."""
    monkeypatch.setattr(service, "_AGAIN_SECONDS", 0.0)
    log = Telling()

    class Faulty:
        asked = 0

        async def read(self, question: object) -> Any:
            self.asked += 1
            if self.asked == 3:
                raise asyncio.CancelledError
            raise RuntimeError("a fault")

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(kept_going(Bookkeeping(Faulty(), None, log).keep, log))  # type: ignore[arg-type]

    assert log.told == [{"error": "RuntimeError: a fault", "in_seconds": 0.0}] * 2
