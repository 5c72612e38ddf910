"""A keeper's life: what `jobmeter run` is to a command, it is to the runner of one task. One thread meters, one sends.

`python -m jobmeter.apps.keeper FD` is the starter, from which keepers are forked; the gateway starts it.
"""

import contextlib
import os
import signal
import socket
import sys
import time

from msgspec.structs import replace

from jobmeter.apps.job_meter import JobMeter, reaped_io
from jobmeter.apps.outputs import JOURNALS_KEPT
from jobmeter.apps.run_record import RunRecord
from jobmeter.apps.sending import Sending  # noqa: F401 - a keeper imports nothing any more
from jobmeter.config.settings import RunSettings
from jobmeter.linux.cgroup_reader import CgroupReader
from jobmeter.metering.group import Group
from jobmeter.metering.loop import Loop
from jobmeter.metering.membership import JOB, Everyone
from jobmeter.metering.timetable import Timetable
from jobmeter.model import exits
from jobmeter.model.errors import CommandError, LaunchError
from jobmeter.model.exits import Exit, Survivor
from jobmeter.model.sample import ContainerInfo
from jobmeter.spool.journal import prune
from jobmeter.supervise.command import Command, become_subreaper, inherit
from jobmeter.supervise.job_cgroup import own_start_ticks
from jobmeter.supervise.keeper.account import Account, find_account
from jobmeter.supervise.keeper.end import Ended, Kept, Reason, detail_of
from jobmeter.supervise.keeper.grounds import find_grounds
from jobmeter.supervise.keeper.launch import launch
from jobmeter.supervise.keeper.output import Output
from jobmeter.supervise.keeper.records import Records
from jobmeter.supervise.keeper.server import serve
from jobmeter.supervise.keeper.spec import Spec
from jobmeter.supervise.keeper.start import Start
from jobmeter.supervise.keeper.task_cgroup import TaskCgroup
from jobmeter.supervise.marks import SOCKET_VARIABLE, MarkListener, Sender
from jobmeter.supervise.signals import SignalQueue

_TOP = 10
_HANDLED = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})
# A runner that is asked to end has so long, after its time limit and when it is stopped.
_TIMEOUT_POLITE_SECONDS = 1.0
_STOP_POLITE_SECONDS = 3.0
_SURVIVORS_POLITE_SECONDS = 0.5
_KILL_AGAIN_SECONDS = 0.1


def starter_command() -> list[str]:
    """The command of a starter; the number of its socket's descriptor is to be added."""
    return [sys.executable, "-P", "-m", "jobmeter.apps.keeper"]


def keep(spec: Spec, start: Start) -> None:
    """Keep one runner, from its start to what the receiver has of it. Raises LaunchError where nothing was started."""
    os.umask(0o077)
    _be_called(f"job {spec.task_id}")
    _leave_streams()
    with contextlib.ExitStack() as undo:
        account = find_account(spec.user) if spec.user is not None else None
        try:
            keeper = _Keeper(spec, account, undo)
            start.ready(keeper.kept)
            keeper.start(account)
        except OSError as error:
            where = error.filename or spec.folder
            raise LaunchError(f"no runner can be kept here: {where}: {error.strerror}") from None
        undo.pop_all()
    start.started()
    try:
        keeper.wait()
        keeper.finish()
    except Exception as error:
        keeper.complain(f"the keeper of task {spec.task_id} ended by a fault of ours: {error!r}")
        raise


class _Keeper:
    """One runner from its start to its end. ``undo`` takes away what was made, unless the runner was started."""

    def __init__(self, spec: Spec, account: Account | None, undo: contextlib.ExitStack) -> None:
        self._spec = spec
        self._cgroup = TaskCgroup.create(find_grounds(), spec.name, spec.limits)
        undo.callback(self._cgroup.remove)
        undo.callback(self._cgroup.end)
        # Not before the cgroup: it is what keeps a second keeper from the same task.
        self._records = Records(spec.folder)
        undo.callback(self._records.abandon)
        self._output = Output(os.path.join(spec.folder, os.path.basename(spec.output)))
        become_subreaper()
        inherit(_HANDLED)
        self._settings = RunSettings(
            command=spec.argv, interval=spec.interval_seconds, journal=spec.journal, quiet=True,
            receiver=spec.receiver, push_token=spec.receiver_token, grace=spec.grace_seconds,
        )  # fmt: skip
        self._record = RunRecord(self._settings, {}, "keeper", job=spec.job, patient=True)
        undo.callback(self._discard_journal)
        self._timetable = Timetable(spec.interval_seconds)
        self._meter = self._make_meter()
        self._loop = Loop(self._timetable, self._meter.tick, started=self._record.started)
        self._signals = SignalQueue(_HANDLED)
        self._marks = self._listen_for_marks(account)
        self._command: Command | None = None
        self._reason: Reason | None = None
        self._status = 0
        self._ended_at = 0.0
        self._meter.tick(0.0, self._timetable.take(0.0).due_seconds)
        self.kept = self._introduce()
        self._records.begin(self.kept)

    def start(self, account: Account | None) -> None:
        """Start the runner. A command that cannot be executed is an end, no error."""
        environ = dict(self._spec.environ)
        if self._marks is not None:
            environ[SOCKET_VARIABLE] = self._marks.address
        try:
            self._command = launch(self._spec, account, self._cgroup, self._output.writing, environ)
        except CommandError as error:
            self._unstarted = error
            return
        finally:
            self._output.give_away()
        self._loop.watch(self._signals.fileno(), self._on_signals)
        self._loop.watch(self._output.fileno(), self._on_output)
        if (timeout := self._spec.limits.timeout_seconds) is not None:
            self._loop.call_at(timeout, self._take_too_long)

    def wait(self) -> None:
        """Meter until the runner has ended, end what it left, and say how it was."""
        self._record.start_sending()
        if self._command is None:
            exit_ = exits.not_started(self._unstarted.exit_code, str(self._unstarted))
            detail = f"The runner was not started: {self._unstarted}."
            ended = Ended(reason="not_started", detail=detail, at=time.time(), code=self._unstarted.exit_code)
        else:
            self._loop.run()
            survivors, refused = self._cgroup.survivors(), self._cgroup.forks_refused()
            # What was given its time already gets no more.
            self._cgroup.end(0.0 if self._reason else _SURVIVORS_POLITE_SECONDS, self._reap)
            self._meter.tick(self._ended_at, self._ended_at, final=True)
            exit_ = self._meter.exit(self._status, self._ended_at)
            ended = self._ended(exit_, survivors, refused)
            exit_ = _told(exit_, ended)
        self._close()
        self._tell(ended)
        self._record.recorder.end(self._ended_at, exit_, ended.survivors)

    def finish(self) -> None:
        """Send what is not yet sent. A journal that the receiver has whole goes; of others the newest stay."""
        self._record.close()
        unsent = self._record.unsent(time.monotonic())
        if self._settings.receiver is not None and not unsent:
            self._discard_journal()
        prune(os.path.dirname(self._spec.journal), JOURNALS_KEPT)
        if unsent:
            self.complain(" ".join(" ".join(unsent).split()))

    def complain(self, sentence: str) -> None:
        """Leave it for the gateway's log."""
        with contextlib.suppress(OSError):
            self._records.complain(sentence)

    def _tell(self, ended: Ended) -> None:
        """Whatever the disk says, the run goes on to its own end."""
        try:
            self._records.end(ended)
        except OSError as error:
            self._record.recorder.warn(f"The gateway was not told how the runner ended: {error.strerror}.")

    def _introduce(self) -> Kept:
        pid = os.getpid()
        return Kept(
            pid=pid, start_ticks=own_start_ticks(pid) or 0, name=self._spec.name,
            cgroups=self._cgroup.directories, run_uid=self._record.recorder.run_uid, started_at=time.time(),
        )  # fmt: skip

    def _make_meter(self) -> JobMeter:
        limits = self._cgroup.bounds().limits
        info = ContainerInfo(
            key=JOB, name=JOB, cpu_limit_cores=limits.cpu_cores, memory_limit_bytes=limits.memory_bytes
        )
        return JobMeter(
            self._record, self._timetable, Group(info, CgroupReader(self._cgroup.directories), None, reaped_io),
            Everyone(), source="auto", top=_TOP, pids=self._cgroup.listed,
            # Each keeper would be told of every process of the machine.
            exit_records=False,
        )  # fmt: skip

    def _listen_for_marks(self, account: Account | None) -> MarkListener | None:
        """Everyone on the machine can reach it; only the task is heard."""
        uid = account.uid if account is not None else os.geteuid()
        try:
            marks = MarkListener(
                f"@jobmeter-{self._record.recorder.run_uid}", lambda sender: self._is_of_task(sender, uid)
            )
        except OSError as error:
            self._record.recorder.warn(f"Marks cannot be heard: {error.strerror}.")
            return None
        self._loop.watch(marks.fileno(), lambda: self._meter.hear(marks, self._loop.elapsed))
        return marks

    def _is_of_task(self, sender: Sender, uid: int) -> bool:
        """A process in its cgroup, or one of its account's that did not wait for the answer."""
        if sender.pid == 0 or os.path.exists(f"/proc/{sender.pid}"):
            return str(sender.pid) in self._cgroup.listed()
        return sender.uid == uid

    def _on_signals(self) -> None:
        for signum, _ in self._signals.read():
            if signum == signal.SIGCHLD:
                self._reap()
            else:
                self._end_runner("stopped", _STOP_POLITE_SECONDS)

    def _on_output(self) -> None:
        if not self._output.take():
            self._loop.unwatch(self._output.fileno())

    def _reap(self) -> None:
        assert self._command is not None
        for pid, status, peak in self._command.reap():
            self._meter.group.note_child_peak(peak)
            if pid == self._command.pid:
                self._status, self._ended_at = status, self._loop.elapsed
                self._loop.stop()

    def _take_too_long(self) -> None:
        if self._reason is None:
            with contextlib.suppress(OSError):  # It is ended all the same.
                self._records.be_overdue()
        self._end_runner("timeout", _TIMEOUT_POLITE_SECONDS)

    def _end_runner(self, reason: Reason, polite_seconds: float) -> None:
        """Ask the runner to end, and end it after so long."""
        if self._reason is None and self._command is not None:
            self._reason = reason
            self._command.send(signal.SIGTERM)
            self._loop.call_at(self._loop.elapsed + polite_seconds, self._kill)

    def _kill(self) -> None:
        self._cgroup.kill()
        self._loop.call_at(self._loop.elapsed + _KILL_AGAIN_SECONDS, self._kill)

    def _ended(self, exit_: Exit, survivors: tuple[Survivor, ...], forks_refused: int | None) -> Ended:
        account = CgroupReader(self._cgroup.directories)
        read = account.read()
        account.close()
        limit = self._meter.group.info.memory_limit_bytes
        reason: Reason = self._reason or (
            "oom" if exit_.reason == "oom" else "signal" if exit_.signal is not None else "exit"
        )
        ended = Ended(
            reason=reason, detail="", at=time.time(), code=exit_.code, signal=exit_.signal,
            duration_seconds=round(self._ended_at, 3), cpu_seconds=read.cpu_seconds,
            memory_peak_bytes=read.memory_peak_bytes, memory_limit_bytes=limit if isinstance(limit, int) else None,
            oom_kills=read.oom_kills, pids_peak=read.pids_peak, pids_limit=self._spec.limits.pids,
            forks_refused=forks_refused, survivors=survivors, run_uid=self.kept.run_uid,
        )  # fmt: skip
        return replace(ended, detail=detail_of(ended, self._spec.limits.timeout_seconds))

    def _close(self) -> None:
        """Give everything back but the record."""
        self._meter.close()
        self._output.close()
        if self._marks is not None:
            self._marks.close()
        for left in self._cgroup.remove():
            self._record.recorder.warn(f"The cgroup {left} could not be removed.")

    def _discard_journal(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._record.journal.path)


def _told(exit_: Exit, ended: Ended) -> Exit:
    """The run's: of a runner that ended by itself nobody here knows what became of the job."""
    if ended.reason in ("timeout", "stopped"):
        reason = "timeout" if ended.reason == "timeout" else "cancelled"
        return replace(exit_, reason=reason, detail=ended.detail, certainty="certain")
    if exit_.reason == "success":
        return Exit(detail="The runner ended by itself; the job's result is what it told the forge.")
    return exit_


def _be_called(name: str) -> None:
    """The words of all keepers are the starter's. The kernel keeps 15 bytes of this name."""
    with contextlib.suppress(OSError), open("/proc/self/comm", "w") as file:
        file.write(name)


def _leave_streams() -> None:
    """The gateway's may be read by somebody until nobody has them open."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.close(nothing)


if __name__ == "__main__":
    # What a keeper would import as it sends.
    import encodings.idna  # noqa: F401
    import http.client  # noqa: F401
    import urllib.request  # noqa: F401

    serve(socket.socket(fileno=int(sys.argv[1])), keep)
