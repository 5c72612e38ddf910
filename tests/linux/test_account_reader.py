"""The account of a container as an exporter reads it: whole, cheaply, and what is gone keeps its last values."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import pytest
from msgspec.structs import asdict

from jobmeter.linux.account_reader import AccountReader
from jobmeter.linux.cgroup_reader import CgroupGone
from jobmeter.linux.descriptors import Descriptors
from jobmeter.linux.machine_activity import CPU_PRESSURE, IO_PRESSURE, OOM_KILLS
from tests.support.fake_host import open_descriptors
from tests.support.hosts import HOSTS, job_directories
from tests.support.kernel_files import no_device

MEMORY = {
    "memory_usage_bytes": 22151168,
    "memory_inactive_file_bytes": 21061632,
    "memory_charged_peak_bytes": 67108864,
    "oom_kills": 1,
}
STALLS = {
    "cpu_waiting_seconds": 0.75506,
    "cpu_stalled_seconds": 0.754967,
    "memory_waiting_seconds": 79e-6,
    "io_stalled_seconds": 0.001134,
}
EXPECTED: dict[str, Mapping[str, object]] = {
    "hybrid": MEMORY | STALLS | {"cpu_throttled_seconds": pytest.approx(0.793065, abs=1e-6), "processes": 2},
    "v1": MEMORY | {"io_read_bytes": 12288, "io_written_bytes": 20971520, "processes": 2, "io_waiting_seconds": None},
    "v2": MEMORY | STALLS | {"io_read_bytes": 16384, "io_written_bytes": 20971520},
}  # fmt: skip


@pytest.mark.parametrize("host", EXPECTED)
def test_a_container_is_read_alike_in_every_version(host: str) -> None:
    """What a version does not have is not known, never 0."""
    errors: dict[str, int] = {}
    reader = AccountReader(job_directories(host), Descriptors(100), errors)
    account = reader.read()
    reader.close()
    assert {name: asdict(account)[name] for name in EXPECTED[host]} == EXPECTED[host]
    assert account.cpu_seconds == pytest.approx(0.784439 if host == "v2" else 0.843154, abs=1e-6)
    assert account.memory_working_set_bytes == 22151168 - 21061632
    assert errors == {}


@pytest.fixture
def cgroup(tmp_path: Path) -> Path:
    """A copy of a container's directory of v2."""
    return Path(shutil.copytree(job_directories("v2")[""], tmp_path / "job"))


def reader_of(cgroup: Path, descriptors: int = 100) -> tuple[AccountReader, dict[str, int]]:
    errors: dict[str, int] = {}
    return AccountReader({"": str(cgroup)}, Descriptors(descriptors), errors), errors


def test_one_that_does_nothing_is_read_short(cgroup: Path) -> None:
    """Until it uses CPU time or memory, or its turn has come; a whole reading is whole at once."""
    reader, _ = reader_of(cgroup)
    for _ in range(4):
        reader.read()
    peak = cgroup / "memory.peak"
    peak.write_text("70000000\n")
    assert reader.read().memory_charged_peak_bytes == 67108864
    assert reader.read(whole=True).memory_charged_peak_bytes == 70000000
    peak.write_text("80000000\n")
    (cgroup / "memory.current").write_text("22151169\n")
    assert reader.read().memory_charged_peak_bytes == 80000000
    for _ in range(4):
        reader.read()
    peak.write_text("90000000\n")
    assert [reader.read().memory_charged_peak_bytes for _ in range(6)][-1] == 90000000
    reader.close()


def test_what_waits_is_seen_of_one_that_does_nothing(cgroup: Path) -> None:
    """A task that waits uses nothing."""
    reader, _ = reader_of(cgroup)
    for _ in range(4):
        reader.read()
    (cgroup / "io.pressure").write_text("some avg10=0 avg60=0 avg300=0 total=5000000\n")
    assert reader.read().io_waiting_seconds == 5.0
    reader.close()


def test_what_the_machine_did_not_do_is_not_read(cgroup: Path) -> None:
    """But at first, every sixth time, and where the whole is wanted."""
    reader, _ = reader_of(cgroup)
    stalls = iter(range(1, 100))

    def waiting(*, whole: bool = False, grown: frozenset[str] = frozenset()) -> float | None:
        text = f"some avg10=0 avg60=0 avg300=0 total={next(stalls)}000000\n"
        (cgroup / "io.pressure").write_text(text)
        return reader.read(whole=whole, grown=grown).io_waiting_seconds

    assert [waiting() for _ in range(6)] == [1, 1, 1, 1, 1, 6]
    assert waiting(grown=frozenset({IO_PRESSURE})) == 7
    assert waiting(grown=frozenset({CPU_PRESSURE})) == 7
    assert waiting(whole=True) == 9
    reader.close()


def test_a_long_file_is_read_whole(cgroup: Path) -> None:
    """Though most are short."""
    lines = "".join(f"of_no_interest_{number} 0\n" for number in range(400))
    (cgroup / "memory.stat").write_text(f"anon 1\nfile 2\n{lines}inactive_file 3\n")
    reader, errors = reader_of(cgroup)
    assert reader.read().memory_inactive_file_bytes == 3
    assert errors == {}
    reader.close()


def test_pressure_is_not_read_at_every_look(cgroup: Path) -> None:
    """As each reading costs a part of it."""
    reader, _ = reader_of(cgroup)
    before = reader.read().io_waiting_seconds
    (cgroup / "io.pressure").write_text("some avg10=0 avg60=0 avg300=0 total=5000000\n")
    assert [reader.read(with_pressure=False).io_waiting_seconds for _ in range(10)] == [before] * 10
    assert reader.read().io_waiting_seconds == 5.0
    reader.close()


def test_a_kill_is_seen_when_the_machine_tells_of_one(tmp_path: Path) -> None:
    """The file of version 1 tells of nothing else that counts."""
    place = shutil.copytree(job_directories("v1")["memory"], tmp_path / "memory")
    reader = AccountReader({"memory": str(place)}, Descriptors(10), {})
    assert reader.read(grown=frozenset()).oom_kills == 1
    (place / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    assert reader.read(grown=frozenset()).oom_kills == 1
    assert reader.read(grown=frozenset({OOM_KILLS})).oom_kills == 2
    reader.close()


def test_what_counts_nothing_for_want_of_a_limit_is_looked_at_seldom(tmp_path: Path) -> None:
    """One that is set later is seen within six readings, and at once by a whole one."""
    (tmp_path / "cpuacct.usage").write_text("0\n")
    stat = tmp_path / "cpu.stat"
    stat.write_text("nr_periods 0\nnr_throttled 0\nthrottled_time 0\n")
    reader = AccountReader({"cpuacct": str(tmp_path), "cpu": str(tmp_path)}, Descriptors(10), {})

    def busy_reading(number: int, *, whole: bool = False) -> int | None:
        (tmp_path / "cpuacct.usage").write_text(f"{number}000000000\n")
        return reader.read(whole=whole).cpu_throttled_periods

    assert busy_reading(1) == 0
    stat.write_text("nr_periods 7\nnr_throttled 5\nthrottled_time 0\n")
    assert busy_reading(2) == 0
    assert [busy_reading(number) for number in range(3, 9)][-1] == 5
    stat.write_text("nr_periods 9\nnr_throttled 6\nthrottled_time 0\n")
    assert busy_reading(9) == 6
    stat.write_text("nr_periods 0\nnr_throttled 0\nthrottled_time 0\n")
    busy_reading(10, whole=True)
    stat.write_text("nr_periods 2\nnr_throttled 1\nthrottled_time 0\n")
    assert busy_reading(11, whole=True) == 1
    reader.close()


def test_bursts_between_looks_are_seen(tmp_path: Path) -> None:
    """Whatever the time between them: who works once in so many readings is read short in between."""
    usage, stat = tmp_path / "cpuacct.usage", tmp_path / "cpu.stat"
    shown: dict[int, int | None] = {}
    for every in range(1, 14):
        usage.write_text("0\n")
        stat.write_text("nr_periods 0\nnr_throttled 0\nthrottled_time 0\n")
        reader = AccountReader({"cpuacct": str(tmp_path), "cpu": str(tmp_path)}, Descriptors(10), {})
        for number in range(1, 8 * every + 1):
            if number % every == every // 3:
                usage.write_text(f"{number}\n")
                stat.write_text(f"nr_periods {number}\nnr_throttled 0\nthrottled_time 0\n")
            reader.read(grown=frozenset())
        shown[every] = reader.account.cpu_periods
        reader.close()
    assert all(shown.values())


@pytest.mark.parametrize("text", ["", "nonsense\n", "usage_usec x\n"])
def test_what_cannot_be_read_is_not_known(cgroup: Path, text: str) -> None:
    """It is counted; the rest goes on, and it comes back."""
    reader, errors = reader_of(cgroup)
    before = reader.read(whole=True)
    good = (cgroup / "memory.current").read_text()
    (cgroup / "memory.current").write_text(text)
    account = reader.read(whole=True)
    assert (account.memory_usage_bytes, account.memory_working_set_bytes) == (None, None)
    assert account.cpu_seconds == before.cpu_seconds
    assert errors == {"format": 1}
    (cgroup / "memory.current").write_text(good)
    assert reader.read() == before
    reader.close()


def test_what_another_file_gives_is_still_known(tmp_path: Path) -> None:
    """On a hybrid host the CPU time is of version 1, periods and throttling may be of version 2."""
    places = job_directories("hybrid")
    unified = shutil.copytree(job_directories("v2")[""], tmp_path / "unified")
    reader = AccountReader({"cpuacct": places["cpuacct"], "": str(unified)}, Descriptors(0), {})
    before = reader.read(whole=True)
    assert before.cpu_seconds is not None
    assert before.cpu_periods is not None
    (unified / "cpu.stat").write_text("nr_periods x\n")
    account = reader.read(whole=True)
    assert (account.cpu_seconds, account.cpu_periods) == (before.cpu_seconds, None)
    reader.close()


def test_the_last_values_stay_when_it_is_gone(cgroup: Path) -> None:
    """It was removed between two readings."""
    reader, _ = reader_of(cgroup, descriptors=0)
    before = reader.read()
    shutil.rmtree(cgroup)
    with pytest.raises(CgroupGone):
        reader.read(whole=True)
    assert reader.account == before
    reader.close()


def test_one_whose_directories_go_one_after_the_other_keeps_its_last_values(tmp_path: Path) -> None:
    """It is gone with the first."""
    places = {
        one: shutil.copytree(path, tmp_path / one)
        for one, path in job_directories("v1").items()
        if one in ("cpuacct", "memory")
    }
    reader = AccountReader({one: str(path) for one, path in places.items()}, Descriptors(0), {})
    before = reader.read(whole=True)
    shutil.rmtree(places["cpuacct"])
    with pytest.raises(CgroupGone):
        reader.read(whole=True)
    assert reader.account == before
    reader.close()


@pytest.mark.parametrize("room", [0, 2, 100])
def test_with_few_descriptors_it_reads_the_same(cgroup: Path, room: int) -> None:
    """It opens what it may not keep open; at the end nothing is."""
    before = open_descriptors()
    descriptors = Descriptors(room)
    reader = AccountReader({"": str(cgroup)}, descriptors, {})
    assert open_descriptors() - before <= room
    assert bool(descriptors.refused) is (room < 100)
    found = reader.read(whole=True)
    reader.close()
    assert open_descriptors() == before
    whole, _ = reader_of(cgroup)
    assert found == whole.read(whole=True)
    whole.close()


@pytest.fixture
def as_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was removed answers no more, though it is held."""
    monkeypatch.setattr(os, "pread", no_device())


@pytest.mark.usefixtures("as_kernel")
@pytest.mark.parametrize("whole", [True, False])
def test_another_one_at_its_path_is_not_it(cgroup: Path, whole: bool) -> None:
    """As when a service is started again between two readings."""
    reader, errors = reader_of(cgroup)
    before = reader.read()
    old = cgroup.rename(cgroup.with_name("old"))  # So that its inode is not used again.
    shutil.copytree(old, cgroup)
    shutil.rmtree(old)
    with pytest.raises(CgroupGone):
        reader.read(whole=whole)
    assert (reader.account, errors) == (before, {})
    reader.close()


@pytest.mark.usefixtures("as_kernel")
@pytest.mark.parametrize("descriptors", [0, 100])
def test_a_controller_is_taken_away_and_given_back(cgroup: Path, descriptors: int) -> None:
    """What it counted is not known until then; it is no reading that failed."""
    held = open_descriptors()
    reader, errors = reader_of(cgroup, descriptors)
    before = reader.read(whole=True)
    texts = {path: path.read_text() for path in cgroup.glob("memory.*") if path.name != "memory.pressure"}
    for path in texts:
        path.unlink()
    assert reader.read(whole=True) == before  # Its directory may be about to go too.
    taken = reader.read(whole=True)
    assert (taken.memory_usage_bytes, taken.memory_anon_bytes, taken.oom_kills) == (None, None, None)
    assert (taken.cpu_seconds, taken.processes) == (before.cpu_seconds, before.processes)
    for path, text in texts.items():
        path.write_text(text)
    assert [reader.read(whole=True) for _ in range(12)][-1] == before
    assert errors == {}
    reader.close()
    assert open_descriptors() == held


@pytest.mark.usefixtures("as_kernel")
def test_a_controller_is_given_anew_between_two_readings(cgroup: Path) -> None:
    """Its files are others."""
    reader, errors = reader_of(cgroup)
    reader.read()
    (cgroup / "memory.current").unlink()
    (cgroup / "memory.current").write_text("4096\n")
    reader.read()
    assert (reader.read().memory_usage_bytes, errors) == (4096, {})
    (cgroup / "memory.current").write_text("8192\n")
    assert reader.read().memory_usage_bytes == 8192
    reader.close()


def test_a_controller_that_comes_later_is_read(cgroup: Path) -> None:
    """Within twelve readings."""
    text = (cgroup / "memory.current").read_text()
    (cgroup / "memory.current").unlink()
    reader, errors = reader_of(cgroup)
    assert [reader.read().memory_usage_bytes for _ in range(20)] == [None] * 20
    (cgroup / "memory.current").write_text(text)
    assert [reader.read().memory_usage_bytes for _ in range(12)][-1] == int(text)
    assert errors == {}
    reader.close()


def test_one_that_went_before_what_is_missing_came_is_gone(tmp_path: Path) -> None:
    """What comes at its path is another's."""
    (tmp_path / "job").mkdir()
    (tmp_path / "job/cpu.stat").write_text("usage_usec 1000000\n")
    reader, _ = reader_of(tmp_path / "job", descriptors=0)
    before = reader.read()
    (tmp_path / "job").rename(tmp_path / "old")
    shutil.copytree(tmp_path / "old", tmp_path / "job")
    (tmp_path / "job/memory.current").write_text("4096\n")
    read = iter(reader.read, None)
    with pytest.raises(CgroupGone):
        list(islice(read, 12))
    assert reader.account == before
    reader.close()


def test_kills_below_it_are_its_own(tmp_path: Path) -> None:
    """Version 1 counts each where it happened; they are looked for when the machine tells of one, or at a whole one."""
    place = shutil.copytree(job_directories("v1")["memory"], tmp_path / "memory")
    inner = shutil.copytree(place, place / "init.scope")
    shutil.copytree(inner, place / "other")
    reader = AccountReader({"memory": str(place)}, Descriptors(10), {}, belongs=lambda path: path != "/other")
    assert reader.read(grown=frozenset()).oom_kills == 1
    assert reader.read(grown=frozenset({OOM_KILLS})).oom_kills == 2
    (inner / "memory.oom_control").write_text("oom_kill 4\n")
    assert reader.read(grown=frozenset()).oom_kills == 2
    assert reader.read(whole=True, grown=frozenset()).oom_kills == 5
    shutil.rmtree(inner)
    assert reader.read(whole=True).oom_kills == 5
    reader.close()


def test_hosts_have_what_is_read() -> None:
    """So that the first test cannot pass for want of files."""
    assert all((HOSTS / host).is_dir() for host in EXPECTED)
