"""One tick: everything that is read at one moment, as a sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobmeter.linux.cgroup_reader import CgroupReader
from jobmeter.linux.process_table import ProcessTable
from jobmeter.metering.group import Group
from jobmeter.metering.host import HostReader
from jobmeter.metering.membership import JOB, Descent
from jobmeter.metering.meter import Meter, boot_seconds
from jobmeter.metering.one_group import OneGroup
from jobmeter.metering.processes import ProcessWatch
from jobmeter.model.job import Host, Job
from jobmeter.model.readings import ProcessReading
from jobmeter.model.sample import ContainerInfo, ContainerSample, Sample
from jobmeter.model.summarize import RunFold
from jobmeter.model.summary import Summary
from jobmeter.spool.recorder import Recorder
from tests.support.fake_host import FakeHost, open_descriptors
from tests.support.hosts import job_directories

WRAPPER = 50
PAGE = 4096
CPU_STAT = "usage_usec 100000\nuser_usec 75000\nsystem_usec 25000\n"


class Rig:
    """A meter over a fake host whose job is the descendants of process 50."""

    def __init__(
        self, root: Path, cgroup: dict[str, str] | None = None, *, source: Any = "auto", reaper: bool = True
    ) -> None:
        self.host = FakeHost(root)
        self.host.put(WRAPPER, name="jobmeter", start_tick=900)
        self.warnings: list[str] = []
        self.declared: list[ContainerInfo] = []
        self.group = Group(ContainerInfo(key=JOB, name=JOB), CgroupReader(cgroup) if cgroup else None)
        self.reaped = (0.0, 0.0)
        self.cost = 0.0
        membership = Descent(WRAPPER)
        self.watch = ProcessWatch(
            ProcessTable(str(root), wanted=membership.admit), membership, root=str(root), started_after=10.0,
            reaper=self._reaper if reaper else None, reaper_group=JOB,
        )  # fmt: skip
        self.meter = Meter(
            self.watch, OneGroup(self.group), HostReader(str(root)), source=source,
            declare=lambda elapsed, info: self.declared.append(info), warn=self.warnings.append, cpu_clock=self._clock,
        )  # fmt: skip
        self._now = 0.0

    def tick(self, elapsed: float, **options: Any) -> Sample:
        return self.meter.tick(elapsed, elapsed, **options)

    def job(self, elapsed: float, **options: Any) -> ContainerSample:
        (found,) = self.tick(elapsed, **options).containers
        return found

    def _clock(self) -> float:
        """Each scan costs ``cost`` seconds of CPU time."""
        self._now += self.cost
        return self._now

    def _reaper(self) -> ProcessReading:
        user, system = self.reaped
        return ProcessReading(WRAPPER, "", "R", 0, 0, 0.0, 0.0, user, system, 0, 0.0, 0)


def cgroup(root: Path, **files: str) -> dict[str, str]:
    """A v2 cgroup of the given files; ``cpu_stat`` is cpu.stat."""
    directory = root / "cgroup"
    directory.mkdir(exist_ok=True)
    for name, text in files.items():
        (directory / name.replace("_", ".", 1)).write_text(text)
    return {"": str(directory)}


def test_a_run_by_proc_alone(tmp_path: Path) -> None:
    """Without a cgroup the ledger gives CPU time and the processes give memory."""
    rig = Rig(tmp_path)
    first = rig.job(0.0)
    assert (first.cpu_source, first.cpu_seconds, first.memory_source) == ("proc", 0, "rss")
    rig.host.put(
        60, parent=WRAPPER, start_tick=1000, ticks=(100, 20, 0, 0), rss_pages=7, threads=2, peak_kb=44
    )
    sample = rig.tick(1.0)
    (job,) = sample.containers
    assert (job.cpu_seconds, job.cpu_user_seconds, job.cpu_system_seconds) == pytest.approx((1.2, 1.0, 0.2))
    assert (job.memory_bytes, job.rss_bytes, job.high_water_bytes, job.pids) == (
        7 * PAGE,
        7 * PAGE,
        44 * 1024,
        2,
    )
    assert (job.charged_peak_bytes, job.oom_kills, job.pressure, job.throttled_seconds) == (
        None,
        None,
        None,
        None,
    )
    assert sample.cpu_complete
    rig.host.remove(60)
    rig.reaped = (1.31, 0.22)
    assert rig.job(2.0).cpu_seconds == pytest.approx(1.53)
    assert [info.key for info in rig.declared] == [JOB]
    rig.meter.close()


def test_a_run_by_its_cgroup(tmp_path: Path) -> None:
    """The kernel's own account comes first, and each number names its source."""
    directories = cgroup(
        tmp_path,
        cpu_stat=CPU_STAT,
        memory_current="1000000\n",
        memory_stat="inactive_file 400000\n",
        memory_peak="2000000\n",
        memory_events="oom_kill 0\n",
    )
    rig = Rig(tmp_path, directories)
    rig.host.put(60, parent=WRAPPER, start_tick=1000, ticks=(999, 0, 0, 0), rss_pages=7)
    job = rig.job(0.0)
    assert (job.cpu_source, job.memory_source) == ("cgroup", "working_set")
    assert [job.cpu_seconds, job.memory_bytes, job.rss_bytes] == [pytest.approx(0.1), 600000, 7 * PAGE]
    assert (job.charged_peak_bytes, job.oom_kills) == (2000000, 0)
    assert rig.group.owns_oom_account()
    rig.meter.close()


def test_cpu_from_the_cgroup_and_memory_from_processes(tmp_path: Path) -> None:
    """A v2 parent with processes gives CPU time but no memory controller."""
    rig = Rig(tmp_path, cgroup(tmp_path, cpu_stat=CPU_STAT))
    rig.host.put(60, parent=WRAPPER, start_tick=1000, rss_pages=7)
    job = rig.job(0.0)
    assert (job.cpu_source, job.memory_source, job.memory_bytes) == ("cgroup", "rss", 7 * PAGE)
    assert not rig.group.owns_oom_account()
    rig.meter.close()


def test_the_source_that_was_asked_for(tmp_path: Path) -> None:
    """With --source proc the cgroup's CPU time is not taken."""
    rig = Rig(
        tmp_path,
        cgroup(tmp_path, cpu_stat=CPU_STAT),
        source="proc",
    )
    rig.host.put(60, parent=WRAPPER, start_tick=1000, ticks=(30, 0, 0, 0))
    job = rig.job(1.0)
    assert [job.cpu_source, job.cpu_seconds] == ["proc", pytest.approx(0.3)]
    rig.meter.close()


def test_a_command_that_could_not_enter_its_cgroup(tmp_path: Path) -> None:
    """The cgroup is read no more; what it said is not the job's."""
    rig = Rig(tmp_path, cgroup(tmp_path, cpu_stat="usage_usec 0\nuser_usec 0\nsystem_usec 0\n"))
    rig.job(0.0)
    rig.group.abandon_cgroup()
    rig.host.put(60, parent=WRAPPER, start_tick=1000, ticks=(30, 0, 0, 0))
    job = rig.job(1.0)
    assert [job.cpu_source, job.cpu_seconds] == ["proc", pytest.approx(0.3)]
    rig.meter.close()


def test_processes_are_scanned_seldom_where_the_cgroup_gives_the_numbers(tmp_path: Path) -> None:
    """The scan serves the lists alone then, so it may cost a hundredth of a CPU; memory by process is left out."""
    rig = Rig(tmp_path, cgroup(tmp_path, cpu_stat=CPU_STAT))
    rig.host.put(60, parent=WRAPPER, start_tick=1000, rss_pages=7)
    rig.cost = 0.02
    scanned = [elapsed for elapsed in range(12) if rig.job(float(elapsed)).rss_bytes is not None]
    assert scanned[:2] == [0, 1], (
        "the first scan, which opens everything, says nothing of what the next will cost"
    )
    assert 3 <= len(scanned) <= 7
    assert rig.job(12.0, final=True).rss_bytes == 7 * PAGE
    rig.meter.close()


def test_without_a_cgroup_every_tick_scans(tmp_path: Path) -> None:
    """Whatever it costs: the numbers come from there."""
    rig = Rig(tmp_path)
    rig.host.put(60, parent=WRAPPER, start_tick=1000, rss_pages=7)
    rig.cost = 0.5
    assert all(rig.job(elapsed * 0.2).rss_bytes is not None for elapsed in range(10))
    rig.meter.close()


@pytest.mark.parametrize("left, complete", [(2, True), (30, False)])
def test_many_that_outlive_the_command_make_it_a_lower_bound(
    tmp_path: Path, left: int, complete: bool
) -> None:
    """Times in /proc are cut to 10 ms each, which is nothing for a few."""
    rig = Rig(tmp_path)
    for pid in range(60, 60 + left):
        rig.host.put(pid, parent=WRAPPER, start_tick=1000, ticks=(4, 0, 0, 0))
    assert rig.tick(1.0, final=True).cpu_complete is complete
    assert len(rig.warnings) == (not complete)
    rig.meter.close()


def test_beside_containers_proc_is_a_lower_bound(tmp_path: Path) -> None:
    """Who is not the reaper of all orphans says so, once."""
    rig = Rig(tmp_path, reaper=False)
    samples = [rig.tick(float(second)) for second in range(3)]
    assert [sample.cpu_complete for sample in samples] == [False] * 3
    assert len(rig.warnings) == 1
    assert "lower bound" in rig.warnings[0]
    rig.meter.close()


def test_who_ignores_sigchld_makes_it_a_lower_bound(tmp_path: Path) -> None:
    """Named, once; not where the cgroup accounts for its children too."""
    rig = Rig(tmp_path)
    rig.host.put(60, parent=WRAPPER, start_tick=1000, name="server", ignores_sigchld=True)
    assert [rig.tick(float(second)).cpu_complete for second in range(2)] == [False, False]
    (warning,) = rig.warnings
    assert "'server' ignores SIGCHLD" in warning
    rig.meter.close()


def test_the_end_counts_those_that_still_run(tmp_path: Path) -> None:
    """The final tick scans in any case."""
    rig = Rig(tmp_path)
    rig.host.put(60, parent=WRAPPER, start_tick=1000, name="daemon", ticks=(5, 0, 0, 0))
    assert rig.tick(1.0).programs == ()
    assert [(one.name, one.count) for one in rig.tick(2.0, final=True).programs] == [("daemon", 1)]
    rig.meter.close()


def test_a_reaped_childs_peak_is_kept(tmp_path: Path) -> None:
    """What wait4 tells of memory between two ticks."""
    rig = Rig(tmp_path)
    for peak in (300, None, 200):
        rig.group.note_child_peak(peak)
    assert rig.job(0.0).high_water_bytes == 300
    rig.meter.close()


def test_no_proc_is_said_and_metering_goes_on(tmp_path: Path) -> None:
    """The cgroup and the machine are read all the same."""
    (tmp_path / "proc").mkdir()
    rig = Rig(tmp_path / "proc", job_directories("v2"))
    for path in sorted((tmp_path / "proc").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (tmp_path / "proc").rmdir()
    job = rig.job(0.0)
    assert job.cpu_seconds == 0.784439
    assert rig.warnings == [
        f"cannot list the processes in {tmp_path}/proc: No such file or directory; "
        "processes are missing from the result."
    ]
    rig.meter.close()


def test_what_was_throttled_and_killed_outside_counts_from_the_start(tmp_path: Path) -> None:
    """A limit that is set on a cgroup that others share: only the growth is taken."""
    directories = cgroup(
        tmp_path, cpu_stat="usage_usec 1\nthrottled_usec 5000000\n", memory_events="oom_kill 7\n"
    )
    (tmp_path / "proc").mkdir()
    rig = Rig(tmp_path / "proc")
    group = Group(ContainerInfo(key=JOB, name=JOB), bounds=CgroupReader(directories))
    cgroup(tmp_path, cpu_stat="usage_usec 1\nthrottled_usec 5500000\n", memory_events="oom_kill 8\n")
    found = group.sample(rig.watch, "auto", scanned=True)
    assert found is not None
    assert [found.throttled_seconds, found.oom_kills] == [pytest.approx(0.5), 1]
    group.close()
    rig.meter.close()


def test_descriptors_are_given_back(tmp_path: Path) -> None:
    """After any number of ticks, closing twice included."""
    before = open_descriptors()
    rig = Rig(tmp_path, job_directories("hybrid"))
    rig.host.put(60, parent=WRAPPER, start_tick=1000)
    for second in range(50):
        rig.tick(float(second))
    rig.meter.close()
    rig.meter.close()
    assert open_descriptors() == before


def test_from_files_to_a_summary(tmp_path: Path) -> None:
    """A tree that works for four seconds: cores, programs, top list and memory as they were."""
    summary = _summary_of_a_build(Rig(tmp_path))
    (job,) = summary.containers
    assert [job.cpu_seconds, job.cpu_source] == [pytest.approx(5.0), "proc"]
    assert [job.cpu_cores.peak, job.cpu_cores.avg] == [pytest.approx(2.0), pytest.approx(1.25)]
    assert job.memory_bytes.peak == 300 * PAGE
    assert {one.name: (one.count, one.cpu_seconds) for one in summary.programs} == {
        "cc1": (2, 4.0),
        "make": (1, 0.0),
    }
    assert [(one.name, one.peak_cpu_percent) for one in summary.top_cpu_processes] == [
        ("cc1", 100.0),
        ("cc1", 100.0),
    ]
    assert (summary.sample_count, summary.cpu_complete, summary.warnings) == (5, True, [])


def _summary_of_a_build(rig: Rig) -> Summary:
    recorder = Recorder("run", RunFold())
    recorder.start(
        start_time="2026-11-21T12:00:00.000Z", monotonic_seconds=0.0, boot_id=None, interval_seconds=1.0, version="1",
        meter="run", job=Job(), host=Host(),
    )  # fmt: skip
    recorder.declare(0.0, rig.group.info)
    recorder.sample(rig.tick(0.0))
    rig.host.put(60, parent=WRAPPER, start_tick=1000, name="make", rss_pages=100)
    for pid in (61, 62):
        rig.host.put(pid, parent=60, start_tick=1000, name="cc1", ticks=(100, 0, 0, 0), rss_pages=100)
    recorder.sample(rig.tick(1.0))
    for pid in (61, 62):
        rig.host.put(pid, ticks=(200, 0, 0, 0))
    recorder.sample(rig.tick(2.0))
    rig.host.remove(61)
    rig.host.remove(62)
    rig.host.put(60, ticks=(0, 0, 400, 0))
    recorder.sample(rig.tick(3.0))
    rig.host.remove(60)
    rig.reaped = (5.0, 0.0)
    recorder.sample(rig.tick(4.0, final=True))
    rig.meter.close()
    return recorder.fold.summary()


def test_the_time_since_boot_is_that_of_start_times() -> None:
    """Cut to a clock tick, so that a process that starts now is not older than the run."""
    now = boot_seconds()
    assert now == pytest.approx(float(Path("/proc/uptime").read_text().split()[0]), abs=5)
    assert round(now * 100) == pytest.approx(now * 100)
