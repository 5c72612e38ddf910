"""What the gateway reports of a task whose runner ended without a result."""

import asyncio
from typing import NamedTuple

from jobmeter.gateway.faults import fault_of
from jobmeter.gateway.forges.own import OwnDialect, Registration
from jobmeter.gateway.forges.port import Call, LogReport, Result
from jobmeter.gateway.relay.exchanges import Exchanges
from jobmeter.gateway.relay.home import Home
from jobmeter.gateway.relay.tasks import Known
from jobmeter.model.quantities import format_duration
from jobmeter.supervise.keeper.end import Ended, of_want

_ATTEMPTS = 3
"""A restart may have forgotten how much of the log the forge has: its answer tells."""

_REFEREE_SECONDS = 10.0
"""At most, whatever the referee's own budget: until then the forge does not know that the job is over."""


class Cause(NamedTuple):
    """Why there is no result, in one sentence for the job's log; ``timed_out``: the job took too long.

    ``result`` is what it gets.
    """

    sentence: str
    timed_out: bool = False
    result: Result = "failure"


def cause_of(ended: Ended) -> Cause:
    """Of a runner whose keeper has told its end."""
    sentence = of_want(ended) if ended.reason == "exit" else None
    return Cause(sentence or ended.detail, timed_out=ended.reason == "timeout")


def lost(passed_seconds: float | None = None, unwritable: str | None = None) -> Cause:
    """Of one whose keeper has not told its end; ``passed_seconds`` is the time limit if it had taken longer by then.

    ``unwritable`` is why nothing can be written beside it now.
    """
    if passed_seconds is not None:
        limit = format_duration(passed_seconds)
        return Cause(f"The job was ended, as it took longer than its time limit of {limit}.", timed_out=True)
    if unwritable is not None:
        return Cause(
            "How this job's runner ended is not known, as nothing can be written to the gateway's state_dir: "
            f"{unwritable}."
        )
    return Cause(
        "The process of jobmeter that watched over this job was killed, by hand or for want of memory, "
        "and the job with it."
    )


def cancelled(seconds: float) -> Cause:
    """A runner that had so long to end its job by itself."""
    after = format_duration(seconds)
    return Cause(f"The job was cancelled, and its runner was ended {after} later.", result="cancelled")


class Deaths:
    """Those of one forge. What the forge does not take now is kept until it does."""

    def __init__(self, home: Home, own: OwnDialect, exchanges: Exchanges) -> None:
        self._home = home
        self._own = own
        self._exchanges = exchanges
        self._finals = exchanges.finals

    async def report(self, known: Known, registration: Registration, token: str | None, cause: Cause) -> None:
        """Say why in the task's log, and that it has failed; ``token`` is the job's own, at GitLab."""
        if self._finals.holds(known.id, "state"):
            known.result = known.result or cause.result
            return
        if not self._finals.holds(known.id, "log"):
            try:
                await self._log(known, registration, token, cause.sentence)
            except Exception as error:
                # Whatever it is: the result counts for more than its reason.
                self._warn("a job's log cannot be told why it failed, by a fault of ours", known, error)
        await self._home.evidences.wait(self._home.ended_of(known, token), _REFEREE_SECONDS)
        await self._end(known, registration, token, cause.result, timed_out=cause.timed_out)

    async def cancel(self, known: Known, registration: Registration, token: str | None) -> None:
        """Have the forge cancel it."""
        await self._end(known, registration, token, "cancelled")

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

    async def _end(
        self,
        known: Known,
        registration: Registration,
        token: str | None,
        result: Result,
        *,
        timed_out: bool = False,
    ) -> None:
        """Its result is remembered once the forge has heard it, or it is on disk: until then a restart tells it."""
        call = self._own.report_end(
            registration, known.id, token, result, self._home.wall(), timed_out=timed_out
        )
        if call is None:
            self._home.log.warn("the end of a job cannot be reported: its token is not known", task=known.id)
            return
        try:
            heard = known.id not in self._finals.waiting and await self._heard(known, call)
        except asyncio.CancelledError:
            self._finals.keep(known.id, state=call)
            raise
        if not heard:
            self._finals.keep(known.id, state=call)
            await self._finals.write()
        if known.result != "cancelled":  # As the forge may have answered.
            known.result = result
        self._home.memory.touch()

    async def _heard(self, known: Known, call: Call) -> bool:
        """Whether the forge need not be told again."""
        try:
            verdict = await self._exchanges.deliver(known.id, call)
        except Exception as error:
            # Whatever it is: the job needs its result.
            self._warn("the end of a job was not told by a fault of ours", known, error)
            return False
        if verdict == "closed":
            self._home.log.warn(
                "the last state of a job was dropped: the forge does not want it", task=known.id
            )
        return verdict in ("taken", "closed")

    def _warn(self, message: str, known: Known, error: Exception) -> None:
        self._home.log.warn(message, task=known.id, **fault_of(error))

    def _length(self, call: Call) -> int:
        """Of what it adds to a log."""
        report = self._home.dialect.read_request(call.method, call.path, dict(call.headers), call.body)
        return report.count if isinstance(report, LogReport) else 0
