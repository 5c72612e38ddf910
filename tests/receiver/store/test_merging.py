"""Parts of a run that is over become few, each record once and in order, whatever happens meanwhile."""

from __future__ import annotations

import random
import threading
import tracemalloc
import zlib
from contextlib import closing, nullcontext
from pathlib import Path

import pytest

from jobmeter.receiver.store import merging
from jobmeter.receiver.store.block import process as block_process
from jobmeter.receiver.store.block.coding import BEGINS
from jobmeter.receiver.store.block.process import BlockProcess
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.merging import Merge, next_merge, unmerged_runs
from jobmeter.receiver.store.queries import next_part
from jobmeter.receiver.store.streams import Ending, Part
from tests.receiver.store.support import found, lines, part, stored, summary


def merge_of(place: str, sequence: int = 0, *, stopping: bool = False) -> Merge | None:
    """The next merge of the run "u"."""
    stop = threading.Event()
    if stopping:
        stop.set()
    database = Database.open(place)
    try:
        return database.read_here(lambda connection: next_merge(connection, "u", sequence, stop))
    finally:
        database.close()


def merged(place: str) -> list[tuple[int, int]]:
    """Merge all that can be; from which record to before which."""
    done: list[tuple[int, int]] = []
    while (merge := merge_of(place, done[-1][1] if done else 0)) is not None:
        assert stored(place, merge) == [True]
        done.append((merge.first_sequence, merge.next_sequence))
    return done


@pytest.mark.parametrize("block_bytes, blocks", [(10**9, [(0, 20)]), (100, [(0, 14), (14, 20)]), (1, [])])
def test_the_parts_of_a_run_that_is_over_are_merged(place, monkeypatch, block_bytes, blocks):
    """Into blocks of bounded size; and the stream can go on."""
    monkeypatch.setattr(merging, "_BLOCK_BYTES", block_bytes)
    stored(place, *(part("u", first, 2) for first in range(0, 18, 2)), part("u", 18, 2, ends_after=18))
    assert merged(place) == blocks
    assert lines(place, "u") == list(range(20))
    assert stored(place, part("u", 19, 2))[0].next_sequence == 21
    assert lines(place, "u") == list(range(21))


def test_what_came_after_a_merge_is_merged_beside_it(place):
    """A block stays as it is: to pack a long run anew at each late part would take long."""
    stored(place, part("u", 0, 2), part("u", 2, 2, ends_after=2))
    assert merged(place) == [(0, 4)]
    stored(place, part("u", 4, 2), part("u", 6, 2), part("u", 8, 2, ends_after=8))
    assert merged(place) == [(4, 10)]
    assert merged(place) == []
    assert lines(place, "u") == list(range(10))


def test_parts_are_not_merged_when_more_came_meanwhile(place):
    """Nor while the run goes on."""
    stored(place, part("u", 0, 1), part("u", 1, 2, ends_after=1))
    merge = merge_of(place)
    assert stored(place, part("u", 3, 1), merge)[1] is False
    assert stored(place, part("u", 4, 1, ends_after=4), merge)[1] is False
    assert lines(place, "u") == [0, 1, 2, 3, 4]


def test_two_receivers_that_merge_the_same_do_it_once(place):
    """The second finds other parts than it has read."""
    stored(place, part("u", 0, 1), part("u", 1, 2, ends_after=1))
    merge = merge_of(place)
    assert stored(place, merge, merge) == [True, False]
    assert lines(place, "u") == [0, 1, 2]


def test_a_gap_stays_between_two_blocks(place):
    """Within a block records follow one another, so that a reader may count them."""
    stored(place, part("u", 0, 2), part("u", 2, 1), part("u", 5, 2, gap=True), part("u", 7, 1, ends_after=7))
    assert merged(place) == [(0, 3), (5, 8)]
    assert lines(place, "u") == [0, 1, 2, 5, 6, 7]


def test_a_merge_that_is_broken_off_changes_nothing(place):
    """It stops within a part."""
    stored(place, part("u", 0, 2), part("u", 2, 2, ends_after=2))
    assert merge_of(place, stopping=True) is None
    assert lines(place, "u") == [0, 1, 2, 3]


def test_a_merge_takes_the_memory_of_a_block_whatever_the_run_has(place, monkeypatch):
    """Of records that cannot be compressed, too."""
    monkeypatch.setattr(merging, "_BLOCK_BYTES", 2_000_000)
    chance = random.Random(1)
    bodies = [zlib.compress(chance.randbytes(1_000_000), 0) for _ in range(40)]
    parts = [Part("u", number, (b"",), compressed=body) for number, body in enumerate(bodies)]
    stored(place, *parts[:-1], parts[-1]._replace(ends=True, ending=Ending(39, None)))
    tracemalloc.start()
    try:
        merge = merge_of(place)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert merge is not None
    assert merge.part_count == 2
    assert peak < 20_000_000


@pytest.mark.parametrize(
    "kills, stops, encoders", [(0, False, 1), (1, False, 2), (2, False, 2), (1, True, 1)]
)
def test_a_packing_process_that_was_killed_is_replaced_once(place, monkeypatch, kills, stops, encoders):
    """With all of the text; not when the receiver ends, which kills it too."""
    monkeypatch.setattr(block_process, "_SMALL_BYTES", 0)
    process, stop = BlockProcess(), threading.Event()
    begun: list[block_process.Encoder] = []

    class Killed(block_process.Encoder):
        def block(self) -> bytes:
            if len(begun) <= kills:
                if stops:
                    stop.set()
                process.let_go()
            return super().block()

    def encoder() -> block_process.Encoder:
        begun.append(Killed(process))
        return begun[-1]

    stored(place, part("u", 0, 2), part("u", 2, 2, ends_after=2))
    broken = pytest.raises(BrokenPipeError) if kills >= encoders else nullcontext()
    with closing(Database.open(place)) as database, broken:
        merge = database.read_here(lambda asked: next_merge(asked, "u", 0, stop, encoder))
        assert stored(place, merge) == [True]
    process.let_go()
    assert len(begun) == encoders
    assert lines(place, "u") == [0, 1, 2, 3]


def unmerged(place: str, *, stopping: bool = False) -> list[str]:
    """Keys of the runs that are left."""
    stop = threading.Event()
    if stopping:
        stop.set()
    database = Database.open(place)
    try:
        return database.read_here(lambda connection: unmerged_runs(connection, None, 9, stop)).run_uids
    finally:
        database.close()


def test_a_run_is_left_to_merge_while_it_ends_with_parts(place):
    """Several of them; not while it goes on, and not when there is nothing that could be joined."""
    blocks = []
    stored(place, part("u", 0, 1), part("u", 1, 1), part("u", 2, 1))
    blocks.append(unmerged(place))
    stored(place, part("u", 3, 1, ends_after=3))
    blocks.append(unmerged(place))
    assert merged(place) == [(0, 4)]
    blocks.append(unmerged(place))
    stored(place, part("u", 4, 1, ends_after=4))
    blocks.append(unmerged(place))
    stored(place, part("u", 5, 1, ends_after=5))
    blocks.append(unmerged(place))
    assert merged(place) == [(4, 6)]
    blocks.append(unmerged(place))
    assert blocks == [[], ["u"], [], [], ["u"], []]


def test_nothing_is_looked_for_where_nothing_was_streamed(place):
    """Summaries that were sent have no parts."""
    stored(place, summary("a"))
    assert unmerged(place) == []


def test_the_search_for_what_is_left_ends_when_it_is_to_stop(place):
    """Nobody merges it then."""
    stored(place, part("u", 0, 2), part("u", 2, 2, ends_after=2))
    assert unmerged(place, stopping=True) == []


def bytes_read() -> int:
    """By this process, whether from the disk or not (proc(5), ``rchar``)."""
    return int(Path("/proc/self/io").read_text().split()[1])


def test_the_search_for_what_is_left_reads_no_bodies(tmp_path):
    """They are nearly all of a database; of runs in several blocks neither."""
    place, body = str(tmp_path / "db"), BEGINS + bytes(1_000_000)
    for name, count in (("one", 1), ("several", 5)):
        bodies = [Part(name, number, (b"",), compressed=body) for number in range(count)]
        stored(place, *bodies[:-1], bodies[-1]._replace(ends=True, ending=Ending(count - 1, None)))
    before = bytes_read()
    assert unmerged(place) == []
    assert bytes_read() - before < len(body)


def test_who_reads_part_by_part_is_not_confused_by_a_merge(place):
    """The merged part is taken up behind what was already read."""
    stored(place, part("u", 0, 2), part("u", 2, 2, ends_after=2))
    assert merged(place) == [(0, 4)]
    key = found(place, "u").key
    database = Database.open(place)
    try:
        parts = [database.read_here(lambda asked, n=n: next_part(asked, key, n)) for n in (0, 2, 4)]  # type: ignore[misc]
    finally:
        database.close()
    assert [one and (one.skip, one.next_sequence) for one in parts] == [(0, 4), (2, 4), None]
