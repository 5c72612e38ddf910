"""What the gateway reports of a task whose runner ended without a result."""

from typing import NamedTuple

from jobmeter.gateway.forges.own import OwnDialect, Registration
from jobmeter.gateway.forges.port import Call, LogReport
from jobmeter.gateway.relay.exchanges import Exchanges
from jobmeter.gateway.relay.home import Home
from jobmeter.gateway.relay.tasks import Known

_ATTEMPTS = 3
"""A restart may have forgotten how much of the log the forge has: its answer tells."""


class Cause(NamedTuple):
    """Why there is no result, in one sentence for the job's log; ``timed_out``: the job took too long."""

    sentence: str
    timed_out: bool = False


class Deaths:
    """Those of one forge. What the forge does not take now is kept until it does."""

    def __init__(self, home: Home, own: OwnDialect, exchanges: Exchanges) -> None:
        self._home = home
        self._own = own
        self._exchanges = exchanges
        self._finals = exchanges.finals

    async def report(self, known: Known, registration: Registration, token: str | None, cause: Cause) -> None:
        """Say why in the task's log, and that it has failed; ``token`` is the job's own, at GitLab."""
        if not self._finals.holds(known.id, "log"):
            await self._log(known, registration, token, cause.sentence)
        if self._finals.holds(known.id, "state"):
            return
        call = self._own.report_end(
            registration, known.id, token, "failure", self._home.wall(), timed_out=cause.timed_out
        )
        if call is None:
            self._home.log.warn("the end of a job cannot be reported: its token is not known", task=known.id)
            return
        known.result = known.result or "failure"
        await self._state(known.id, call)

    async def cancel(self, known: Known, registration: Registration, token: str | None) -> None:
        """Have the forge cancel it."""
        call = self._own.report_end(registration, known.id, token, "cancelled", self._home.wall())
        if call is not None:
            known.result = "cancelled"
            await self._state(known.id, call)

    async def _log(self, known: Known, registration: Registration, token: str | None, sentence: str) -> None:
        """A line behind what the forge has; one alone, so that it is taken whole or not at all."""
        for _ in range(_ATTEMPTS):
            start = known.acknowledged
            lines = [f"jobmeter: {sentence}"]
            call = self._own.report_log(registration, known.id, token, start, lines, self._home.wall())
            if call is None:
                return
            verdict = await self._exchanges.deliver(known.id, call)
            if verdict == "away":
                self._finals.keep(known.id, log=call)
            if verdict in ("away", "closed") or known.acknowledged in (start, start + self._length(call)):
                return

    async def _state(self, task_id: str, call: Call) -> None:
        waits = task_id in self._finals.waiting
        if waits or await self._exchanges.deliver(task_id, call) in ("away", "later"):
            self._finals.keep(task_id, state=call)

    def _length(self, call: Call) -> int:
        """Of what it adds to a log."""
        report = self._home.dialect.read_request(call.method, call.path, dict(call.headers), call.body)
        return report.count if isinstance(report, LogReport) else 0
