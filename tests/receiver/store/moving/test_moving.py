"""What is exported of one database is in another one after an import: all of it, once, whatever is broken off."""

from __future__ import annotations

import asyncio
import gzip
import os
import random
import re
import signal
import stat
import subprocess
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from jobmeter.cli import main
from jobmeter.model.errors import StoreError, StoreFull
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.evidence import KeptEvidence, NewEvidence, kept_evidence
from jobmeter.receiver.store.moving import exporting, files, importing
from jobmeter.receiver.store.moving.exporting import export
from jobmeter.receiver.store.moving.files import MANIFEST, Manifest, rows
from jobmeter.receiver.store.moving.importing import Imported, import_
from jobmeter.receiver.store.queries import part_bodies
from jobmeter.receiver.store.writer import Writer
from tests.receiver.store.support import asked, found, lines, part, stored, summary, with_writer

COLUMNS = files.RunRow.__struct_fields__


def quiet(done: int, total: int) -> None:
    """No progress."""
    assert 0 <= done <= total


def exported(place: str, directory: Path, **options: bool) -> Manifest:
    """To a directory."""
    database = Database.open(place)
    try:
        return export(database, directory, quiet, **options)
    finally:
        database.close()


def imported(place: str, directory: Path, **options: bool) -> Imported:
    """From a directory."""
    database = Database.open(place)
    try:
        return import_(database, directory, quiet, **options)
    finally:
        database.close()


def content(place: str) -> dict[str, tuple[Any, ...]]:
    """Every run with all that is moved, and its records."""
    database = Database.open(place)
    try:
        with database.reader.connect() as connection:
            found = connection.execute(text(f"SELECT {', '.join(COLUMNS)} FROM runs")).all()
            key_name = database.backend.run_key.name
            keys = {
                row[0]: row[1] for row in connection.execute(text(f"SELECT run_uid, {key_name} FROM runs"))
            }
            return {
                row.run_uid: (*row, b"".join(part_bodies(connection, keys[row.run_uid]))) for row in found
            }
    finally:
        database.close()


def filled(place: str, count: int = 30) -> None:
    """Summaries that were sent, and runs that were streamed: over, going on, with a gap."""
    changes: list[Any] = [summary(f"sent-{number}", b'{"n":%d}' % number) for number in range(count)]
    changes += [part("over", 0, 3), part("over", 3, 2, ends_after=3), part("going", 0, 2)]
    changes += [part("gap", 0, 1), part("gap", 5, 2, gap=True)]
    stored(place, *changes)


@pytest.fixture
def source(tmp_path: Path) -> str:
    """A SQLite file with runs in it."""
    place = str(tmp_path / "source.db")
    filled(place)
    return place


def test_everything_is_moved_to_any_database(source, place, tmp_path):
    """Names, times, states, summaries and records; and back again, which changes nothing."""
    assert place != source
    manifest = exported(source, tmp_path / "files")
    assert (manifest.complete, sum(file.runs for file in manifest.files)) == (True, 33)
    assert imported(place, tmp_path / "files") == Imported(stored=33)
    assert content(place) == content(source)
    exported(place, tmp_path / "back")
    assert imported(source, tmp_path / "back") == Imported(known=33)


def test_a_run_that_went_on_is_brought_up_to_date(source, place, tmp_path):
    """By another round of the export, which has only what was heard of since; it goes on at the new place."""
    directory = tmp_path / "files"
    exported(source, directory)
    imported(place, directory)
    stored(source, part("going", 2, 2), summary("sent-3", b'{"again":1}'), summary("new"))
    changed(source, "UPDATE runs SET heard_at = heard_at - 1000000 WHERE run_uid LIKE 'sent-1%'")
    before = exported(source, directory)
    assert len(before.files) == 2
    assert 0 < before.files[1].runs < 34
    assert imported(place, directory).stored == 3
    moved = content(source)
    assert {uid: moved[uid] for uid in ("going", "sent-3", "new")}.items() <= content(place).items()
    assert stored(place, part("going", 4, 1, ends_after=4))[0].ended
    assert lines(place, "going") == [0, 1, 2, 3, 4]


def evidence(text: bytes, run_uid: str, asked_at: int = 1) -> NewEvidence:
    """A document that is told by its text."""
    return NewEvidence(run_uid, KeptEvidence(asked_at, 1, 1, False, zlib.compress(text), 900, 1000, "7"))


def attached(place: str, run_uid: str) -> bytes | None:
    """The evidence of a run."""
    database = Database.open(place)
    try:
        return database.read_here(partial(kept_evidence, run_uid=run_uid))
    finally:
        database.close()


def test_evidence_goes_along_with_its_run(source, place, tmp_path):
    """That which knows more stays at the new place, whether the run is new, newer or as it was."""
    directory = tmp_path / "files"
    stored(source, evidence(b"one", "sent-1"), evidence(b"one", "going"), evidence(b"one", "over"))
    exported(source, directory)
    imported(place, directory)
    assert [attached(place, uid) for uid in ("sent-1", "going", "over", "sent-2")] == [b"one"] * 3 + [None]
    stored(source, evidence(b"two", "sent-1", 2), evidence(b"two", "over", 2))
    stored(place, evidence(b"three", "over", 3))
    exported(source, directory)
    imported(place, directory)
    assert [attached(place, uid) for uid in ("sent-1", "over")] == [b"two", b"three"]
    imported(place, directory)
    assert [attached(place, uid) for uid in ("sent-1", "over")] == [b"two", b"three"]
    assert asked(place, "SELECT DISTINCT begun_at, ended_at, task FROM evidence") == [(900, 1000, "7")]


def changed(place: str, statement: str) -> None:
    """Change the database behind everyone's back."""
    database = Database.open(place)
    with database.writer.begin() as connection:
        connection.execute(text(statement))
    database.close()


def test_what_a_database_knows_better_stays(source, place, tmp_path):
    """A run that went on there is not thrown back."""
    exported(source, tmp_path / "files")
    imported(place, tmp_path / "files")
    stored(place, part("going", 2, 3), summary("sent-1", b'{"newer":1}'))
    before = content(place)
    assert imported(place, tmp_path / "files") == Imported(known=33)
    assert content(place) == before


def test_history_looks_at_what_was_imported(source, place, tmp_path):
    """Though it knows newer runs already."""
    stored(place, summary("newer"))
    changed(place, "UPDATE usage_progress SET heard_at = 1000000000000000")
    exported(source, tmp_path / "files")
    imported(place, tmp_path / "files")
    oldest = asked(source, "SELECT min(heard_at) FROM runs")
    assert asked(place, "SELECT heard_at FROM usage_progress") == oldest


def test_files_are_of_bounded_size(source, tmp_path, monkeypatch):
    """One run is whole in one of them."""
    monkeypatch.setattr(exporting, "_FILE_BYTES", 1)
    manifest = exported(source, tmp_path / "files")
    assert [file.runs for file in manifest.files] == [1] * 33
    names = sorted(path.name for path in (tmp_path / "files").iterdir())
    assert names == [MANIFEST, *(f"runs-{number:06d}.gz" for number in range(1, 34))]


def test_nobody_else_reads_what_is_exported(source, tmp_path):
    """Into a directory that is there and open to everyone, with something half that was readable."""
    directory = tmp_path / "files"
    directory.mkdir(mode=0o755)
    for name in (".runs-000001.gz.part", f".{MANIFEST}.part"):
        (directory / name).touch(mode=0o644)
    before = os.umask(0o022)
    try:
        exported(source, directory)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert modes == {MANIFEST: 0o600, "runs-000001.gz": 0o600}


def test_an_export_of_nothing_is_one(tmp_path):
    """Without files."""
    Database.open(str(tmp_path / "empty")).close()
    assert exported(str(tmp_path / "empty"), tmp_path / "files").files == []
    assert imported(str(tmp_path / "other"), tmp_path / "files") == Imported()


@pytest.mark.parametrize(
    "with_tokens, expected", [((True, True), 2), ((True, False), 0), ((False, True), 0)], ids=str
)
def test_tokens_go_when_they_are_asked_for_twice(place, tmp_path, with_tokens, expected):
    """Their hashes; of a name that is in use the token that is there stays."""
    source, directory = str(tmp_path / "source.db"), tmp_path / "files"
    Database.open(source).close()
    Database.open(place).close()
    insert = (
        "INSERT INTO tokens (name, digest, allows, organization, created_at, revoked_at)"
        " VALUES ('{}', CAST('{}' AS {}), 'push', 'acme', 5, {})"
    )
    for name, revoked in (("ci", "NULL"), ("used", "NULL"), ("old", "7")):
        changed(source, insert.format(name, name, "BLOB", revoked))
    binary = "bytea" if place.startswith("postgresql") else "BLOB"
    changed(place, insert.format("used", "other", binary, "NULL"))
    exported(source, directory, with_tokens=with_tokens[0])
    assert imported(place, directory, with_tokens=with_tokens[1]).tokens == expected
    if expected:
        found = asked(place, "SELECT name, digest, revoked_at FROM tokens ORDER BY name, created_at")
        assert [tuple(map(str, (name, bytes(digest)))) for name, digest, _ in found] == [
            ("ci", "b'ci'"), ("old", "b'old'"), ("used", "b'other'"),
        ]  # fmt: skip
        assert imported(place, directory, with_tokens=True).tokens == 0


def test_a_token_that_is_revoked_before_the_next_round_is_revoked(place, tmp_path):
    """At the new place too."""
    source, directory = str(tmp_path / "source.db"), tmp_path / "files"
    Database.open(source).close()
    changed(
        source,
        "INSERT INTO tokens (name, digest, allows, created_at) VALUES ('ci', CAST('ci' AS BLOB), 'push', 5)",
    )
    for revoked_at in (None, 7):
        exported(source, directory, with_tokens=True)
        imported(place, directory, with_tokens=True)
        assert asked(place, "SELECT name, revoked_at FROM tokens") == [("ci", revoked_at)]
        changed(source, "UPDATE tokens SET revoked_at = 7")


def test_an_export_that_was_broken_off_goes_on(source, tmp_path, monkeypatch):
    """With the run after the last whole file; its own parts are left behind by nobody."""
    monkeypatch.setattr(exporting, "_FILE_BYTES", 1)
    directory, database, calls = tmp_path / "files", Database.open(source), 0

    def breaks(done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(database, directory, breaks)
    database.close()
    with pytest.raises(StoreError, match="is not complete: jobmeter admin export goes on with it"):
        imported(str(tmp_path / "other"), directory)
    assert not list(directory.glob(".*"))
    assert sum(file.runs for file in exported(source, directory).files) == 33
    imported(str(tmp_path / "other"), directory)
    assert content(str(tmp_path / "other")) == content(source)


def test_names_that_a_database_does_not_take_are_told(tmp_path, postgresql_url):
    """The other runs are stored."""
    source = str(tmp_path / "source.db")
    draw = random.Random(1)
    long = "".join(chr(draw.randrange(0x4E00, 0x9FFF)) for _ in range(5000))
    stored(source, summary("a"), summary("b", job=long), summary("c"))
    exported(source, tmp_path / "files")
    assert imported(postgresql_url, tmp_path / "files") == Imported(stored=2, refused=["b"])


def damaged(directory: Path, what: str) -> None:
    """Do something to an export."""
    manifest, file = directory / MANIFEST, directory / "runs-000001.gz"
    match what:
        case "a byte":
            file.write_bytes(file.read_bytes()[:-9] + b"x" + file.read_bytes()[-8:])
        case "cut":
            file.write_bytes(file.read_bytes()[:-9])
        case "gone":
            file.unlink()
        case "no manifest":
            manifest.unlink()
        case "cut manifest":
            manifest.write_text(manifest.read_text()[:50])
        case "later":
            manifest.write_text(manifest.read_text().replace("jobmeter.export/1", "jobmeter.export/2"))


@pytest.mark.parametrize(
    "what, sentence",
    [
        ("a byte", "runs-000001.gz is missing, damaged or changed"),
        ("cut", "runs-000001.gz is missing, damaged or changed"),
        ("gone", "runs-000001.gz is missing, damaged or changed"),
        ("no manifest", "is no export: there is no manifest.json in it"),
        ("cut manifest", "manifest.json is no manifest of an export"),
        ("later", "has the format 'jobmeter.export/2'; this release reads jobmeter.export/1"),
    ],
)
def test_what_is_wrong_with_an_export_is_told_before_anything_is_stored(source, tmp_path, what, sentence):
    """In one sentence."""
    directory, place = tmp_path / "files", str(tmp_path / "other")
    exported(source, directory)
    damaged(directory, what)
    with pytest.raises(StoreError, match=sentence):
        imported(place, directory)
    assert asked(place, "SELECT count(*) FROM runs") == [(0,)]


@pytest.mark.parametrize(
    "content, sentence",
    [
        (b"no gzip", "is no file of an export"),
        (gzip.compress(b"\0\0\0\5abc", mtime=0), "ends within a row"),
        (gzip.compress(b"\0\0\0\1\xc1", mtime=0), "is no file of an export"),
        (gzip.compress(b"\xff\xff\xff\xff", mtime=0), "ends within a row"),
        (gzip.compress(b"abc" * 99, mtime=0)[:-10], "is no file of an export|ends within a row"),
    ],
)
def test_a_file_that_is_none_is_told(tmp_path, content, sentence):
    """Whatever its checksum is."""
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(StoreError, match=sentence):
        list(rows(tmp_path / "file"))


def test_a_directory_with_something_else_in_it_is_not_touched(source, tmp_path):
    """Nor is the export of another database."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files/letter.txt").write_text("dear")
    with pytest.raises(StoreError, match=r"has other files in it, such as 'letter\.txt'"):
        exported(source, tmp_path / "files")
    exported(source, tmp_path / "right")
    filled(str(tmp_path / "two"), 1)
    with pytest.raises(StoreError, match=r"has an export of .*source\.db; name a new directory"):
        exported(str(tmp_path / "two"), tmp_path / "right")


def test_two_exports_to_one_directory_are_not_made_at_once(source, tmp_path):
    """The second is told."""
    directory = tmp_path / "files"
    directory.mkdir()
    with (
        files.held(directory, alone=True),
        pytest.raises(StoreError, match="in use by another export or import"),
    ):
        exported(source, directory)


def test_a_full_disk_is_told_and_gone_on_with(source, tmp_path, monkeypatch):
    """Nothing half is left; there is room again, and the same command goes on."""
    directory = tmp_path / "files"
    monkeypatch.setattr(exporting, "_FILE_BYTES", 1)
    real, calls = os.fsync, 0

    def fsync(fd: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 20:
            raise OSError(28, "No space left on device")
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StoreFull, match="is not complete, the same command goes on with it: No space left"):
        exported(source, directory)
    assert not list(directory.glob(".runs*"))
    assert sum(file.runs for file in exported(source, directory).files) == 33


def killed(words: list[str], seconds: float) -> bool:
    """Whether a command was killed after so long, rather than at its end."""
    command = [sys.executable, "-c", _SMALL_STEPS, "admin", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            return True
    return False


# Small files and transactions, so that there is much to break off.
_SMALL_STEPS = """
import sys
from jobmeter.cli import main
from jobmeter.receiver.store.moving import exporting, importing
exporting._FILE_BYTES = 4096
importing._BATCH_RUNS = 3
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_kills_at_any_point_lose_nothing_and_store_nothing_twice(place, tmp_path):
    """Of the export, and of the import; after the last one every run is there once, with its records."""
    source, directory, draw = str(tmp_path / "source.db"), str(tmp_path / "files"), random.Random(3)
    filled(source, 1500)
    began = time.monotonic()
    whole = ["export", f"--db={source}", str(tmp_path / "first")]
    assert not killed(whole, 120)
    took = time.monotonic() - began
    kills = 0
    for task, db in (("export", source), ("import", place)):
        for _ in range(12):
            if not killed([task, f"--db={db}", directory], draw.uniform(0.3, 1) * took):
                if task == "export":
                    break
                continue
            kills += 1
        assert not killed([task, f"--db={db}", directory], 120)
    assert kills > 3
    assert content(place) == content(source)
    assert found(place, "over").state == "finished"


def test_receivers_go_on_meanwhile(source, place, tmp_path, monkeypatch):
    """At both places; what they store is there, and what is moved is too."""
    monkeypatch.setattr(importing, "_BATCH_RUNS", 5)
    done, opening = threading.Event(), threading.Lock()
    begun = threading.Barrier(3)

    def store(where: str, name: str) -> int:
        async def work(writer: Writer, _: Database) -> int:
            opening.release()
            begun.wait(30)
            count = 0
            while not done.is_set():
                ids = await asyncio.gather(
                    *(writer.submit(summary(f"{name}-{count + one}")) for one in range(20))
                )
                count += len(ids)
                await asyncio.sleep(0.05)
            return count

        opening.acquire()  # Migrations are run by one thread of a process at a time.
        stored_there: int = with_writer(where, work)
        return stored_there

    with ThreadPoolExecutor(2) as pool:
        counts = [pool.submit(store, where, name) for where, name in ((source, "here"), (place, "there"))]
        try:
            begun.wait(30)
            exported(source, tmp_path / "files")
            imported(place, tmp_path / "files")
        finally:
            done.set()
        here, there = (one.result(60) for one in counts)
    exported(source, tmp_path / "files")
    imported(place, tmp_path / "files")
    assert len(content(place)) == 33 + here + there
    assert content(source).items() <= content(place).items()


def test_commands_say_what_they_did(source, tmp_path, capfd):
    """On stdout; a wrong name is one sentence."""
    target = str(tmp_path / "new.db")
    assert main(["admin", "export", f"--db={source}", str(tmp_path / "files")]) == 0
    assert main(["admin", "import", f"--db={target}", str(tmp_path / "files")]) == 0
    told = capfd.readouterr()
    assert re.fullmatch(
        r".*files: 33 runs written now; the export is complete with 1 file, [\d,]+ bytes\n"
        r".*files: 33 runs stored, 0 there before\n",
        told.out,
    )
    assert told.err == ""
    assert main(["admin", "export", f"--db={tmp_path}/nonesuch", str(tmp_path / "files")]) == 1
    assert main(["admin", "import", f"--db={target}", str(tmp_path / "nonesuch")]) == 1
    errors = capfd.readouterr().err.splitlines()
    assert [line.partition("/nonesuch")[2] for line in errors] == [
        " does not exist; --db names the database of the receiver",
        " is no directory; name the one that was exported to",
    ]


def test_importing_is_told(source, tmp_path):
    """How many of how many, rising."""
    told: list[tuple[int, int]] = []
    exported(source, tmp_path / "files")
    database = Database.open(str(tmp_path / "other"))
    import_(database, tmp_path / "files", lambda done, total: told.append((done, total)))
    database.close()
    assert told[-1] == (33, 33)
    assert importing._BATCH_RUNS > 1
