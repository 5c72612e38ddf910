"""Meters the one group of a command that this process started and reaps: into the record of its run."""

import os
import resource
from collections.abc import Callable, Iterable

from jobmeter.apps.run_record import RunRecord
from jobmeter.linux.process_table import ProcessTable
from jobmeter.metering.group import Group, Source
from jobmeter.metering.membership import JOB
from jobmeter.metering.meter import Meter, boot_seconds, open_exit_records
from jobmeter.metering.one_group import OneGroup
from jobmeter.metering.processes import Membership, ProcessWatch
from jobmeter.metering.timetable import Timetable
from jobmeter.model import exits
from jobmeter.model.exits import Exit, Survivor
from jobmeter.model.oom import memory_sufficed
from jobmeter.model.readings import ProcessReading
from jobmeter.supervise.marks import MarkListener

# A command that the kernel kills for want of memory, or whose child it kills, ends by then if it dies of it.
_DEATH_SECONDS = 1.0


class JobMeter:
    """Takes the samples of ``group``, whose processes are told by ``membership``.

    ``pids`` lists the processes to look at, without it all of the machine are. With ``exit_records`` those of the
    kernel are read where that is possible.
    """

    def __init__(
        self, record: RunRecord, timetable: Timetable, group: Group, membership: Membership, *, source: Source,
        top: int, pids: Callable[[], Iterable[str]] | None = None, exit_records: bool = True,
    ) -> None:  # fmt: skip
        self._record = record
        self._timetable = timetable
        self.group = group
        warn = record.recorder.warn
        records = open_exit_records(source, warn) if exit_records else None
        self._watch = ProcessWatch(
            ProcessTable(max_descriptors=_spare_descriptors(), wanted=membership.admit, pids=pids),
            membership,
            started_after=boot_seconds(),
            top=top,
            reaper=_reaper_reading,
            reaper_group=JOB,
            use_exit_records=records is not None,
        )
        self._meter = Meter(
            self._watch,
            OneGroup(group),
            record.host,
            source=source,
            exit_records=records,
            declare=record.recorder.declare,
            warn=warn,
        )
        self._killed_at = 0.0
        self._failed = False

    def tick(self, elapsed: float, due: float, *, final: bool = False) -> None:
        """Record one sample; the job goes on, whatever fails in metering it."""
        if self._failed:
            return
        try:
            kills = self.group.oom_kills
            sample = self._meter.tick(elapsed, due, self._timetable.late_ticks, final=final)
            if self.group.oom_kills != kills:
                self._killed_at = elapsed
            self._record.sample(sample)
        except Exception as error:
            self._failed = True
            self._record.recorder.warn(
                f"Metering stopped {elapsed:.1f} s after the start by a fault of ours: {error!r}."
            )

    def hear(self, marks: MarkListener, elapsed: float) -> None:
        """Take a sample at each mark that has arrived, and answer."""
        for name, sender in marks.read():
            self.tick(elapsed, elapsed)
            self._record.recorder.mark(elapsed, name)
            marks.answer(sender)

    def survivors(self) -> tuple[Survivor, ...]:
        """The processes of the group at the last tick."""
        return tuple(Survivor(one.pid, one.name) for one in self._watch.members())

    def exit(self, status: int, ended_at: float, cancelled_by: str | None = None) -> Exit:
        """How the command ended, by its wait(2) status and by what was metered; after the final tick."""
        survived = ended_at - self._killed_at > _DEATH_SECONDS
        certain = not survived and self.group.owns_oom_account()
        return exits.from_wait_status(
            status,
            out_of_memory=self._record.out_of_memory(certain=certain),
            # What was counted before metering stopped says nothing of the end.
            memory_sufficed=not self._failed and memory_sufficed(self._record.fold.summary()),
            cancelled_by=cancelled_by,
        )

    def close(self) -> None:
        """Give the descriptors back."""
        self._meter.close()


def reaped_io() -> tuple[int, int]:
    """Bytes that reaped children read from and wrote to block devices; getrusage(2) counts 512-byte blocks."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_inblock * 512, usage.ru_oublock * 512


def _reaper_reading() -> ProcessReading:
    """This process as a member: nothing of its own, but the time of all children it reaped, to the microsecond."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ProcessReading(
        pid=os.getpid(), name="", state="R", parent_pid=0, faults=0, user_seconds=0.0, system_seconds=0.0,
        reaped_user_seconds=usage.ru_utime, reaped_system_seconds=usage.ru_stime, threads=0,
        start_seconds=0.0, rss_bytes=0,
    )  # fmt: skip


def _spare_descriptors() -> int:
    """How many descriptors may be kept: the soft limit was raised, a few are for everything else."""
    return max(16, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 128)
