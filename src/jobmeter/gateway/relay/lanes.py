"""The runners of one forge, told apart by what they show it."""

import asyncio
from collections.abc import Container

from jobmeter.gateway.forges.facts import digest
from jobmeter.gateway.forges.port import LogReport, StateReport
from jobmeter.gateway.relay.client import Client
from jobmeter.gateway.relay.fetching import Lane
from jobmeter.gateway.relay.home import Home
from jobmeter.gateway.relay.tasks import Known

MAX_LANES = 4096
"""Runners of one forge that are told apart; requests of more pass as they are."""
_IDLE_SECONDS = 3600.0


class Lanes:
    """One lane for each runner; it is made when the runner is first heard of."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._lanes: dict[str, Lane] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._paused = self._stopped = False

    def all(self) -> list[Lane]:
        """The longest known first."""
        return list(self._lanes.values())

    def restore(self) -> None:
        """Begin with the runners of tasks that were known before a restart, and with those that are drained.

        The forge is not asked for those, so nothing else would show them, and nobody could take the drain back.
        """
        for known in list(self._home.memory.tasks.values()):
            self.of(known.proof, known.identity)
        for proof, key in list(self._home.memory.drained.items()):
            if (lane := self.of(proof, key)) is not None:
                lane.accept()

    async def close(self) -> None:
        """Leave."""
        for lane in self._lanes.values():
            await lane.close()
        await asyncio.gather(*self._ending, return_exceptions=True)

    async def cancel_tasks(self, but: Container[str]) -> None:
        """Have the forge cancel what runs, each tried once, but for these tasks."""
        cancels = [
            lane.workload.cancel(known)
            for lane in self._lanes.values()
            for known in self._home.memory.of(lane.proof)
            if known.id not in but
        ]
        await asyncio.gather(*cancels)

    def pause(self, on: bool) -> None:
        """Ask the forge for no tasks, or do so again."""
        self._paused = on
        for lane in self._lanes.values():
            lane.pause(on)

    def stop(self) -> None:
        """Ask the forge for no tasks any more, and hold no requests for them."""
        self._stopped = True
        for lane in self._lanes.values():
            lane.stop()

    def answered(self) -> None:
        """The forge has not answered for a while, and does again."""
        for lane in self._lanes.values():
            lane.poller.answered()

    def of(self, proof: str, identity: str | None) -> Lane | None:
        """The runner with these credentials; None if there are too many."""
        lane = self._lanes.get(proof)
        if lane is not None and lane.poller.unregistered is None:
            return lane
        if lane is not None:
            self._let_go(proof)
        elif len(self._lanes) >= MAX_LANES:
            self._sweep()
            if len(self._lanes) >= MAX_LANES:
                self._home.log.warn("there are too many runners; requests of more pass as they are")
                return None
        lane = self._lanes[proof] = Lane(self._home, proof, identity)
        lane.pause(self._paused)
        lane.start()
        if self._stopped:
            lane.stop()
        return lane

    def of_task(
        self, client: Client, report: LogReport | StateReport, body: bytes, *, make: bool = False
    ) -> Lane | None:
        """The runner that has the task, if it is that one which reports; ``make`` if the forge has said so.

        A task that nobody knows is then of whoever shows credentials with it.
        """
        known = self._home.memory.find(report.task_id)
        gitlab = self._home.options.kind == "gitlab"
        if known is not None and ((make and not gitlab) or self.is_of(known, client, body)):
            return self.of(known.proof, known.identity)
        if gitlab:
            # Its jobs have tokens of their own, which do not tell whose they are.
            only = next(iter(self._lanes.values())) if len(self._lanes) == 1 else None
            return only if make and known is None else None
        proof = self._home.dialect.proof(client.headers, body)
        return self.of(proof, report.identity) if make else self._lanes.get(proof)

    def is_of(self, known: Known, client: Client, body: bytes) -> bool:
        """Whether a report shows what its task's runner shows; of one that was adopted at GitLab nobody knows what."""
        if self._home.options.kind == "gitlab":
            shown = self._home.dialect.report_token(client.headers, body)
            return known.token is None or known.token == digest(shown)
        return self._home.dialect.proof(client.headers, body) == known.proof

    def _sweep(self) -> None:
        """Forget who has not been heard of for long, and strangers first of all."""
        old = self._home.clock() - _IDLE_SECONDS
        for proof, lane in list(self._lanes.items()):
            if lane.idle and (lane.used_at < old or not lane.accepted):
                self._let_go(proof)

    def _let_go(self, proof: str) -> None:
        ending = asyncio.create_task(self._lanes.pop(proof).close())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
