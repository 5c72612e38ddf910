"""The record of a run that is being made: its recorder, its journal, its clock."""

import os
import time
from collections.abc import Mapping

from jobmeter import __version__
from jobmeter.apps import outputs
from jobmeter.identity.job import identify_job
from jobmeter.metering.host import HostReader, read_boot_id
from jobmeter.model.exits import OutOfMemory
from jobmeter.model.oom import out_of_memory
from jobmeter.model.sample import Sample
from jobmeter.model.summarize import RunFold, rfc3339_of
from jobmeter.model.uid import uuid7
from jobmeter.spool.recorder import Recorder


class RunRecord:
    """Begins a run: identity, host, journal; ``started`` is its start on the monotonic clock."""

    def __init__(
        self, journal: str | None, interval: float, top: int, environ: Mapping[str, str], meter: str = "run"
    ) -> None:
        begun = time.time()
        self.started = time.monotonic()
        self.fold = RunFold(top)
        self.recorder = Recorder(uuid7(int(begun * 1000), os.urandom(10)), self.fold)
        job, problems = identify_job(environ)
        problems = list(problems)
        self.host = HostReader(warn=problems.append)
        path = journal or outputs.default_journal(environ, self.recorder.run_uid)
        self.journal = outputs.open_journal(path, problems.append)
        if self.journal.writable:
            outputs.bound_default_journals(path, environ, self.recorder.run_uid)
        self.recorder.add_sink(self.journal.write)
        self.recorder.start(
            start_time=rfc3339_of(begun), monotonic_seconds=self.started, boot_id=read_boot_id(),
            interval_seconds=interval, version=__version__, meter=meter, job=job, host=self.host.describe(),
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

    def close(self) -> None:
        """Close the journal."""
        self.journal.close()
