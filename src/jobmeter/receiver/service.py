"""The whole receiver: one database, its writer, the routes over them, and its life."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from jobmeter.model.errors import StoreError, StoreFull
from jobmeter.model.prices import Prices
from jobmeter.ops.application import Application
from jobmeter.ops.health import Health
from jobmeter.ops.jobs import jobs_route
from jobmeter.ops.log import FullLog, Log, Sparing
from jobmeter.ops.metrics import daemon_registry, exposition
from jobmeter.ops.pprof.routes import Pprof
from jobmeter.ops.problems import Problem, Unavailable
from jobmeter.ops.routing import Content, Route
from jobmeter.ops.runtime import runtime_observed
from jobmeter.receiver import ingest, seed
from jobmeter.receiver.access.audit import Audit
from jobmeter.receiver.access.directory import Directory
from jobmeter.receiver.access.grant import Right
from jobmeter.receiver.access.guard import Guard
from jobmeter.receiver.access.headers import headers_for
from jobmeter.receiver.access.job_tokens import JobTokens
from jobmeter.receiver.access.minting import minting_route
from jobmeter.receiver.access.rules import AccessRules
from jobmeter.receiver.access.sessions import Sessions
from jobmeter.receiver.api.history import History, HistoryApi
from jobmeter.receiver.api.now import NowApi
from jobmeter.receiver.api.readings import Readings
from jobmeter.receiver.api.routes import RunsApi
from jobmeter.receiver.api.sizing import SizingApi
from jobmeter.receiver.bodies import Handling, Intake
from jobmeter.receiver.bookkeeping import Bookkeeping
from jobmeter.receiver.endings import Endings
from jobmeter.receiver.evidence import EvidenceApi
from jobmeter.receiver.figures import Figures
from jobmeter.receiver.live import Live
from jobmeter.receiver.openapi import with_document
from jobmeter.receiver.pages.drawing import Drawing
from jobmeter.receiver.pages.history_routes import HistoryPages
from jobmeter.receiver.pages.login_routes import Login
from jobmeter.receiver.pages.routes import Pages, refusal
from jobmeter.receiver.parts import Parts
from jobmeter.receiver.retention import Retention
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.errors import Foreign, NotStorable
from jobmeter.receiver.store.readiness import Readiness
from jobmeter.receiver.store.retention import Keep
from jobmeter.receiver.store.writer import QueueFull, Writer
from jobmeter.receiver.streamed import StreamedJobs

_GRACE_SECONDS = 5.0
"""A little longer than a commit waits for another process' lock."""
_AGAIN_SECONDS = 60.0


class Receiver:
    """Stores runs and answers questions while its ``life`` lasts."""

    def __init__(
        self,
        database: Database,
        rules: AccessRules,
        log: FullLog,
        *,
        lost_after_seconds: float,
        prices: Prices | None = None,
        keep: Keep = Keep(),  # noqa: B008  # It is a constant.
    ) -> None:
        self._database = database
        self._log = log
        self._figures = Figures(daemon_registry())
        self._writer = Writer(database, self._figures.committed)
        self._figures.queued.set_function(lambda: self._writer.queued)
        self._endings = Endings(
            database, self._writer, self._figures, log, lost_after_seconds=lost_after_seconds
        )
        self._retention = Retention(database, self._writer, self._figures, log, keep)
        self._bookkeeping = Bookkeeping(database, self._writer, log)
        self._readings = Readings(database)
        self._history = History(self._readings, self._bookkeeping.catch_up, prices)
        self._drawing = Drawing()
        self._live = Live(database, lost_after_seconds=lost_after_seconds)
        self._figures.listeners.set_function(lambda: self._live.listeners)
        self._rules = rules
        self._audit = Audit(log)
        self._directory = Directory(
            database, {"read": rules.read_token, "push": rules.push_token}, self._writer.submit
        )
        self._job_tokens = JobTokens(rules.job_key) if rules.job_key else None
        sessions = Sessions(database, self._directory, self._writer.submit, secure=rules.is_secure)
        self._guard = Guard(rules, self._directory, self._job_tokens, sessions, self._audit)
        self._login = _login_routes(rules, self._guard, sessions, self._audit, log)
        self._readiness = Readiness(database.backend, self._writer.trouble)
        self.health = Health(self._readiness.trouble, _GRACE_SECONDS)
        self.application = Application(
            self._routes(),
            self._guard,
            log,
            headers=headers_for(tls=rules.tls),
            answered=self._figures.answered,
            admit=Intake().counting,
            problem_of=partial(_problem_of, Sparing(log)),
            page_of=refusal,
        )

    def _routes(self) -> tuple[Route, ...]:
        """What clients ask for is in the document; what shows the inside of the process is not."""
        readings, handling = self._readings, Handling()
        pages = Pages(readings, self._drawing, self._live, self._bookkeeping.catch_up)
        history_pages = HistoryPages(self._history, self._drawing)
        health = self.health.routes("Whether it can store and answer")
        documented = with_document(
            (
                *ingest.routes(self._writer, handling, self._figures),
                *Parts(self._writer, handling, self._endings, self._figures).routes(),
                *EvidenceApi(self._writer, handling, readings, self._figures).routes(),
                minting_route(self._job_tokens, self._rules.job_token_seconds, self._guard, self._audit),
                *seed.routes(self._database),
                *RunsApi(readings, self._bookkeeping.catch_up).routes(),
                *NowApi(self._live).routes(),
                *HistoryApi(self._history).routes(),
                *SizingApi(self._history).routes(),
                *pages.routes(),
                *history_pages.routes(),
                *(route for route in health if route.access == "open"),
                Route(
                    "GET", "/metrics", exposition(self._figures.registry), "open",
                    "What the receiver counts of itself",
                    answers={200: Content(None, "The form that was asked for.", "text/plain")},
                ),
            )
        )  # fmt: skip
        inside = (route for route in health if route.access == "debug")
        return (
            *documented,
            *pages.parts(),
            *history_pages.parts(),
            *self._login,
            *inside,
            jobs_route(StreamedJobs(readings)),
            *Pprof().routes(),
        )

    def asks_for(self, right: Right) -> bool:
        """Whether a token is needed for it; known within its ``life``."""
        return self._guard.needs(right)

    def stopping(self) -> None:
        """It has been told to stop: it is not ready any more, and who listens may go elsewhere."""
        self.health.stopping()
        self._live.stop()

    @asynccontextmanager
    async def life(self) -> AsyncIterator[None]:
        """Begin to write; at the end commit what waits and let go of the database."""
        self._writer.start()
        await self._directory.renewed()
        gc.freeze()  # What was imported stays; there is no need to look at it for garbage again and again.
        works = (
            self._endings.finish_silent,
            self._endings.merge_left,
            self._bookkeeping.keep,
            partial(self._database.keep_up, self._log),
            self._retention.sweep_for_ever,
        )
        tasks = [asyncio.create_task(kept_going(work, self._log)) for work in works]
        try:
            with runtime_observed(self._figures.registry):
                yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await self._drawing.close()
            await self._endings.settle()
            await self._directory.close()
            await self._writer.close()
            self._readiness.close()
            self._database.close()


async def kept_going(work: Callable[[], Coroutine[Any, Any, None]], log: Log) -> None:
    """Do it to its end; what fails, for whatever reason, is told and begun again after a while."""
    while True:
        try:
            return await work()
        except Exception as error:
            log.warn(
                "work in the background failed and begins again",
                error=f"{type(error).__name__}: {error}",
                in_seconds=_AGAIN_SECONDS,
            )
        await asyncio.sleep(_AGAIN_SECONDS)


def _login_routes(
    rules: AccessRules, guard: Guard, sessions: Sessions, audit: Audit, log: Log
) -> tuple[Route, ...]:
    """Those of signing in; the library for accounts elsewhere is needed only there."""
    if rules.oidc is None:
        return Login(guard, sessions, audit).routes()
    from jobmeter.receiver.access import oidc

    login = Login(guard, sessions, audit, provider=oidc.BEGIN)
    elsewhere = oidc.OidcLogin(rules.oidc, guard, sessions, audit, Sparing(log))
    return (*login.routes(), *elsewhere.routes())


def _problem_of(log: Log, error: Exception) -> Problem | None:
    """What a client is told when something cannot be stored or asked for."""
    match error:
        case QueueFull():
            return Unavailable("More is waiting to be stored than there is room for; try again soon.")
        case StoreFull():
            log.warn(str(error))
            return Problem(507, "There is no room to store it; what was acknowledged before is safe.")
        case Foreign():
            return Problem(403, "The token that was sent stores no runs of this job.")
        case NotStorable():
            log.warn(str(error))
            return Problem(400, f"What was sent cannot be stored: {error}.")
        case StoreError():
            log.warn(str(error))
            return Unavailable("The database cannot be used now; the log of the receiver says why.", 5)
    return None
