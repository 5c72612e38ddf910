"""Requests whose answers must be known here: passed, heard, held while the forge is away, kept if that lasts."""

import asyncio
from collections.abc import Callable
from typing import Literal, NamedTuple

from jobmeter.gateway.forges.bodies import plain_body
from jobmeter.gateway.forges.port import (
    Answer,
    Call,
    Declare,
    Declared,
    Failed,
    LogReport,
    LogTaken,
    Reply,
    Request,
    StateReport,
    StateTaken,
    Unauthenticated,
    Unreadable,
)
from jobmeter.gateway.keeping.finals import Finals, Spool, Verdict
from jobmeter.gateway.relay.client import Client
from jobmeter.gateway.relay.headers import by_name, to_forge
from jobmeter.gateway.relay.home import Home
from jobmeter.gateway.relay.passing import Whole
from jobmeter.gateway.relay.port import Workers
from jobmeter.gateway.relay.reports import Reported, Reports
from jobmeter.gateway.relay.upstream import AWAY, Limits, Unreachable

_REPORT_SECONDS = 120.0
_PATIENCE_SECONDS = 900.0
"""After about as long the forges give up a task of which they hear nothing."""
_SHARE_OF_A_LIMIT = 0.9
_SHORTEST_LIMIT_SECONDS = 0.001
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 10.0
_CLOSED = frozenset(
    {
        "not_found",
        "already_exists",
        "permission_denied",
        "invalid_argument",
        "failed_precondition",
        "out_of_range",
    }
)
"""Codes by which a forge says that a report will never be taken; with any other one it may have a bad moment."""
_TRY_AGAIN = frozenset({408, 425, 429})


class _Attempt(NamedTuple):
    """What the runner is to hear, what it means for its report, and whether a restart must know more than before."""

    answer: Whole | Reply
    verdict: Verdict
    changed: bool


class Exchanges:
    """Reports of tasks, and what runners say of themselves. ``unread`` hears of an answer that is none."""

    def __init__(
        self,
        home: Home,
        workers: Workers,
        spool: Spool | None,
        unread: Callable[[str], None],
    ) -> None:
        self._home = home
        self._workers = workers
        self._unread = unread
        self._reports = Reports(home)
        self.finals = Finals(
            spool, self.deliver, home.log, quiet_seconds=home.options.quiet_seconds, wall=home.wall
        )

    async def pass_on(self, client: Client, request: Request, body: bytes, raw: bytes) -> None:
        """Pass a request, and hear what is said with it and in its answer."""
        limit = self._limit(client)
        until = self._home.clock() + self._patience(client, request)
        pause = _PAUSE_SECONDS
        verdict: Verdict = "away"
        changed = False
        try:
            waited = await self._refereed(client, request, body, limit / 2)
            limit = max(limit - waited, _SHORTEST_LIMIT_SECONDS)
            while True:
                attempt = await self._attempt(client, request, body, raw, limit)
                verdict, changed = attempt.verdict, changed or attempt.changed
                if verdict != "away" or self._home.clock() + pause > until:
                    break
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                limit = min(limit, max(until - self._home.clock(), _SHORTEST_LIMIT_SECONDS))
        finally:
            # Also when the runner has gone meanwhile.
            self._keep_last(client, request, body, raw, verdict)
        if changed:
            await self._home.kept()
        ours = client.once_taken if verdict == "taken" else None
        await self._home.passing.answer(client, ours or attempt.answer)

    async def _refereed(self, client: Client, request: Request, body: bytes, most_seconds: float) -> float:
        """Have the referee asked of a task whose end is reported; returns the seconds that the report waited for it.

        It waits because the job's token is good until the forge has heard of its end.
        """
        if not isinstance(request, StateReport) or request.result is None:
            return 0.0
        known = self._home.memory.tasks.get(request.task_id)
        if known is None or not self._workers.is_of(known, client, body):
            return 0.0
        began = self._home.clock()
        token = self._home.dialect.report_token(client.headers, body)
        await self._home.evidences.wait(self._home.ended_of(known, token), most_seconds)
        return self._home.clock() - began

    def _keep_last(self, client: Client, request: Request, body: bytes, raw: bytes, verdict: Verdict) -> None:
        """Keep what the forge must still hear of a task, in case its runner gives up."""
        if not isinstance(request, LogReport | StateReport):
            return
        kind: Literal["log", "state"] = "log" if isinstance(request, LogReport) else "state"
        if verdict in ("taken", "closed"):
            self.finals.taken(request.task_id, kind)
            return
        known = self._home.memory.find(request.task_id)
        if known is None or not is_last(request) or not self._workers.is_of(known, client, body):
            return
        if isinstance(request, StateReport):
            known.result, known.failure_reason = request.result, request.failure_reason
        call = Call(
            method=client.method,
            path=client.target,
            headers=tuple(to_forge(client.pairs, client.address)),
            body=raw,
        )
        self.finals.keep(request.task_id, **{kind: call})

    def _patience(self, client: Client, request: Request) -> float:
        """For so many seconds a runner's last reports of a task are held while the forge is away.

        A runner gives up after some attempts, and with its log it gives up its result; but it waits long for an answer.
        """
        if not is_last(request):
            return 0.0
        named = client.milliseconds
        waits = self._home.options.patient_seconds if named is None else named / 1000
        return min(_SHARE_OF_A_LIMIT * waits, _PATIENCE_SECONDS)

    def _limit(self, client: Client) -> float:
        """A runner's own limit of seconds, but none that would hold a connection for hours."""
        named = client.milliseconds
        if named is not None:
            return min(max(named / 1000, _SHORTEST_LIMIT_SECONDS), _REPORT_SECONDS)
        patient = _SHARE_OF_A_LIMIT * self._home.options.patient_seconds
        return min(patient, _REPORT_SECONDS) if patient else _REPORT_SECONDS

    async def _attempt(
        self, client: Client, request: Request, body: bytes, raw: bytes, limit: float
    ) -> _Attempt:
        """Ask the forge once, for ``limit`` seconds at most, and hear its answer, or that there is none."""
        began = self._home.clock()
        try:
            whole = await self._home.passing.ask_whole(client, raw, limits=Limits(total=limit))
        except Unreachable as error:
            if isinstance(request, LogReport | StateReport):
                worker = self._workers.of_task(client, request, body)
                self._reports.missed(worker, request, self._home.clock() - began)
            refusal = self._home.passing.refusal(client, error, request, self._home.called(request))
            return _Attempt(refusal, "away", changed=False)
        before = self._home.memory.changes
        answer = self._hear(client, request, body, whole, self._home.clock() - began)
        return _Attempt(whole, _verdict(request, answer, whole.status), self._home.memory.changes != before)

    def _hear(self, client: Client, request: Request, body: bytes, whole: Whole, seconds: float) -> Answer:
        try:
            answer = self._home.read_answer(request, whole)
        except Unreadable as error:
            self._unread(str(error))
            answer = Failed(sentence=str(error), code="unknown", status=whole.status)
        if isinstance(answer, Declared):
            self._declared(client, request, body, answer)
        elif isinstance(answer, Unauthenticated) and isinstance(request, Declare):
            proof = self._home.dialect.proof(client.headers, body)
            name = self._home.called(request) or "unknown"
            self._home.refusals.refused(proof, name, client.address, answer.sentence)
        elif isinstance(request, LogReport | StateReport):
            accepted = isinstance(answer, LogTaken | StateTaken)
            worker = self._workers.of_task(client, request, body, make=accepted)
            if isinstance(answer, LogTaken | StateTaken) and answer.over is not None:
                self._cancelled(request, client, body)
            if worker is not None:
                if accepted:
                    worker.reported(request.task_id, client, body)
                self._reports.heard(worker, Reported(request, body, answer, seconds))
        return answer

    def _cancelled(self, report: LogReport | StateReport, client: Client, body: bytes) -> None:
        """The forge has ended it: nobody waits, and the job's token does not work any more."""
        known = self._home.memory.tasks.get(report.task_id)
        if known is not None and self._workers.is_of(known, client, body):
            self._home.evidences.begin(self._home.ended_of(known))

    def _declared(self, client: Client, request: Request, body: bytes, answer: Declared) -> None:
        identity = answer.identity
        if identity is None:
            return
        if identity.name is not None or identity.key not in self._home.memory.names:
            self._home.memory.call(identity)
        if isinstance(request, Declare):
            worker = self._workers.of(self._home.dialect.proof(client.headers, body), identity.key)
            if worker is not None:
                if worker.accepted:
                    worker.declare()
                worker.accept()

    async def deliver(self, task_id: str, call: Call) -> Verdict:
        """Tell the forge for a runner that has given up."""
        began = self._home.clock()
        headers = by_name((name.encode("latin-1"), value.encode("latin-1")) for name, value in call.headers)
        try:
            whole = await self._home.passing.call(
                call.method, call.path, call.headers, call.body, limits=Limits(total=_REPORT_SECONDS)
            )
            body = plain_body(headers, call.body, self._home.options.read_bytes)
            request = self._home.dialect.read_request(call.method, call.path, headers, body)
            answer = self._home.read_answer(request, whole)
        except Unreachable:
            return "away"
        except Unreadable:
            return "later"
        verdict = _verdict(request, answer, whole.status)
        if verdict == "away":
            return verdict
        known = self._home.memory.tasks.get(task_id)
        worker = self._workers.of(known.proof, known.identity) if known else None
        if worker is not None and isinstance(request, LogReport | StateReport):
            self._reports.heard(worker, Reported(request, body, answer, self._home.clock() - began))
        return verdict


def is_last(request: Request) -> bool:
    """Whether a runner reports no more of its kind of a task after it."""
    if isinstance(request, LogReport):
        return request.last
    return isinstance(request, StateReport) and request.result is not None


def _verdict(request: Request, answer: Answer, status: int) -> Verdict:
    """What an answer means for a report: only who has taken it, or never will, need not hear it again."""
    if status in AWAY:  # The forge says so, or what stands before it.
        return "away"
    match answer:
        case LogTaken() if isinstance(request, LogReport):
            all_of_it = answer.acknowledged is None or answer.acknowledged >= request.start + request.count
            if answer.taken and all_of_it:
                return "taken"
            return "closed" if answer.over is not None else "later"
        case Failed(code=code):
            refused = code.isdigit() and 400 <= int(code) < 500 and int(code) not in _TRY_AGAIN
            return "closed" if refused or code in _CLOSED else "later"
        case Unauthenticated():
            return "closed"
    return "taken"
