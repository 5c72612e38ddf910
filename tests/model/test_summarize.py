"""A run's records folded into its summary: the same for a live run and for a journal read later."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from jobmeter.model import wire
from jobmeter.model.errors import JournalError
from jobmeter.model.exits import Exit
from jobmeter.model.job import Host, Job
from jobmeter.model.sample import (
    ContainerInfo,
    ContainerSample,
    HostSample,
    MeterSample,
    Pressure,
    ProgramSample,
    Sample,
    Stall,
)
from jobmeter.model.statistics import Statistic
from jobmeter.model.summarize import MAX_CONTAINERS, MAX_MARKS, MAX_WARNINGS, RunFold, rfc3339_of
from jobmeter.model.summary import ContainerSummary, Summary, decode, encode
from jobmeter.spool.recorder import Recorder
from tests.conftest import GOLDEN, Golden
from tests.model.golden_run import LEAST, WHOLE

GIB = 2**30


class Run:
    """A run that is told sample by sample; containers are named by their keys."""

    def __init__(self, *containers: ContainerInfo) -> None:
        self.fold = RunFold()
        self.recorder = Recorder("run", self.fold)
        self.records: list[Any] = []
        self.recorder.add_sink(self.records.append)
        self.recorder.start(
            start_time="2026-11-21T23:59:59.500Z", monotonic_seconds=5.0, boot_id=None, interval_seconds=1.0,
            version="1", meter="run", job=Job(), host=Host(),
        )  # fmt: skip
        for container in containers or (ContainerInfo(key="job", name="job"),):
            self.recorder.declare(0.0, container)

    def sample(self, elapsed: float, *containers: ContainerSample, **fields: Any) -> None:
        always = {"unattributed_cpu_seconds": None, "cpu_complete": True}
        self.recorder.sample(
            Sample(elapsed_seconds=elapsed, due_seconds=elapsed, containers=containers, **(always | fields))
        )

    def cpu(self, elapsed: float, seconds: float | None, source: Any = "cgroup", **fields: Any) -> None:
        """One container's CPU counter."""
        self.sample(elapsed, ContainerSample(key="job", cpu_source=source, cpu_seconds=seconds, **fields))

    def summary(self) -> Summary:
        return self.fold.summary()

    def job(self) -> ContainerSummary:
        return self.summary().containers[0]


def fold(records: Iterable[wire.AnyRecord]) -> RunFold:
    found = RunFold()
    for record in records:
        found.add(record)
    return found


def stored(run_uid: str) -> list[wire.AnyRecord]:
    """The golden journal's records of one run."""
    lines = (GOLDEN / "journal_v1.jsonl").read_bytes().splitlines()
    found = [wire.decode(line) for line in lines]
    return [record for record in found if record is not None and record.run_uid == run_uid]


@pytest.mark.parametrize("run_uid, name", [(WHOLE, "summary_v1.json"), (LEAST, "summary_v1_least.json")])
def test_the_stored_run_has_the_stored_summary(run_uid, name, golden: Golden) -> None:
    """A journal of version 1 says the same for ever."""
    golden(name, encode(fold(stored(run_uid)).summary()).decode())


@pytest.mark.parametrize("name", ["summary_v1.json", "summary_v1_least.json"])
def test_a_stored_summary_is_read_and_written_back_to_the_byte(name) -> None:
    """A reader of version 1 loses nothing of it."""
    text = (GOLDEN / name).read_bytes()
    assert encode(decode(text)) == text


def test_the_golden_summary_has_every_field() -> None:
    """Each field of the contract is filled in the whole run; `devices` is reserved."""
    summary = decode((GOLDEN / "summary_v1.json").read_bytes())
    for one in (
        summary,
        summary.containers[0],
        summary.top_cpu_processes[0],
        summary.programs[0],
        summary.collector,
    ):
        unknown = {
            name for name, value in msgspec.structs.asdict(one).items() if value in (None, [], Statistic())
        }
        assert unknown <= {"parent", "devices"}


def test_a_live_run_and_its_journal_say_the_same() -> None:
    """The order of a journal is that of the run, so nothing depends on who folds."""
    run = Run()
    for second in range(5):
        run.cpu(second, second * 0.5, memory_bytes=second * 100)
    run.recorder.end(5, Exit(reason="success", code=0))
    assert fold(run.records).summary() == run.summary()
    assert fold(run.records).timeline() == run.fold.timeline()


def test_a_run_without_a_start_cannot_be_told() -> None:
    """A journal whose first record is missing is refused with a sentence."""
    run = Run()
    with pytest.raises(JournalError, match="no start record"):
        fold(run.records[1:]).summary()


def test_a_run_without_an_end_is_lost() -> None:
    """What was written up to the last tick is a whole run that says it was lost."""
    run = Run()
    run.cpu(0, 1.0)
    run.cpu(2.5, 2.0)
    summary = run.summary()
    assert (summary.exit.reason, summary.duration_seconds, summary.cpu_seconds) == ("lost", 2.5, 1.0)
    assert not run.fold.ended


@pytest.mark.parametrize(
    "seconds, ended, used",
    [
        pytest.param([0.003], False, None, id="lost right after its start"),
        pytest.param([0.003], True, 0.5, id="a short command"),
        pytest.param([0.003, 0.1], False, 0.5, id="seen twice"),
        pytest.param([2.0], False, 0.5, id="its first sample came late"),
    ],
)
def test_a_start_alone_tells_of_no_growth(seconds, ended, used) -> None:
    """Totals are not known then, rather than 0; levels and limits are."""
    run = Run(ContainerInfo(key="job", name="job", began=True, cpu_limit_cores=2.0))
    for second in seconds:
        run.cpu(second, 0.5, throttled_seconds=0.0, memory_bytes=7, io_read_bytes=0, oom_kills=0)
    if ended:
        run.recorder.end(seconds[-1], Exit(reason="success"))
    summary, job = run.summary(), run.job()
    assert (summary.cpu_seconds, job.cpu_seconds) == (used, used)
    assert (job.cpu_cores.avg is None) == (used is None)
    told = {job.throttled_seconds, job.io_read_bytes, job.oom_kills}
    assert told == ({None} if used is None else {0})
    assert (job.memory_bytes.peak, job.cpu_limit_cores) == (7, 2.0)


def test_records_that_come_twice_count_once() -> None:
    """A record's number within the run is its identity; sent twice or late, it changes nothing."""
    run = Run()
    for second in range(4):
        run.cpu(second, second * 1.0, memory_bytes=5)
        run.recorder.warn(f"warning {second}")
    twice = [record for record in run.records for _ in range(2)]
    assert fold(twice).summary() == run.summary()
    assert fold([*run.records, *run.records]).summary() == run.summary()
    assert fold(run.records).next_sequence == len(run.records)


def test_a_sample_that_does_not_move_on_is_left_out() -> None:
    """Two samples of one moment are one: no rate can be made of them."""
    run = Run()
    run.cpu(1.0, 1.0)
    run.cpu(1.0, 9.0)
    run.cpu(0.5, 9.0)
    run.cpu(2.0, 2.0)
    assert (run.summary().sample_count, run.summary().cpu_seconds) == (2, 1.0)


def test_only_elapsed_time_counts() -> None:
    """Times of day come from the start and the monotonic clock, also past midnight."""
    run = Run()
    run.cpu(0.25, 1.0)
    run.recorder.end(86400.75, Exit())
    summary = run.summary()
    assert (summary.start_time, summary.end_time) == ("2026-11-21T23:59:59.500Z", "2026-11-23T00:00:00.250Z")
    assert summary.duration_seconds == 86400.75
    assert rfc3339_of(86400.25) == "1970-01-02T00:00:00.250Z"


@pytest.mark.parametrize("start", ["", "yesterday", "9999-12-31T23:59:59Z"])
def test_a_start_time_that_is_none_is_refused(start) -> None:
    """One sentence instead of a traceback."""
    run = Run()
    run.cpu(5.0, 1.0)
    first = msgspec.structs.replace(run.records[0], start_time=start)
    with pytest.raises(JournalError, match="no time that can be told"):
        fold([first, *run.records[1:]]).summary()


@pytest.mark.parametrize(
    "source, began, readings, total",
    [
        pytest.param("cgroup", False, [5, 6, 8], 3, id="what was before the first tick is subtracted"),
        pytest.param("cgroup", True, [5, 6, 8], 8, id="a cgroup that began in the run counts in full"),
        pytest.param("proc", False, [5, 6, 8], 8, id="a ledger of ours starts at zero"),
        pytest.param("exit_records", False, [5, 6, 8], 8, id="so do exit records"),
        pytest.param("cgroup", False, [5, 6, 2, 4], 3, id="a counter that falls adds nothing"),
        pytest.param("cgroup", False, [5, None, 8], 3, id="a missed reading loses nothing"),
        pytest.param("cgroup", False, [None, None], None, id="never read is unknown"),
        pytest.param("cgroup", False, [5], None, id="one reading tells of no growth"),
    ],
)
def test_cpu_time_of_the_run(source, began, readings, total) -> None:
    """CPU time is growth within the run, by the rule of the counter's keeper."""
    run = Run(ContainerInfo(key="job", name="job", began=began))
    for second, reading in enumerate(readings):
        run.cpu(second, reading, source)
    assert run.job().cpu_seconds == total
    assert run.summary().cpu_seconds == total


@pytest.mark.parametrize(
    "began, readings, parts",
    [
        pytest.param(True, [(0, 0, 0), (0.003, None, None)], (None, None), id="no sampled tick hit"),
        pytest.param(True, [(0, 0, 0), (0.003, 0.003, 0)], (0.003, 0), id="one hit"),
        pytest.param(True, [(0.002, None, None), (4, 3, 1)], (3, 1), id="not told at first"),
        pytest.param(False, [(50, None, None), (54, 40, 14)], (None, None), id="nothing to count from"),
        pytest.param(False, [(50, 40, 10), (54, 43, 11)], (3, 1), id="growth of both"),
        pytest.param(True, [(0, 0, 0), (0, 0, 0)], (0, 0), id="nothing was used"),
    ],
)
def test_user_and_system_time_add_up_or_are_unknown(began, readings, parts) -> None:
    """Where the kernel samples the two, a short command has a total without parts; they are null then, not 0."""
    run = Run(ContainerInfo(key="job", name="job", began=began))
    for second, (used, user, system) in enumerate(readings):
        run.cpu(second, used, cpu_user_seconds=user, cpu_system_seconds=system)
    assert (run.job().cpu_user_seconds, run.job().cpu_system_seconds) == parts


def test_a_run_whose_cpu_time_nobody_could_tell_is_not_complete() -> None:
    """A collector that saw no container has missed all of it."""
    summary = fold(Run().records[:1]).summary()
    assert (summary.cpu_seconds, summary.cpu_complete) == (None, False)


def test_a_change_of_source_before_anything_was_used_loses_nothing() -> None:
    """The first sample is of a cgroup that the command then cannot enter: the ledger counts from its start."""
    run = Run()
    run.cpu(0, 0.0, "cgroup")
    run.cpu(1, 2.5, "proc")
    assert (run.job().cpu_seconds, run.job().cpu_source) == (2.5, "proc")


def test_a_change_of_source_takes_no_difference_between_the_two() -> None:
    """The new source counts from its second reading, and the last one is named."""
    run = Run()
    run.cpu(0, 100.0)
    run.cpu(1, 101.0)
    run.cpu(2, 3.0, "proc")
    run.cpu(3, 3.5, "proc")
    assert (run.job().cpu_seconds, run.job().cpu_source) == (1.5, "proc")
    assert run.job().cpu_cores.peak == 1


def test_a_container_declared_anew_as_begun_counts_in_full() -> None:
    """A container restarted under the same key starts its counters at zero within the run."""
    info = ContainerInfo(key="job", name="job", began=True)
    run = Run(info)
    run.cpu(0, 1.0, io_read_bytes=10)
    run.cpu(1, 2.0, io_read_bytes=20)
    run.recorder.declare(2, info)
    run.cpu(2, 5.0, io_read_bytes=50)
    assert (run.job().cpu_seconds, run.job().io_read_bytes) == (7, 70)


def test_a_container_declared_again_keeps_its_counters() -> None:
    """What is newly known, as a name or a limit, changes no number."""
    run = Run()
    run.cpu(0, 1.0)
    run.recorder.declare(0.5, ContainerInfo(key="job", name="build", memory_limit_bytes="unlimited"))
    run.cpu(1, 2.0)
    job = run.job()
    assert (job.name, job.memory_limit_bytes, job.cpu_seconds) == ("build", "unlimited", 1)


@pytest.mark.parametrize("source, total", [("cgroup", 12), ("proc", 6), ("exit_records", 6)])
def test_a_restart_of_the_collector(source, total) -> None:
    """The kernel's account goes on through the gap; counters of our own start again at zero."""
    run = Run()
    run.cpu(0, 0.0, source)
    run.cpu(1, 4.0, source)
    run.recorder.resume(10, "2")
    for second, reading in ((10, 8.0), (11, 12.0)) if source == "cgroup" else ((10, 0.0), (11, 2.0)):
        run.cpu(second, reading, source)
    summary = run.summary()
    assert summary.cpu_seconds == total
    assert summary.warnings == [
        "The collector was restarted 10.0 s after the start; what only it knew is missing for the gap."
    ]
    assert summary.containers[0].cpu_cores.peak == 4
    assert summary.cpu_complete is False  # Who began and ended meanwhile was not seen.


@pytest.mark.parametrize(
    "readings, total",
    [
        pytest.param((12.0, 13.0), 13, id="the same"),
        pytest.param((1.0, 2.0), 12, id="made again meanwhile"),
    ],
)
def test_a_container_that_the_journal_had_lost_is_not_counted_twice(readings, total) -> None:
    """A restarted collector takes it for new, while who was sent its records knows what it had used."""
    container = ContainerInfo(key="job", name="job", began=True)
    run = Run(container)
    run.cpu(1, 10.0, oom_kills=1)
    run.recorder.resume(5, "2")
    run.recorder.declare(5.0, container)
    for second, reading in enumerate(readings, 6):
        run.cpu(second, reading, oom_kills=1)
    assert (run.summary().cpu_seconds, run.job().oom_kills) == (total, 1)


def test_a_restart_after_the_end_reopens_the_run() -> None:
    """A late part of a run that seemed over takes its end back."""
    run = Run()
    run.recorder.end(1, Exit(reason="success", code=0))
    run.recorder.resume(2, "2")
    assert run.summary().exit.reason == "lost"
    run.recorder.end(3, Exit(reason="failure", code=1))
    assert run.summary().exit.reason == "failure"


def test_the_cost_of_metering_adds_up_over_restarts() -> None:
    """CPU time, errors and late ticks are sums, the peak of memory is the largest."""
    run = Run()
    run.sample(1, meter=MeterSample(cpu_seconds=0.5, peak_memory_bytes=9, read_errors=1, late_ticks=2))
    run.sample(2, meter=MeterSample(cpu_seconds=0.75, peak_memory_bytes=11, read_errors=2, late_ticks=3))
    run.recorder.resume(3, "2")
    run.sample(4, meter=MeterSample(cpu_seconds=0.25, peak_memory_bytes=10, read_errors=1, late_ticks=0))
    cost = run.summary().collector
    assert (cost.cpu_seconds, cost.peak_memory_bytes, cost.read_errors, cost.late_ticks) == (1.0, 11, 3, 3)


def test_unattributed_time_goes_on_over_restarts() -> None:
    """It is a counter of the collector's own; one lower bound makes the whole run one."""
    run = Run()
    run.sample(1, unattributed_cpu_seconds=2.0, cpu_complete=False)
    run.recorder.resume(2, "2")
    run.sample(3, unattributed_cpu_seconds=0.5)
    run.sample(4, unattributed_cpu_seconds=0.75)
    assert (run.summary().unattributed_cpu_seconds, run.summary().cpu_complete) == (2.75, False)


def test_nested_containers_are_shown_and_counted_once() -> None:
    """A parent's numbers include those nested in it, so only the top is summed."""
    run = Run(
        ContainerInfo(key="p", name="dind", id="aaa"),
        ContainerInfo(key="c", name="inner", id="bbb", parent="p"),
        ContainerInfo(key="o", name="orphan", parent="not metered"),
    )
    for second in range(3):
        run.sample(
            second,
            ContainerSample(key="p", cpu_source="proc", cpu_seconds=3.0 * second, memory_bytes=300),
            ContainerSample(key="c", cpu_source="proc", cpu_seconds=2.0 * second, memory_bytes=200),
            ContainerSample(key="o", cpu_source="proc", cpu_seconds=1.0 * second, memory_bytes=100),
        )
    run.recorder.mark(2.5, "x")
    summary = run.summary()
    assert summary.cpu_seconds == 8
    assert [one.parent for one in summary.containers] == [None, "aaa", None]
    assert summary.sections[0].memory_working_set_peak_bytes == 400


def test_an_undeclared_container_is_left_out() -> None:
    """A sample of a container that no record declared has no name to be shown under."""
    run = Run()
    run.sample(1, ContainerSample(key="stranger", cpu_source="proc", cpu_seconds=5.0))
    assert [one.cpu_seconds for one in run.summary().containers] == [None]


def test_marks_cut_the_run_into_sections() -> None:
    """Each section has its own CPU time and peak; the first runs from the start to the first mark."""
    run = Run()
    for second, cpu, memory in ((0, 0.0, 10), (1, 1.0, 30), (2, 1.5, 20), (3, 4.0, 90), (4, 4.0, 5)):
        if second == 2:
            run.recorder.mark(1.5, "configure")
        if second == 4:
            run.recorder.mark(3.5, "build")
        run.cpu(second, cpu, memory_bytes=memory)
    run.recorder.end(5, Exit())
    sections = [
        (
            one.name,
            one.start_time[17:23],
            one.end_time[17:23],
            one.cpu_seconds,
            one.memory_working_set_peak_bytes,
        )
        for one in run.summary().sections
    ]
    assert sections == [
        ("start", "59.500", "01.000", 1.0, 30),
        ("configure", "01.000", "03.000", 3.0, 90),
        ("build", "03.000", "04.500", 0.0, 5),
    ]


def test_a_run_without_marks_has_no_sections() -> None:
    """Sections are there when the job sets marks."""
    assert Run().summary().sections == []


def test_warnings_and_marks_are_bounded() -> None:
    """Nothing a job does makes the summary grow without end, and what is left out is said."""
    run = Run()
    for number in range(MAX_MARKS + 50):
        run.recorder.mark(number * 0.001, f"mark {number}")
    for number in range(MAX_WARNINGS + 50):
        run.fold.warn(f"warning {number}")
    summary = run.summary()
    assert len(summary.sections) == MAX_MARKS
    assert len(summary.warnings) == MAX_WARNINGS
    assert summary.warnings[0] == f"More than {MAX_MARKS} marks were set; the later ones are left out."


def test_containers_are_bounded() -> None:
    """A run with more containers than that says so, and that CPU time is missing."""
    run = Run(*(ContainerInfo(key=str(number), name="box") for number in range(MAX_CONTAINERS + 1)))
    summary = run.summary()
    assert len(summary.containers) == MAX_CONTAINERS
    assert not summary.cpu_complete
    assert summary.warnings == [
        f"More than {MAX_CONTAINERS} containers were seen; the later ones are left out."
    ]


def test_the_same_warning_is_kept_once() -> None:
    """A warning that recurs at each tick is one sentence."""
    run = Run()
    for _ in range(3):
        run.recorder.warn("again")
    assert run.summary().warnings == ["again"]
    assert len(run.records) == 3


@pytest.mark.parametrize(
    "readings, percent",
    [
        pytest.param([(0, 0, 0), (1, 1, 0)], Statistic(peak=50, avg=50), id="half busy"),
        pytest.param([(0, 0, 0), (1, 1, 2)], Statistic(peak=25, avg=25), id="stolen time is neither"),
        pytest.param([(0, 0, None), (1, 3, None)], Statistic(peak=25, avg=25), id="no steal"),
        pytest.param([(5, 5, 0), (0, 1, 0)], Statistic(), id="counters that fall"),
        pytest.param([(None, 5, 0), (1, None, 0)], Statistic(), id="nothing readable"),
        pytest.param([(1, 1, 0), (1, 1, 0)], Statistic(), id="a stopped clock"),
        pytest.param(
            [(0, 0, 0), (5, 0, 0), (5, 5, 0)], Statistic(100, 99, 95, 75, 50, 50), id="average by time"
        ),
    ],
)
def test_cpu_use_of_the_machine(readings, percent) -> None:
    """0 to 100 percent of what the machine could do; unknown is null."""
    run = Run()
    for second, (busy, idle, steal) in enumerate(readings):
        run.sample(second, host=HostSample(busy_seconds=busy, idle_seconds=idle, steal_seconds=steal))
    assert run.summary().cpu_total_percent == percent


@pytest.mark.parametrize(
    "total, available, used, percent",
    [
        (8 * GIB, 6 * GIB, 2 * GIB, 25),
        (8 * GIB, None, None, None),
        (None, 6 * GIB, None, None),
        (0, 0, 0, None),
    ],
)
def test_memory_of_the_machine(total, available, used, percent) -> None:
    """MemTotal - MemAvailable, null when either is missing."""
    run = Run()
    run.sample(1, host=HostSample(memory_total_bytes=total, memory_available_bytes=available))
    summary = run.summary()
    assert (summary.mem_used_bytes.peak, summary.mem_used_percent.peak) == (used, percent)


def test_pressure_and_throttling_are_growth() -> None:
    """Stall times before the run are left out; a resource without an account stays null."""
    run = Run()
    for second in range(3):
        run.cpu(second, 0.0, throttled_seconds=7 + second, pressure=Pressure(cpu=Stall(4 + second / 2, None)))
    job = run.job()
    assert job.pressure == Pressure(cpu=Stall(1.0, None))
    assert job.throttled_seconds == 2
    ratios = run.fold.timeline().containers[0]
    assert (ratios.throttled_ratio, ratios.cpu_stall_ratio) == ([None, 1, 1], [None, 0.5, 0.5])


def test_a_ratio_is_of_the_time_it_grew_in() -> None:
    """After a reading that failed, the growth of two intervals is not shown as that of one."""
    run = Run()
    for second, throttled in enumerate((0.0, 0.5, None, 1.5, 2.0)):
        run.cpu(second, 0.0, throttled_seconds=throttled)
    assert run.fold.timeline().containers[0].throttled_ratio == [None, 0.5, None, None, 0.5]
    assert run.job().throttled_seconds == 2


@pytest.mark.parametrize(
    "began, peaks, sampled, expected",
    [
        pytest.param(True, [9, 9], [3, 4], 9, id="the kernel's peak of a cgroup that began in the run"),
        pytest.param(False, [9, 9], [3, 4], 4, id="a peak from before the run is not the run's"),
        pytest.param(False, [9, 12], [3, 4], 12, id="a peak that grew was reached in the run"),
        pytest.param(False, [None, None], [3, 4], 4, id="the most that were seen"),
        pytest.param(False, [None, None], [None, None], None, id="unknown"),
    ],
)
def test_the_peak_of_tasks_is_of_the_run(began, peaks, sampled, expected) -> None:
    """The kernel's own maximum counts where it was reached within the run."""
    run = Run(ContainerInfo(key="job", name="job", began=began))
    for second, (peak, pids) in enumerate(zip(peaks, sampled, strict=True)):
        run.cpu(second, 0.0, pids_peak=peak, pids=pids)
    assert run.job().pids_peak == expected


def test_memory_keeps_to_one_source() -> None:
    """Working set and sum of RSS are never mixed in one statistic; the first source is kept."""
    run = Run()
    run.cpu(0, 0.0, memory_source="working_set", memory_bytes=100, rss_bytes=70)
    run.cpu(1, 0.0, memory_source="rss", memory_bytes=900, rss_bytes=900)
    run.cpu(2, 0.0, memory_source="working_set", memory_bytes=200)
    job = run.job()
    assert (job.memory_source, job.memory_bytes.peak, job.memory_working_set_peak_bytes) == (
        "working_set",
        200,
        200,
    )
    assert job.rss_bytes.peak == 900


def test_high_water_marks_are_the_largest_ever() -> None:
    """They are the kernel's own maxima, so a missing reading changes nothing."""
    run = Run()
    for second, (water, charged) in enumerate(((5, 50), (9, 70), (None, None), (7, 60))):
        run.cpu(second, 0.0, high_water_bytes=water, charged_peak_bytes=charged)
    assert (run.job().memory_high_water_bytes, run.job().memory_charged_peak_bytes) == (9, 70)


def test_what_the_kernel_kept_is_unknown_once_it_cannot_be_read() -> None:
    """A peak or a count without its last part would look like the whole; a kill that was seen stays one."""
    run, hit = Run(), Run()
    for second, (charged, kills) in enumerate(((50, 0), (70, 0), (None, None))):
        run.cpu(second, 0.0, charged_peak_bytes=charged, oom_kills=kills)
        hit.cpu(second, 0.0, charged_peak_bytes=charged, oom_kills=None if kills is None else second)
    assert (run.job().memory_charged_peak_bytes, run.job().oom_kills) == (None, None)
    assert hit.job().oom_kills == 1


def test_cpu_use_is_exact_on_average() -> None:
    """The average is total over duration, also where ticks are uneven; the peak is the highest rate."""
    run = Run()
    for elapsed, cpu in ((0, 0), (1, 2), (5, 2), (8, 5)):
        run.cpu(elapsed, cpu)
    assert run.job().cpu_cores == Statistic(2, 1.98, 1.9, 1.5, 1, 0.625)


def test_a_long_run_keeps_only_values() -> None:
    """What grows with the length of a run are 8 bytes per value; points, processes and programs are bounded."""
    run = Run()
    programs = tuple(ProgramSample(name=f"p{number}", count=1, cpu_seconds=0.1) for number in range(700))
    for second in range(3000):
        run.cpu(second, second * 0.5)
    run.sample(3000, programs=programs)
    summary = run.summary()
    assert summary.sample_count == 3001
    assert len(run.fold.timeline().elapsed_seconds) <= 480
    assert sum(one.count for one in summary.programs) == 700
    assert len(summary.programs) == 501
