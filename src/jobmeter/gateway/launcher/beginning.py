"""What a runner of a task is started with: credentials of its own, a work dir, and the word to its keeper."""

import asyncio
from pathlib import Path

from msgspec.structs import replace

from jobmeter.gateway.forges.own import Credential, fresh_credential
from jobmeter.gateway.launcher import work_dir
from jobmeter.gateway.launcher.kept_runner import KeptRunner
from jobmeter.gateway.launcher.port import Employer, Shared
from jobmeter.gateway.launcher.site import Record
from jobmeter.gateway.launcher.templates import Places, Prepared, prepare
from jobmeter.gateway.relay.tasks import Known
from jobmeter.supervise.keeper.spec import Limits, Spec


class Beginning:
    """Of one task's ``runner``, which may have to be started more than once; ``record`` is what is kept of that."""

    def __init__(
        self, shared: Shared, employer: Employer, known: Known, runner: KeptRunner, record: Record
    ) -> None:
        self._shared = shared
        self._employer = employer
        self._known = known
        self._runner = runner
        self._record = record

    @property
    def limits(self) -> Limits:
        """Those that the task was begun with, whatever the configuration says now."""
        return self._record.limits or self._employer.options.limits

    def complete(self) -> None:
        """What its record says of it from its first start on, whatever the configuration says later."""
        record, options = self._record, self._employer.options
        if record.work_dir:
            return
        if self._known.task is not None:
            record.token = self._shared.home.dialect.task_token(self._known.task)
        record.limits = options.limits
        record.work_dir = str(Path(options.work_dir) / self._runner.name)

    def credential(self) -> Credential:
        """A new one, as runners of this forge have it."""
        credential = fresh_credential()
        return replace(credential, uuid=None) if self._shared.home.options.kind == "gitlab" else credential

    async def start(self, credential: Credential) -> None:
        """Start it, in a new work dir. Raises LaunchError, OSError."""
        prepared = self._prepared(credential)
        user = self._employer.options.user
        await asyncio.to_thread(work_dir.make, Path(self._record.work_dir), user, prepared)
        await self._runner.start(self._spec(prepared))

    def _prepared(self, credential: Credential) -> Prepared:
        options = self._employer.options
        places = Places(
            kind=self._shared.home.options.kind,
            name=options.name,
            task_id=self._known.id,
            url=self._shared.options.address,
            credential=credential,
            labels=self._employer.registration.labels,
            work_dir=self._record.work_dir,
            timeout_seconds=self.limits.timeout_seconds,
        )
        return prepare(options.command, places, options.environment)

    def _spec(self, prepared: Prepared) -> Spec:
        site, launch = self._shared.site, self._shared.options
        return Spec(
            task_id=self._known.id,
            name=self._runner.name,
            folder=self._runner.folder,
            work_dir=self._record.work_dir,
            argv=prepared.argv,
            environ=prepared.environ,
            journal=str(site.journal(self._known.id)),
            user=self._employer.options.user,
            limits=self.limits,
            job=self._known.job,
            receiver=launch.receiver,
            receiver_token=launch.receiver_token,
            output=site.output(self._known.id).name,
        )
