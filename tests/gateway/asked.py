"""A referee that keeps what it is asked."""

from __future__ import annotations

import asyncio

from jobmeter.gateway.evidence import Ended


class Asked:
    """It takes its time, or fails. ``done`` are those that it came to an end with, ``gone`` those it was late for."""

    def __init__(
        self, seconds: float = 0.0, budget: float = 5.0, fault: str | None = None, *, artifacts: bool = False
    ) -> None:
        self.seconds, self.fault = seconds, fault
        self.budget_seconds, self.wants_runtime_tokens = budget, artifacts
        self.ends: list[Ended] = []
        self.done: list[str] = []
        self.gone: list[str] = []

    async def ended(self, ended: Ended) -> None:
        self.ends.append(ended)
        await asyncio.sleep(self.seconds)
        if self.fault is not None:
            raise RuntimeError(self.fault)
        self.done.append(ended.task_id)

    def late(self, ended: Ended) -> None:
        self.gone.append(ended.task_id)
