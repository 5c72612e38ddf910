"""`jobmeter run --pid`: meter a process that already runs, and its descendants. One thread."""

import contextlib
import os
import resource
import signal
import time
from collections.abc import Mapping

from jobmeter.apps import run_report
from jobmeter.apps.run_record import RunRecord
from jobmeter.config.settings import RunSettings
from jobmeter.linux.process_table import ProcessTable
from jobmeter.metering.group import Group
from jobmeter.metering.loop import Loop
from jobmeter.metering.membership import JOB, Descent
from jobmeter.metering.meter import Meter, boot_seconds
from jobmeter.metering.one_group import OneGroup
from jobmeter.metering.processes import ProcessWatch
from jobmeter.metering.timetable import Timetable
from jobmeter.model.errors import UsageError
from jobmeter.model.exits import Exit
from jobmeter.model.sample import ContainerInfo
from jobmeter.supervise.signals import SignalQueue

_STOPPING = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


def attach(settings: RunSettings, environ: Mapping[str, str]) -> int:
    """Meter ``--pid`` until it ends, ``--duration`` is over, or a signal comes; returns 0."""
    pid = settings.pid or 0
    settings = run_report.check_outputs(settings)
    try:
        pidfd = os.pidfd_open(pid)
    except OSError as error:
        raise UsageError(f"--pid: process {pid} cannot be metered: {error.strerror}") from None
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    record = RunRecord(settings, environ, "attach")
    timetable = Timetable(settings.interval)
    meter = _meter(pid, settings, record)
    loop = Loop(
        timetable,
        lambda elapsed, due: record.sample(meter.tick(elapsed, due, timetable.late_ticks)),
        started=record.started,
    )
    loop.watch(pidfd, loop.stop)
    loop.watch(SignalQueue(_STOPPING).fileno(), loop.stop)
    loop.stop_at(settings.duration)
    if settings.source in ("cgroup", "exit_records"):
        record.recorder.warn(
            f"--source {settings.source} needs a command of our own; /proc is read for --pid."
        )
    record.start_sending()
    meter.mark_incomplete(
        "A process that was attached to is metered from /proc: what it leaves to others when it ends is missing."
    )
    loop.run()
    now = loop.elapsed
    record.sample(meter.tick(now, now, timetable.late_ticks, final=True))
    record.recorder.end(now, Exit())
    ended = time.monotonic()
    with contextlib.closing(meter):
        record.close()
    os.close(pidfd)
    run_report.write(settings, environ, record, quiet=settings.quiet)
    record.finish_sending(ended)
    return 0


def _meter(pid: int, settings: RunSettings, record: RunRecord) -> Meter:
    membership = Descent(pid, include_ancestor=True)
    watch = ProcessWatch(
        ProcessTable(
            max_descriptors=max(16, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 128),
            wanted=membership.admit,
        ),
        membership,
        started_after=boot_seconds(),
        top=settings.top,
    )
    return Meter(
        watch,
        OneGroup(Group(ContainerInfo(key=JOB, name=JOB))),
        record.host,
        source="proc",
        declare=record.recorder.declare,
        warn=record.recorder.warn,
    )
