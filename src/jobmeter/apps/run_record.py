"""The record of a run that is being made: its recorder, its journal, its clock."""

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from jobmeter import __version__
from jobmeter.apps import outputs
from jobmeter.config.settings import RunSettings
from jobmeter.identity.job import identify_job
from jobmeter.metering.host import HostReader, read_boot_id
from jobmeter.model.exits import OutOfMemory
from jobmeter.model.job import Job
from jobmeter.model.oom import out_of_memory
from jobmeter.model.sample import Sample
from jobmeter.model.summarize import RunFold, rfc3339_of
from jobmeter.model.uid import uuid7
from jobmeter.spool.recorder import Recorder

if TYPE_CHECKING:
    from jobmeter.apps.sending import Sending


class RunRecord:
    """Begins a run: identity, host, journal; ``started`` is its start on the monotonic clock."""

    def __init__(
        self, settings: RunSettings, environ: Mapping[str, str], meter: str = "run", *, job: Job | None = None,
        patient: bool = False,
    ) -> None:  # fmt: skip
        """``job`` is what is known of it; without it the environment tells. ``patient``: see Sending."""
        begun = time.time()
        self.started = time.monotonic()
        self.fold = RunFold(settings.top)
        self.recorder = Recorder(uuid7(int(begun * 1000), os.urandom(10)), self.fold)
        problems: list[str] = []
        if job is None:
            job, found = identify_job(environ)
            problems += found
        self.host = HostReader(warn=problems.append)
        path = settings.journal or outputs.default_journal(environ, self.recorder.run_uid)
        self.journal = outputs.open_journal(path, problems.append)
        if self.journal.writable:
            outputs.bound_default_journals(path, environ, self.recorder.run_uid)
        self.recorder.add_sink(self.journal.write)
        self._sending = self._make_sending(settings, patient)
        self._settings = settings
        self.recorder.start(
            start_time=rfc3339_of(begun), monotonic_seconds=self.started, boot_id=read_boot_id(),
            interval_seconds=settings.interval, version=__version__, meter=meter, job=job, host=self.host.describe(),
        )  # fmt: skip
        for problem in problems:
            self.recorder.warn(problem)
        self.journal.on_warning(self.recorder.warn)

    def sample(self, sample: Sample) -> None:
        """Record one tick."""
        self.recorder.sample(sample)

    def out_of_memory(self, *, certain: bool) -> OutOfMemory | None:
        """What the run knows of OOM kills; None when there was none."""
        return out_of_memory(self.fold.summary(), certain=certain)

    def start_sending(self) -> None:
        """Begin to send what a receiver is to have, in a thread: to be called when the command was started."""
        if self._sending is not None:
            self._sending.start()

    def finish_sending(self, ended: float) -> None:
        """Wait for what was not yet sent, at most the grace period since ``ended``; say what became of it."""
        for text in self.unsent(ended):
            outputs.say(text)
        if self._sending is not None and self._sending.page is not None and not self._settings.quiet:
            outputs.say(f"the run is at {self._sending.page}")

    def unsent(self, ended: float) -> list[str]:
        """The same wait; returns what is to be said of what was not sent."""
        if self._sending is None:
            return []
        return self._sending.finish(self.fold.summary(), ended + self._settings.grace)

    def close(self) -> None:
        """Close the journal."""
        self.journal.close()

    def _make_sending(self, settings: RunSettings, patient: bool) -> "Sending | None":
        if settings.receiver is None and settings.push_endpoint is None:
            return None
        from jobmeter.apps.sending import Sending

        sending = Sending(
            settings, self.recorder.run_uid, self.journal, patient=patient, first_offset=self.journal.size
        )
        self.recorder.add_sink(sending.take)
        return sending
