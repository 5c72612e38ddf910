"""The files by which a gateway knows of a keeper."""

from __future__ import annotations

import os
import resource
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from jobmeter.model.exits import Survivor
from jobmeter.supervise.job_cgroup import own_start_ticks
from jobmeter.supervise.keeper import records
from jobmeter.supervise.keeper.end import Ended, Kept
from tests.support.disks import small_disk

KEPT = Kept(pid=1, start_ticks=1, name="n", cgroups={}, run_uid="r", started_at=1.0)
ENDED = Ended(reason="exit", detail="The runner ended.", at=1.0, code=0)


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """For this process."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_no_descriptor_is_no_word_of_a_keeper(tmp_path: Path) -> None:
    """Who took it for one would end a runner that is at work."""
    folder = str(tmp_path)
    me = Kept(
        pid=os.getpid(),
        start_ticks=own_start_ticks(os.getpid()) or 0,
        name="",
        cgroups={},
        run_uid="",
        started_at=0.0,
    )
    assert (records.read_kept(folder), records.read_end(folder), records.open_lifeline(folder)) == (
        None,
        None,
        None,
    )
    assert records.is_alive(me)
    with no_descriptor_left():
        for look in (records.read_kept, records.read_end, records.open_lifeline):
            with pytest.raises(OSError, match="Too many open files"):
                look(folder)
        with pytest.raises(OSError, match="Too many open files"):
            records.is_alive(me)


def survivors(count: int) -> tuple[Survivor, ...]:
    return tuple(Survivor(number, "sleep") for number in range(count))


@pytest.mark.parametrize("left,told", [(0, 0), (50, 50), (1000, 0)])
def test_the_end_is_told_on_a_full_disk(tmp_path: Path, left: int, told: int) -> None:
    """There is room for it from the start on, but not for any number of processes that were left."""
    with small_disk(tmp_path / "disk") as disk:
        keeper = records.Records(str(disk.folder))
        keeper.begin(KEPT)
        disk.fill()
        keeper.end(replace(ENDED, survivors=survivors(left)))
        assert records.read_end(str(disk.folder)) == replace(ENDED, survivors=survivors(told))


def test_who_waits_is_woken_where_nothing_can_be_written(tmp_path: Path) -> None:
    """The end is not told then."""
    with small_disk(tmp_path / "disk") as disk:
        keeper = records.Records(str(disk.folder))
        keeper.begin(KEPT)
        lifeline = records.open_lifeline(str(disk.folder))
        assert lifeline is not None
        disk.lock()
        with pytest.raises(OSError, match="Read-only"):
            keeper.end(ENDED)
        assert select.select([lifeline], [], [], 0)[0] == [lifeline]
        os.close(lifeline)
        assert records.read_end(str(disk.folder)) is None


@contextmanager
def small_files(size: int) -> Iterator[None]:
    """The kernel writes a part of what is longer, and then nothing, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_what_is_written_in_part_is_not_there(tmp_path: Path) -> None:
    """It is whole, or an error."""
    keeper = records.Records(str(tmp_path))
    with small_files(8000), pytest.raises(OSError, match="File too large"):
        keeper.begin(replace(KEPT, name="n" * 9000))
    assert not (tmp_path / "keeper.json").exists()
    keeper.abandon()
    assert list(tmp_path.iterdir()) == []


def test_a_shorter_end_than_the_room_for_it(tmp_path: Path) -> None:
    """It has no more bytes than it needs, and nothing else stays."""
    keeper = records.Records(str(tmp_path))
    keeper.begin(KEPT)
    keeper.end(ENDED)
    assert (tmp_path / "ended.json").stat().st_size < 1000
    assert {path.name for path in tmp_path.iterdir()} == {"keeper.json", "ended.json", "lifeline"}


def test_an_earlier_start_that_took_too_long(tmp_path: Path) -> None:
    """Says nothing of the next one, whose result would not count."""
    records.Records(str(tmp_path)).be_overdue()
    assert records.is_overdue(str(tmp_path))
    records.Records(str(tmp_path))
    assert not records.is_overdue(str(tmp_path))
