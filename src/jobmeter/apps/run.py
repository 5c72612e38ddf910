"""`jobmeter run`: start a command, meter it, report. One thread samples, one sends."""

import os
import signal
import time
from collections.abc import Mapping

from jobmeter.apps import outputs, run_report
from jobmeter.apps.job_meter import JobMeter, reaped_io
from jobmeter.apps.run_record import RunRecord
from jobmeter.config.settings import RUN_ONLY_VARIABLES, RunSettings
from jobmeter.metering.group import Group
from jobmeter.metering.loop import Loop
from jobmeter.metering.membership import JOB, Descent
from jobmeter.metering.timetable import Timetable
from jobmeter.model import exits
from jobmeter.model.errors import CommandError
from jobmeter.model.sample import ContainerInfo
from jobmeter.supervise.command import Command, Inherited, become_subreaper, inherit
from jobmeter.supervise.marks import SOCKET_VARIABLE, MarkListener
from jobmeter.supervise.placement import Placement, try_cgroup
from jobmeter.supervise.signals import HANDLED, RELAYED, SignalQueue
from jobmeter.supervise.unmetered import run_unmetered


def run(settings: RunSettings, environ: Mapping[str, str]) -> int:
    """Run the command, meter it, report; returns the command's exit code."""
    settings = run_report.check_outputs(settings)
    inherited = inherit(HANDLED)
    session = _begin(settings, environ, inherited)
    if session is None:
        return run_unmetered(settings.command, _without_our_own(environ), inherited)
    try:
        session.wait()
    finally:
        session.clean_up()
    run_report.write(settings, environ, session.record, quiet=settings.quiet)
    session.record.finish_sending(session.ended)
    return exits.exit_code(session.status)


def _begin(settings: RunSettings, environ: Mapping[str, str], inherited: Inherited) -> "_Session | None":
    """The running command; None where nothing can be metered. Raises CommandError when it cannot be started."""
    session: _Session | None = None
    try:
        session = _Session(settings, environ)
        session.prepare()
        session.start(inherited)
    except CommandError as error:
        assert session is not None
        session.record.recorder.end(0.0, exits.not_started(error.exit_code, str(error)))
        session.record.start_sending()
        session.clean_up()
        run_report.write(settings, environ, session.record, quiet=True)
        session.record.finish_sending(time.monotonic())
        raise
    except Exception as error:  # Whatever fails here must not fail the job.
        if session is not None:
            session.clean_up()
        outputs.say(f"the command cannot be metered here: {error}; it runs without")
        return None
    return session


class _Session:
    """One command from its start to its end record."""

    def __init__(self, settings: RunSettings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = environ
        self.record = RunRecord(settings, environ)
        self._timetable = Timetable(settings.interval)
        self._loop = Loop(self._timetable, self._tick, started=self.record.started)
        self._placement = Placement.find()
        self._marks: MarkListener | None = None
        self._cancelled_by: str | None = None
        self._ended_at = 0.0
        self._meter: JobMeter | None = None
        self.status = 0
        # When the command had ended, on the monotonic clock.
        self.ended = 0.0

    def prepare(self) -> None:
        """Make all that the metering needs and take the first sample."""
        warn = self.record.recorder.warn
        if not become_subreaper():
            warn("The kernel refuses a child subreaper: CPU time of orphans may be missing.")
        if self._settings.source in ("auto", "cgroup"):
            try_cgroup(self._placement, warn if self._settings.source == "cgroup" else None)
        self._group = self._make_group()
        self._meter = JobMeter(
            self.record, self._timetable, self._group, Descent(os.getpid()), source=self._settings.source,
            top=self._settings.top,
        )  # fmt: skip
        self._listen_for_marks()
        self._signals = SignalQueue()  # Before the start: what fails after it could start the command twice.
        self._tick(0.0, self._timetable.take(0.0).due_seconds)

    def start(self, inherited: Inherited) -> None:
        """Start the command."""
        self._command = Command.start(
            self._settings.command, self._child_environ(), inherited, self._placement
        )
        if not self._command.entered:
            self._group.abandon_cgroup()
            self.record.recorder.warn(
                "The command could not be moved into its cgroup; CPU time is taken from /proc instead."
            )
        self._loop.watch(self._signals.fileno(), self._on_signals)

    def wait(self) -> None:
        """Sample until the command has ended, then once more, and record the end."""
        self.record.start_sending()  # Not before: nothing that fails after the start may start the command twice.
        self._loop.run()
        self.ended = time.monotonic()
        self._tick(self._ended_at, self._ended_at, final=True)
        assert self._meter is not None
        survivors = self._meter.survivors()
        for left in self._placement.remove():
            self.record.recorder.warn(
                f"The cgroup {left} could not be removed: others made cgroups below it."
            )
        exit_ = self._meter.exit(self.status, self._ended_at, self._cancelled_by)
        self.record.recorder.end(self._ended_at, exit_, survivors)

    def clean_up(self) -> None:
        """Leave nothing behind, whatever happened."""
        if self._meter is not None:
            self._meter.close()
        self._placement.remove()
        if self._marks is not None:
            self._marks.close()
        self.record.close()

    def _make_group(self) -> Group:
        bound, bounds = self._placement.bounds()
        info = ContainerInfo(
            key=JOB,
            name=JOB,
            cpu_limit_cores=bound.limits.cpu_cores,
            memory_limit_bytes=bound.limits.memory_bytes,
        )
        return Group(info, self._placement.reader(), bounds, reaped_io)

    def _listen_for_marks(self) -> None:
        try:
            self._marks = MarkListener(f"@jobmeter-{self.record.recorder.run_uid}")
        except OSError as error:
            self.record.recorder.warn(f"Marks cannot be heard: {error.strerror}.")
            return
        self._loop.watch(self._marks.fileno(), self._on_marks)

    def _child_environ(self) -> dict[str, str]:
        environ = _without_our_own(self._environ)
        if self._marks is not None:
            environ[SOCKET_VARIABLE] = self._marks.address
        return environ

    def _tick(self, elapsed: float, due: float, *, final: bool = False) -> None:
        if self._meter is not None:
            self._meter.tick(elapsed, due, final=final)

    def _on_signals(self) -> None:
        for signum, to_group in self._signals.read():
            if signum == signal.SIGCHLD:
                self._reap()
            elif signum in RELAYED and not to_group:
                self._cancelled_by = signum.name
                self._command.send(signum)

    def _reap(self) -> None:
        for pid, status, peak in self._command.reap():
            self._group.note_child_peak(peak)
            if pid == self._command.pid:
                self.status, self._ended_at = status, self._loop.elapsed
                self._loop.stop()

    def _on_marks(self) -> None:
        if self._marks is not None and self._meter is not None:
            self._meter.hear(self._marks, self._loop.elapsed)


def _without_our_own(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of the command: what this run writes and sends is not for a jobmeter in the job as well."""
    return {name: text for name, text in environ.items() if name not in RUN_ONLY_VARIABLES}
