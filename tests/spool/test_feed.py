"""The records of a run come back as contiguous parts, from the journal or from memory, from any number on."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.model import wire
from jobmeter.spool import feed as feeds
from jobmeter.spool.feed import Feed, Part
from jobmeter.spool.journal import Journal
from tests.support.runs import OTHER_UID, UID, records, write_journal

RECORDS = list(records(ticks=20))
LINES = [wire.encode(record) + b"\n" for record in RECORDS]


@contextmanager
def feed_of(path: Path, run: list[wire.AnyRecord] = RECORDS) -> Iterator[tuple[Feed, Journal]]:
    """A feed beside a journal that all records of a run were given to."""
    journal = Journal(str(path), lambda text: None)
    feed = Feed(UID, journal, journal.size)
    for record in run:
        journal.write(record)
        feed.put(record)
    yield feed, journal
    journal.close()
    feed.close()


def parts(feed: Feed, sequence: int = 0, max_bytes: int = 1000) -> list[Part]:
    """Every part from a number on."""
    found = []
    while (part := feed.part(sequence, max_bytes)) is not None:
        found.append(part)
        sequence = part.next_sequence
    return found


def sequences(part: Part) -> list[int]:
    return [msgspec.json.decode(line)["sequence"] for line in part.data.splitlines()]


@given(st.integers(1, 4000), st.integers(0, len(RECORDS)))
def test_parts_are_the_journal_s_lines(tmp_path_factory, max_bytes: int, start: int) -> None:
    """Of any size, from any number on: contiguous, none twice, byte for byte, the last one ends the run."""
    with feed_of(tmp_path_factory.mktemp("feed") / "journal.jsonl") as (feed, _):
        found = parts(feed, start, max_bytes)
        assert b"".join(part.data for part in found) == b"".join(LINES[start:])
        for part in found:
            assert sequences(part) == list(range(part.first, part.next_sequence))
            assert len(part.data) <= max_bytes or part.next_sequence - part.first == 1
        assert [part.ends for part in found] == [False] * (len(found) - 1) + [True] * bool(found)


def test_what_was_handed_out_can_be_asked_for_again(tmp_path: Path) -> None:
    """A part whose answer was lost, and all of a run that a receiver has lost."""
    with feed_of(tmp_path / "journal.jsonl") as (feed, _):
        assert feed.part(5, 700) == feed.part(5, 700)
        whole = parts(feed, 10)
        assert whole[-1].ends
        assert b"".join(part.data for part in parts(feed, 0)) == b"".join(LINES)


def test_only_the_run_itself_is_read(tmp_path: Path) -> None:
    """A journal may hold others before it, and what a kill has torn."""
    path = write_journal(tmp_path / "journal.jsonl", *records(OTHER_UID))
    with path.open("ab") as file:
        file.write(LINES[0][:40])
    with feed_of(path) as (feed, _):
        assert b"".join(part.data for part in parts(feed)) == b"".join(LINES)


def test_a_line_that_is_being_written_is_left_for_later(tmp_path: Path) -> None:
    """Half a line is none yet; its other half makes it one."""
    path = tmp_path / "journal.jsonl"
    path.write_bytes(LINES[0] + LINES[1][:30])
    feed = Feed.of_file(UID, str(path))
    assert [sequences(part) for part in parts(feed)] == [[0]]
    with path.open("ab") as file:
        file.write(LINES[1][30:] + LINES[2].rstrip())
    assert [sequences(part) for part in parts(feed, 1)] == [[1, 2]]
    with path.open("ab") as file:
        file.write(b"\n" + LINES[3])
    assert [sequences(part) for part in parts(feed, 3)] == [[3]]
    feed.close()


def test_a_gap_in_the_journal_begins_a_part(tmp_path: Path) -> None:
    """A damaged line is not bridged: the next part says by its first number what is missing."""
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"".join([*LINES[:3], b'{"torn": \n', *LINES[4:6]]))
    feed = Feed.of_file(UID, str(path))
    assert [(part.first, part.next_sequence) for part in parts(feed)] == [(0, 3), (4, 6)]
    feed.close()


def test_without_a_journal_records_are_held() -> None:
    """Until a later part is asked for."""
    feed = Feed(UID, Journal.without("nowhere"))
    for record in RECORDS:
        feed.put(record)
    assert feed.waiting_bytes == sum(map(len, LINES))
    assert b"".join(part.data for part in parts(feed)) == b"".join(LINES)
    assert feed.waiting_bytes == 0


def test_pipe_is_no_place_to_read_back_from(tmp_path: Path) -> None:
    """A journal that is a pipe is written, and the stream comes from memory."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with feed_of(path, RECORDS[:4]) as (feed, _):
        assert b"".join(part.data for part in parts(feed)) == b"".join(LINES[:4])
    os.close(reading)


@pytest.mark.parametrize("room", range(0, len(LINES[2]) + 1, 40))
def test_full_disk_loses_nothing_of_the_stream(tmp_path: Path, room: int) -> None:
    """What the journal could not take is held; the record that was cut comes once and whole."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(LINES[0] + LINES[1]) + room, before[1]))
        with feed_of(tmp_path / "journal.jsonl") as (feed, journal):
            assert not journal.complete
            assert b"".join(part.data for part in parts(feed)) == b"".join(LINES)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_held_records_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest are dropped, never start and end, and the gap shows."""
    monkeypatch.setattr(feeds, "MAX_HELD_BYTES", sum(map(len, LINES[:5])))
    feed = Feed(UID, Journal.without("nowhere"))
    for record in RECORDS:
        feed.put(record)
    assert [(part.first, part.next_sequence, part.ends) for part in parts(feed, max_bytes=10**6)] == [
        (0, 5, False), (len(RECORDS) - 1, len(RECORDS), True),
    ]  # fmt: skip


def test_unlinked_journal_is_still_read(tmp_path: Path) -> None:
    """A job that cleans its temporary directory does not stop the stream."""
    path = tmp_path / "journal.jsonl"
    with feed_of(path) as (feed, _):
        path.unlink()
        assert b"".join(part.data for part in parts(feed)) == b"".join(LINES)


def test_nothing_falls_between_journal_and_memory(tmp_path: Path) -> None:
    """Parts are taken by another thread while the disk becomes full: all records, in their order, none missing."""
    run = list(records(ticks=300))
    taken: list[Part] = []
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for attempt in range(5):
        taken.clear()
        journal = Journal(str(tmp_path / f"{attempt}.jsonl"), lambda text: None)
        feed = Feed(UID, journal)

        def take(feed: Feed = feed) -> None:
            while not taken or not taken[-1].ends:
                part = feed.part(taken[-1].next_sequence if taken else 0)
                if part is not None:
                    taken.append(part)

        taker = threading.Thread(target=take)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000 + 100 * attempt, before[1]))
            taker.start()
            for record in run:
                journal.write(record)
                feed.put(record)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        taker.join()
        feed.close()
        assert [number for part in taken for number in sequences(part)] == list(range(len(run)))
