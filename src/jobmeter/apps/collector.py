"""`jobmeter collector`: the sidecar that meters the containers of one job. One thread samples, one may send."""

import os
import resource
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from jobmeter import __version__
from jobmeter.apps import outputs
from jobmeter.collector.absence import Absence
from jobmeter.collector.life import Life, hold_signals
from jobmeter.collector.log import Log
from jobmeter.collector.resume import METER, Unfinished, unfinished_run
from jobmeter.config.settings import CollectorSettings
from jobmeter.containers.mapping import parse_limits, parse_process_map
from jobmeter.containers.naming import ContainerNamer
from jobmeter.identity.job import identify_job
from jobmeter.linux.cgroup_finder import CgroupFinder
from jobmeter.linux.descriptors import raise_descriptor_limit
from jobmeter.linux.process_table import ProcessTable
from jobmeter.metering.container_groups import ContainerGroups, in_initial_pid_namespace
from jobmeter.metering.host import HostReader, read_boot_id
from jobmeter.metering.meter import Meter, boot_seconds, open_exit_records
from jobmeter.metering.processes import ProcessWatch
from jobmeter.model import summary as summaries
from jobmeter.model.errors import JournalError, SendError, SourceUnavailable
from jobmeter.model.exits import Exit
from jobmeter.model.job import Job
from jobmeter.model.oom import collector_exit
from jobmeter.model.summarize import RunFold, rfc3339_of
from jobmeter.model.uid import uuid7
from jobmeter.spool.journal import JournalReader
from jobmeter.spool.recorder import Recorder
from jobmeter.supervise.marks import MarkListener

if TYPE_CHECKING:
    from jobmeter.apps.sending import Sending

_LOOKS = 3


def collect(settings: CollectorSettings, environ: Mapping[str, str]) -> int:
    """Meter until SIGTERM; then write the summary. Returns 0."""
    outputs.check_file("--json", settings.json)
    hold_signals()
    sidecar = _Sidecar(settings, environ)
    try:
        sidecar.run()
    finally:
        sidecar.close()
    sidecar.write_summary()
    sidecar.finish_sending()
    return 0


class _Sidecar:
    """One collector from start to summary."""

    def __init__(self, settings: CollectorSettings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = environ
        self._log = Log(settings.log_level, settings.log_format)
        self._early: list[str] = []
        self._said: set[str] = set()
        self._host = HostReader(settings.proc_path, warn=self._early.append)
        self._look_at_proc()
        self._boot_id = read_boot_id(settings.proc_path)
        raise_descriptor_limit()
        self._begin()

    def run(self) -> None:
        """Sample until a signal comes."""
        life = Life(
            self._recorder,
            self._settings.interval,
            started=self._started,
            first=time.monotonic() - self._started if self._resumed else 0.0,
            grace=self._settings.grace,
        )
        groups = self._groups(life)
        meter = self._meter(groups)
        absence = self._absence(meter)
        self._hear_marks(life)
        if self._sending is not None:
            self._sending.start()
        self._log.info("metering", run_uid=self._recorder.run_uid, journal=self._journal.path)
        try:
            life.run(meter, lambda: self._exit(groups, absence))
        finally:
            meter.close()
            groups.close()
            self._deadline = min(life.deadline, time.monotonic() + self._settings.grace)

    def write_summary(self) -> None:
        """The summary as JSON: in the file that was named, else on stdout."""
        text = summaries.encode(self._fold.summary())
        self._log.info("finished", run_uid=self._recorder.run_uid, samples=self._fold.summary().sample_count)
        target = self._settings.json or f"fd:{sys.stdout.fileno()}"
        outputs.attempt(
            self._settings.json or "The summary on stdout", lambda: outputs.write_file(target, text)
        )

    def finish_sending(self) -> None:
        """Wait for what was not yet sent, at most to the end of the grace period; say what became of it."""
        if self._sending is None:
            return
        for text in self._sending.finish(self._fold.summary(), self._deadline):
            self._log.warn(text.replace("\n", " "))
        if self._sending.page is not None:
            self._log.info("the receiver has the run", page=self._sending.page)

    def close(self) -> None:
        """Close what stays open to the end."""
        self._journal.close()
        if self._marks is not None:
            self._marks.close()

    def _look_at_proc(self) -> None:
        """Say in one sentence when it shows nothing, or only our own processes."""
        root = self._settings.proc_path
        if not os.path.isdir(root):
            self._early.clear()  # The first scan will say it for all of it.
            return
        try:
            os.stat(f"{root}/1/stat")
        except OSError as error:
            self._early.append(
                f"The first process of {root} cannot be seen ({error.strerror}): processes of other users are hidden "
                f"(hidepid) and missing from the result."
            )

    def _begin(self) -> None:
        """Begin a run, or go on with the one in the journal."""
        self._marks: MarkListener | None = None
        job, problems = identify_job(self._environ)
        named = self._settings.journal
        journal = outputs.open_journal(named, self._early.append) if named else None
        before = self._unfinished(job) if journal is not None and journal.path == named else None
        self._resumed = before is not None
        now = time.time()
        self._started = before.monotonic_seconds if before else time.monotonic()
        self._fold = before.fold if before else RunFold(self._settings.top)
        self._names = before.names if before else {}
        run_uid = before.run_uid if before else uuid7(int(now * 1000), os.urandom(10))
        self._recorder = Recorder(run_uid, self._fold)
        path = outputs.default_journal(self._environ, run_uid)
        self._journal = journal or outputs.open_journal(path, self._early.append)
        self._recorder.add_sink(self._journal.write)
        self._sending = self._make_sending()
        if before:
            self._recorder.resume(time.monotonic() - self._started, __version__)
        else:
            self._recorder.start(
                start_time=rfc3339_of(now), monotonic_seconds=self._started, boot_id=self._boot_id,
                interval_seconds=self._settings.interval, version=__version__, meter=METER, job=job,
                host=self._host.describe(),
            )  # fmt: skip
        self._journal.on_warning(self._warn)
        for problem in [*problems, *self._early]:
            self._warn(problem)

    def _make_sending(self) -> "Sending | None":
        if self._settings.receiver is None and self._settings.push_endpoint is None:
            return None
        from jobmeter.apps.sending import Sending

        first = 0 if self._resumed else self._journal.size
        sending = Sending(
            self._settings, self._recorder.run_uid, self._journal,
            patient=True, first_offset=first, resumed=self._resumed, say=self._say_of_sending,
        )  # fmt: skip
        self._recorder.add_sink(sending.take)
        return sending

    def _say_of_sending(self, problem: SendError | None) -> None:
        """Called by the thread that sends: the log is for it too, the run's record is not."""
        from jobmeter.apps.sending import advice

        if problem is None:
            self._log.info("sending again")
        elif problem.retryable:
            self._log.warn(f"{problem}; it is tried again")
        else:
            hint = advice(problem, self._settings.push_token)
            self._log.warn(f"{problem}; nothing more is sent. {hint}".removesuffix(". "))

    def _unfinished(self, job: Job) -> Unfinished | None:
        path = self._settings.journal
        if path is None or not os.path.exists(path):
            return None
        try:
            return unfinished_run(
                JournalReader(path), job, self._boot_id, self._settings.top, time.monotonic()
            )
        except JournalError as error:
            self._early.append(f"{error}; a new run begins.")
            return None

    def _groups(self, life: Life) -> ContainerGroups:
        process_map, problems = parse_process_map(self._environ.get("CGROUP_PROCESS_MAP", ""))
        limits, more = parse_limits(self._environ.get("CGROUP_LIMITS", ""))
        for problem in [*problems, *more]:
            self._warn(problem)
        root = self._settings.proc_path
        groups = ContainerGroups(
            root=root,
            finder=self._finder(),
            namer=ContainerNamer(process_map, self._names),
            limits=limits,
            own_pid=os.getpid(),
            sidecar=not in_initial_pid_namespace(root),
            started_after=boot_seconds() - (time.monotonic() - self._started),
            known=frozenset(self._names) if self._resumed else None,
            warn=self._warn,
            on_events=life.hear_events,
            on_first_process=lambda fd: life.hear_end(fd, groups.first_process_ended),
        )
        return groups

    def _finder(self) -> CgroupFinder:
        root = self._settings.proc_path
        try:
            return CgroupFinder(root, self._settings.cgroup_path)
        except SourceUnavailable as error:
            self._warn(f"--cgroup-path: {error}.")
            return CgroupFinder(root)

    def _absence(self, meter: Meter) -> Absence | None:
        """Who notices that no container is seen; nobody where the run that goes on has seen one."""
        if self._names:
            return None
        on_host = in_initial_pid_namespace(self._settings.proc_path)
        absence = Absence(lambda: meter.scans, self._warn, on_host=on_host)
        self._recorder.add_sink(absence.take)
        return absence

    def _exit(self, groups: ContainerGroups, absence: Absence | None) -> Exit:
        """How the job ended; of one that was never seen, why not."""
        if absence is not None:
            absence.end()
        return collector_exit(self._fold.summary(), groups.suspects)

    def _meter(self, groups: ContainerGroups) -> Meter:
        records = open_exit_records(self._settings.source, self._warn)
        watch = ProcessWatch(
            ProcessTable(
                self._settings.proc_path,
                max_descriptors=max(16, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 512),
                wanted=groups.admit,
                looks=_LOOKS,
            ),
            groups,
            root=self._settings.proc_path,
            started_after=boot_seconds(),
            top=self._settings.top,
            use_exit_records=records is not None,
        )
        return Meter(
            watch,
            groups,
            self._host,
            source=self._settings.source,
            exit_records=records,
            declare=self._recorder.declare,
            warn=self._warn,
        )

    def _hear_marks(self, life: Life) -> None:
        address = self._settings.mark_socket
        if address is None:
            return
        try:
            self._marks = MarkListener(address)
        except OSError as error:
            self._warn(f"Marks cannot be heard at {address}: {error.strerror}.")
            return
        life.hear_marks(self._marks)

    def _warn(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._log.warn(text)
            self._recorder.warn(text)
