"""The gateway's referee: asks Prometheus at the end of each job, attaches what it finds, brings it to the receiver."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from jobmeter.config.gateway_referee import GatewayRefereeSettings
from jobmeter.gateway.evidence import Ended
from jobmeter.gateway.figures.referee import Found, Place, RefereeFigures
from jobmeter.gateway.relay.options import ForgeOptions
from jobmeter.gateway.relay.upstream import tls_context
from jobmeter.model.errors import SendError, UsageError
from jobmeter.model.evidence.document import Evidence
from jobmeter.ops.log import FullLog, Sparing
from jobmeter.referee.deliveries import Deliveries, Told
from jobmeter.referee.referee import Occasion, Referee
from jobmeter.referee.uploads.actions import Actions
from jobmeter.referee.uploads.directory import Directory
from jobmeter.referee.uploads.gitlab import GitLab
from jobmeter.referee.uploads.port import Attachment, artifact_name, file_name
from jobmeter.referee.uploads.port import Place as Attaching
from jobmeter.referee.uploads.receiver import Receiver
from jobmeter.referee.uploads.sending import Sending
from jobmeter.report.evidence_forms import written

_SHARE_OF_BUDGET = 0.75
"""Of it Prometheus has so much where the answer has to be attached while the job's token is good."""
_PATIENT_SECONDS = 30.0
"""So long it may take where nobody waits for it."""
_UPLOAD_SECONDS = 10.0
_LAST_SECONDS = 3.0
"""At the end of the gateway evidence on its way has so long."""


class GatewayReferee:
    """A gateway's Referee, to be used within its ``life``. ``forges`` are those whose jobs it is asked for."""

    def __init__(
        self,
        settings: GatewayRefereeSettings,
        forges: Sequence[ForgeOptions],
        receiver: Receiver | None,
        log: FullLog,
    ) -> None:
        self._settings = settings
        self._forges = {forge.name: forge for forge in forges}
        self._sending = {forge.name: _sending(forge) for forge in forges}
        self._log = log
        self._sparing = Sparing(log)
        self._referee = Referee(settings.options)
        self._deliveries = (
            Deliveries(self._referee, receiver, self._brought) if receiver is not None else None
        )
        self._figures: RefereeFigures | None = None
        self._is_hurried = not {"gitlab", "actions"}.isdisjoint(settings.upload)

    @property
    def budget_seconds(self) -> float:
        """So long a last report may wait for it; 0 where nothing is attached by a token of the job."""
        return self._settings.budget if self._is_hurried else 0.0

    @property
    def wants_runtime_tokens(self) -> bool:
        """Whether it attaches artifacts to jobs of Actions."""
        return "actions" in self._settings.upload

    def count(self, registry: CollectorRegistry) -> None:
        """Show what it does among these series."""
        self._figures = RefereeFigures(registry, lambda: self._deliveries.waiting if self._deliveries else 0)

    @asynccontextmanager
    async def life(self) -> AsyncIterator[None]:
        """While this lasts Prometheus can be asked; what is then still to be brought to the receiver is told."""
        async with self._referee:
            try:
                yield
            finally:
                left = await self._deliveries.close(_LAST_SECONDS) if self._deliveries else 0
                if left:
                    self._log.warn(
                        "evidence of jobs is not complete at the receiver: the gateway stops", jobs=left
                    )

    async def ended(self, ended: Ended) -> None:
        """Ask what was seen of it, and attach that; the receiver has time."""
        occasion = self._occasion(ended)
        if occasion is None:
            return
        began = time.monotonic()
        budget = _SHARE_OF_BUDGET * self._settings.budget if self._is_hurried else _PATIENT_SECONDS
        document = await self._referee.ask(occasion, budget)
        self._tell(ended, document, time.monotonic() - began)
        if self._deliveries is not None:
            self._deliveries.begin(occasion, document)
        places = self._places(ended)
        if places:
            attachment = await asyncio.to_thread(self._attachment, ended, document)
            await asyncio.gather(
                *(self._attach(ended, name, place, attachment) for name, place in places.items())
            )

    def late(self, ended: Ended) -> None:
        """A last report went before it was done."""
        if self._figures is not None:
            self._figures.late()
        self._sparing.warn(
            "the end of a job is reported before its evidence is complete: the budget is spent",
            task=ended.task_id,
            budget_seconds=self.budget_seconds,
        )

    def _occasion(self, ended: Ended) -> Occasion | None:
        """None where the selector asks for what is not known of this job."""
        assert ended.began is not None
        job = replace(ended.job, runner=ended.job.runner or ended.runner)
        try:
            selector = self._settings.options.selector_of(job, ended.task_id)
        except UsageError as error:
            self._sparing.warn("no evidence of a job can be had", task=ended.task_id, error=str(error))
            if self._figures is not None:
                self._figures.asked("skipped")
            return None
        return Occasion(ended.began, ended.ended, selector, job, ended.run_uid, ended.task_id)

    def _tell(self, ended: Ended, document: Evidence, seconds: float) -> None:
        states = [query.state for query in document.queries]
        found = _found(document)
        if self._figures is not None:
            self._figures.asked(found, seconds)
        told = {state: states.count(state) for state in ("data", "partial", "empty", "failed")}
        self._log.info(
            "evidence of a job", forge=ended.forge, task=ended.task_id, seconds=round(seconds, 3), **told
        )
        if found == "failed":
            reasons = (query.reason for query in document.queries)
            why = next(filter(None, (*document.problems, *reasons)), "")
            self._sparing.warn("Prometheus has answered nothing about a job", task=ended.task_id, error=why)

    def _places(self, ended: Ended) -> Mapping[Place, Attaching]:
        """Where its evidence is attached."""
        forge, sending = self._forges[ended.forge], self._sending[ended.forge]
        base = forge.url.rstrip("/")
        found: dict[Place, Attaching] = {}
        for one in self._settings.upload:
            if one == "gitlab":
                if forge.kind == "gitlab" and ended.token is not None:
                    found["gitlab"] = GitLab(f"{base}/api/v4", ended.task_id, ended.token, sending)
            elif one == "actions":
                if ended.runtime_token is not None:
                    older = f"{base}/api/actions_pipeline/"
                    found["actions"] = Actions(ended.runtime_token, base, older, ended.job.run_id, sending)
            else:
                found["directory"] = Directory(one)
        return found

    def _attachment(self, ended: Ended, document: Evidence) -> Attachment:
        form = self._settings.format
        return Attachment(
            artifact_name(document.job.job, ended.task_id), file_name(form), written(document, form)
        )

    async def _attach(self, ended: Ended, name: Place, place: Attaching, attachment: Attachment) -> None:
        try:
            async with asyncio.timeout(_UPLOAD_SECONDS):
                await place.upload(attachment)
            self._delivered(name, Told(ended.task_id, "kept"))
        except TimeoutError:
            self._delivered(name, Told(ended.task_id, "refused", f"it took over {_UPLOAD_SECONDS:g} s"))
        except SendError as error:
            self._delivered(name, Told(ended.task_id, "refused", str(error)))

    def _brought(self, told: Told) -> None:
        self._delivered("receiver", told)

    def _delivered(self, place: Place, told: Told) -> None:
        if self._figures is not None:
            self._figures.delivered(place, told.outcome)
        if told.outcome != "kept":
            self._sparing.warn(
                "evidence of a job is not where it belongs", task=told.task, place=place, error=told.error
            )


def _sending(forge: ForgeOptions) -> Sending:
    """With the authorities and certificates by which the gateway reaches its forge. Raises UsageError."""
    tls = tls_context(forge) if forge.url.startswith("https:") else None
    return Sending(timeout=_UPLOAD_SECONDS, tls=tls)


def _found(document: Evidence) -> Found:
    states = {query.state for query in document.queries}
    if not states or states == {"failed"}:
        return "failed"
    if states & {"failed", "partial"}:
        return "partial"
    return "data" if "data" in states else "empty"
