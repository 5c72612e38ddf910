"""The journal survives a kill at any moment, a full disk and hostile places."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.model import wire
from jobmeter.model.errors import JournalError
from jobmeter.model.summarize import RunFold
from jobmeter.spool.journal import Journal, JournalReader, prune
from tests.model.golden_run import LEAST, WHOLE, golden_records
from tests.support.fake_host import open_descriptors

RECORDS = [record for record in golden_records() if record.run_uid == WHOLE]
FEW = [record for record in golden_records() if record.run_uid == LEAST][2:]


class Warnings(list[str]):
    """What was said."""

    def __call__(self, text: str) -> None:
        self.append(text)


def write(path: Path, records: list[wire.AnyRecord]) -> Warnings:
    """Append the records to a journal."""
    said = Warnings()
    journal = Journal(str(path), said)
    for record in records:
        journal.write(record)
    journal.close()
    return said


def read(path: Path) -> list[wire.AnyRecord]:
    return list(JournalReader(path))


def whole_lines(text: bytes) -> int:
    return text.count(b"\n")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """In its order, with nothing said, in a file of which only we can read."""
    path = tmp_path / "new/deep/journal.jsonl"
    assert write(path, RECORDS) == []
    reader = JournalReader(path)
    assert (list(reader), reader.damaged) == (RECORDS, 0)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_each_record_is_on_its_way_when_write_returns(tmp_path: Path) -> None:
    """A process that is killed after a write has lost nothing of it."""
    path = tmp_path / "journal.jsonl"
    said = Warnings()
    journal = Journal(str(path), said)
    for number, record in enumerate(RECORDS, 1):
        journal.write(record)
        assert read(path) == RECORDS[:number]
    journal.close()


def test_a_journal_cut_at_every_byte_is_readable(tmp_path: Path) -> None:
    """Up to the last whole record; a cut one is left out or, when only its newline is missing, read."""
    path = tmp_path / "journal.jsonl"
    write(path, FEW)
    whole = path.read_bytes()
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        found = read(path)
        complete = whole_lines(whole[:size])
        assert found == FEW[: len(found)]
        assert complete <= len(found) <= complete + 1
        assert len(found) == complete or whole[size : size + 1] == b"\n"


def test_the_next_start_goes_on_behind_a_torn_record(tmp_path: Path) -> None:
    """Wherever the first writer was killed, what the second writes is readable too."""
    path = tmp_path / "journal.jsonl"
    write(path, RECORDS[:3])
    whole = path.read_bytes()
    for size in range(0, len(whole) + 1, 11):
        path.write_bytes(whole[:size])
        before = read(path)
        assert write(path, FEW[-2:]) == []
        assert read(path) == [*before, *FEW[-2:]]


def test_a_torn_journal_is_a_lost_run(tmp_path: Path) -> None:
    """What was written up to the last tick is a valid run that says it was lost."""
    path = tmp_path / "journal.jsonl"
    write(path, RECORDS)
    path.write_bytes(path.read_bytes()[:-40])
    fold = RunFold()
    for record in JournalReader(path):
        fold.add(record)
    assert fold.summary().exit.reason == "lost"


@given(
    st.lists(
        st.sampled_from([wire.encode(record) for record in RECORDS]) | st.binary(max_size=40), max_size=12
    )
)
def test_damaged_lines_are_counted_and_passed_over(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    """Any bytes between records harm no other line."""
    path = tmp_path_factory.mktemp("damaged") / "journal.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    good = [wire.decode(line) for line in lines if line in {wire.encode(record) for record in RECORDS}]
    assert [record for record in read(path) if record in RECORDS] == good


@given(st.binary(max_size=500))
def test_any_file_is_a_journal_or_one_error(tmp_path_factory: pytest.TempPathFactory, text: bytes) -> None:
    """No bytes are a traceback."""
    path = tmp_path_factory.mktemp("any") / "journal.jsonl"
    path.write_bytes(text)
    said = str(path)
    try:
        read(path)
    except JournalError as error:
        said = str(error)
    assert str(path) in said


def test_a_line_without_end_is_read_in_bounded_memory(tmp_path: Path) -> None:
    """A file of one endless line is damaged, not loaded whole, and what follows is read."""
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"x" * (2 * wire.MAX_RECORD_BYTES + 9) + b"\n" + wire.encode(RECORDS[0]) + b"\n")
    reader = JournalReader(path)
    assert list(reader) == RECORDS[:1]
    assert reader.damaged >= 1


@pytest.mark.parametrize(
    "prepare, reason",
    [
        (lambda path: None, "No such file or directory"),
        (lambda path: path.mkdir(), "Is a directory"),
        (
            lambda path: path.write_bytes(wire.encode(RECORDS[0]).replace(b'"v":1', b'"v":7') + b"\n"),
            "version 7",
        ),
    ],
)
def test_what_cannot_be_read_is_said_with_its_path(tmp_path: Path, prepare, reason) -> None:
    """One sentence instead of a traceback."""
    path = tmp_path / "journal.jsonl"
    prepare(path)
    with pytest.raises(JournalError, match=reason) as caught:
        read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "prepare, reason",
    [
        (lambda path: path.symlink_to("elsewhere"), "symbolic links"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: (path.parent / "file").touch() or path.symlink_to("file"), "symbolic links"),
    ],
)
def test_a_place_that_cannot_be_written_is_said_once(tmp_path: Path, prepare, reason) -> None:
    """Metering goes on without a journal; a link that somebody laid is not followed."""
    path = tmp_path / "journal.jsonl"
    prepare(path)
    said = write(path, RECORDS)
    assert len(said) == 1
    assert reason in said[0]
    assert str(path) in said[0]
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_is_a_file_is_said_once(tmp_path: Path) -> None:
    """Also when the folder for the journal cannot be made."""
    (tmp_path / "file").touch()
    said = write(tmp_path / "file/journal.jsonl", RECORDS)
    assert len(said) == 1


@contextlib.contextmanager
def small_files(size: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes, as on a full disk.

    Only around the writing itself: the test runner's own output may go to a file, too.
    """
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limit[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_stops_the_journal_and_nothing_else(tmp_path: Path) -> None:
    """It is said once, the cut record is taken back, and all before it is readable."""
    path = tmp_path / "journal.jsonl"
    said = Warnings()
    size = 3000
    with small_files(size):
        journal = Journal(str(path), said)
        for _ in range(5):
            for record in RECORDS:
                journal.write(record)
        assert not journal.writable
        journal.close()
    assert said == [f"The journal {path} cannot be written (File too large); metering goes on without it."]
    text = path.read_bytes()
    assert 0 < len(text) <= size
    assert text.endswith(b"\n")
    reader = JournalReader(path)
    assert list(reader) == (RECORDS * 5)[: whole_lines(text)]
    assert reader.damaged == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system of its own")
def test_a_really_full_disk(tmp_path: Path) -> None:
    """A file system without room says so; with room again the next start goes on."""
    if os.system(f"mount -t tmpfs -o size=16k tmpfs {tmp_path} 2>/dev/null"):
        pytest.skip("no tmpfs may be mounted here")
    try:
        path = tmp_path / "journal.jsonl"
        (tmp_path / "filler").write_bytes(b"x" * 8192)
        said = write(path, RECORDS * 5)
        assert len(said) == 1
        assert "No space left on device" in said[0]
        before = read(path)
        assert before == (RECORDS * 5)[: len(before)]
        (tmp_path / "filler").unlink()
        assert write(path, RECORDS[:2]) == []
        assert read(path) == [*before, *RECORDS[:2]]
    finally:
        os.system(f"umount {tmp_path}")


def test_dev_full_is_said_once() -> None:
    """A device that takes nothing is no reason to stop metering."""
    said = write(Path("/dev/full"), RECORDS)
    assert said == [
        "The journal /dev/full cannot be written (No space left on device); metering goes on without it."
    ]


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero"])
def test_a_device_has_nothing_to_flush(device: str) -> None:
    """Who throws the journal away hears no complaint."""
    assert write(Path(device), RECORDS) == []


def test_a_pipe_that_nobody_reads_does_not_stop_the_meter(tmp_path: Path) -> None:
    """When it is full the journal stops and says so."""
    os.mkfifo(tmp_path / "pipe")
    said = write(tmp_path / "pipe", RECORDS * 20)
    assert len(said) == 1
    assert "Resource temporarily unavailable" in said[0]


def test_a_warning_may_be_recorded_in_the_run_itself(tmp_path: Path) -> None:
    """Who hears the warning may write it to this very journal, which is no endless circle."""
    path = tmp_path / "journal.jsonl"
    said: list[str] = []
    journal = Journal(str(path), said.append)

    def warn(text: str) -> None:
        said.append(text)
        journal.write(wire.Warn(v=1, run_uid="r", sequence=0, text=text))

    journal.on_warning(warn)
    with small_files(3000):
        for record in RECORDS * 5:
            journal.write(record)
    assert len(said) == 1


def test_second_writer_writes_beside_the_first(tmp_path: Path) -> None:
    """One writer has a file, so that no key is given twice; the second says where its run goes."""
    path = tmp_path / "journal.jsonl"
    said = Warnings()
    one, other = Journal(str(path), Warnings()), Journal(str(path), said)
    for record in RECORDS:
        one.write(record)
        other.write(record)
    one.close()
    other.close()
    assert read(path) == RECORDS
    assert read(Path(other.path)) == RECORDS
    assert other.path in said[0]


@pytest.mark.parametrize(
    "content", [b"build-machine\n", b'{"kind":"Pod","apiVersion":"v1"}\n', b"\x7fELF", b"\0\n"]
)
def test_a_file_that_is_no_journal_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    """The run is written beside it, and the sentence says where."""
    path = tmp_path / "notes"
    path.write_bytes(content)

    (said,) = write(path, RECORDS)

    (beside,) = tmp_path.glob("notes.*")
    assert path.read_bytes() == content
    assert read(beside) == RECORDS
    assert said == f"{path} is no journal; this run goes to {beside}."


def test_a_journal_that_keeps_nothing() -> None:
    """Where no journal may be, records are taken and forgotten."""
    journal = Journal.without("/nowhere/journal.jsonl")
    journal.write(RECORDS[0])
    assert not journal.writable
    journal.close()


def test_descriptors_are_given_back(tmp_path: Path) -> None:
    """By closing, twice too, and by failing."""
    before = open_descriptors()
    for number in range(5):
        journal = Journal(str(tmp_path / f"{number}.jsonl"), Warnings())
        journal.close()
        journal.close()
        write(Path("/dev/full"), RECORDS[:1])
        list(JournalReader(tmp_path / f"{number}.jsonl"))
    assert open_descriptors() == before


def test_old_journals_are_pruned(tmp_path: Path) -> None:
    """The newest are kept, other files are left alone, and a folder that is not there is no error."""
    for number in range(5):
        path = tmp_path / f"{number}.jsonl"
        path.touch()
        os.utime(path, (number, number))
    (tmp_path / "notes.txt").touch()
    prune(str(tmp_path), keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3.jsonl", "4.jsonl", "notes.txt"]
    prune(str(tmp_path / "nowhere"), keep=2)


def test_a_journal_in_use_is_not_pruned(tmp_path: Path) -> None:
    """Nor one that is closed and still to be sent; however many there are, and however old."""
    journals = [Journal(str(tmp_path / f"{number}.jsonl"), Warnings()) for number in range(3)]
    for number in range(3):
        os.utime(tmp_path / f"{number}.jsonl", (number, number))
    sent = journals[1].reader()
    assert sent is not None
    journals[1].close()
    journals[2].close()
    prune(str(tmp_path), keep=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.jsonl", "1.jsonl"]
    os.close(sent)
    journals[0].close()
    prune(str(tmp_path), keep=0)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_pruned_through_a_link_or_for_another_user(tmp_path: Path) -> None:
    """Whoever lays a link where our directory would be does not make us remove files elsewhere."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "old.jsonl").touch()
    (tmp_path / "link").symlink_to(victim)
    prune(str(tmp_path / "link"), keep=0)
    assert (victim / "old.jsonl").exists()
    if os.geteuid() == 0:
        os.chown(victim, 12345, -1)
        prune(str(victim), keep=0)
        assert (victim / "old.jsonl").exists()
