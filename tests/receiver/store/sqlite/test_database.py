"""The database is made, brought up to date, copied, and refused when it is not ours to touch."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, nullcontext
from pathlib import Path

import pytest

from jobmeter.model.errors import NewerSchema, StoreError
from jobmeter.receiver.store.database import Database, backup, in_use
from jobmeter.receiver.store.sqlite.file import is_in_use
from tests.receiver.store.support import found, stored, summary


def test_it_is_durable_and_read_while_it_is_written(tmp_path):
    """WAL, and a commit waits for the disk."""
    database = Database.open(str(tmp_path / "db"))
    with database.writer.begin() as connection:
        asked = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")
        ]
    database.close()
    assert asked == ["wal", 2]


def test_opening_again_keeps_what_is_there(tmp_path):
    """A second start migrates nothing."""
    stored(tmp_path / "db", summary("a"))
    known, new = stored(tmp_path / "db", summary("a"), summary("b"))
    assert known == 1 < new


def test_a_database_of_a_later_release_is_not_touched(tmp_path):
    """One sentence says so."""
    path = tmp_path / "db"
    stored(path, summary("a"))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = path.read_bytes()
    with pytest.raises(NewerSchema, match="later release of jobmeter \\(schema 9999"):
        Database.open(str(path))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "name, reason",
    [
        ("words", "words is not a database of jobmeter; name another file, or, if it was one, put a copy"),
        ("missing/db", "missing/db cannot be opened: the directory .*missing does not exist"),
        ("directory", "directory cannot be opened: it is a directory"),
        (
            "customers",
            "customers is not a database of jobmeter: it has the table 'customers'; name another file",
        ),
        ("half", "half is not a database of jobmeter: it has the table 'runs'; name another file"),
    ],
)
def test_what_is_no_database_of_ours_is_one_sentence(tmp_path, name, reason):
    """With the reason; what is there stays as it was."""
    (tmp_path / "words").write_bytes(b"this is no database, and long enough to be looked at" * 20)
    (tmp_path / "directory").mkdir()
    customers(tmp_path / "customers")
    customers(tmp_path / "half", "runs")
    before = all_of(tmp_path)
    with pytest.raises(StoreError, match=reason):
        Database.open(str(tmp_path / name))
    assert all_of(tmp_path) == before


def all_of(directory):
    """Each file with what is in it, who may read it, and when it was changed."""
    found = {path.name: path.stat() for path in directory.iterdir()}
    return {
        name: (
            stat.st_mode,
            stat.st_mtime_ns,
            (directory / name).is_file() and (directory / name).read_bytes(),
        )
        for name, stat in found.items()
    }


def customers(path, table="customers"):
    """A database of somebody else."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"CREATE TABLE {table} (name)")
        connection.commit()


@pytest.mark.parametrize("who", ["a receiver", "a receiver that was killed", "another program"])
def test_a_copy_never_replaces_what_is_in_use_or_not_ours(tmp_path, who):
    """Though it is a database."""
    stored(tmp_path / "db", summary("a"))
    target = tmp_path / "there"
    if who == "another program":
        customers(target)
    else:
        stored(target, summary("b"))
    if who == "a receiver that was killed":
        (tmp_path / "there-wal").write_bytes(b"what it had acknowledged")
    before = target.read_bytes()
    with (
        in_use(str(target)) if who == "a receiver" else nullcontext(),
        pytest.raises(StoreError, match="name a new"),
    ):
        backup(str(tmp_path / "db"), str(target))
    assert target.read_bytes() == before


def test_of_two_receivers_the_second_knows_of_the_first(tmp_path):
    """As long as it is there."""
    path = str(tmp_path / "db")
    with in_use(path) as first, in_use(path) as second:
        assert (first, second) == (False, True)
        assert is_in_use(path)
    assert not is_in_use(path)
    with in_use(path) as third:
        assert not third


@pytest.mark.parametrize(
    "name, reason",
    [
        ("", "the name of the database is empty; --db names its file"),
        ("x" * 300, "cannot be opened: File name too long"),
        ("a\0b", "cannot be opened: embedded null byte"),
        ("pipe", "cannot be opened: it is no regular file"),
    ],
)
def test_a_name_that_no_database_can_have_is_one_sentence(tmp_path, name, reason):
    """Before anything is opened."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StoreError, match=reason), in_use(name and f"{tmp_path}/{name}"):
        pass


def test_nothing_is_no_database_to_copy(tmp_path):
    """A copy of nothing would be taken for a copy."""
    (tmp_path / "db").touch()
    with pytest.raises(StoreError, match="db is not a database of jobmeter"):
        backup(str(tmp_path / "db"), str(tmp_path / "copy"))


def test_a_copy_has_what_was_stored(tmp_path):
    """It is a database of its own, the WAL's content included, and replaces an older copy."""
    path, copy = tmp_path / "a %?#.db", tmp_path / "copy"
    database = Database.open(str(path))
    try:
        stored(path, summary("a"))
        backup(str(path), str(copy))
        stored(path, summary("b"))
        backup(str(path), str(copy))
    finally:
        database.close()
    assert found(copy, "b").id == 2
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob(".*"))


def put(path: Path, content: bytes | None) -> None:
    """A file with this content, or a directory."""
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)


def holds(path: Path, content: bytes | None) -> bool:
    """Whether it is what was put there."""
    return path.is_dir() if content is None else path.read_bytes() == content


@pytest.mark.parametrize("content", [b"precious", None])
def test_a_copy_leaves_what_is_beside_it_alone(tmp_path, content):
    """Be it a file or a directory, whatever its name."""
    stored(tmp_path / "db", summary("a"))
    other = tmp_path / "copy.part"
    put(other, content)
    backup(str(tmp_path / "db"), str(tmp_path / "copy"))
    assert holds(other, content)
    assert {path.name for path in tmp_path.iterdir()} - {"db-shm", "db-wal"} == {"copy", "copy.part", "db"}


def modes(directory: Path) -> dict[str, str]:
    return {path.name: f"{path.stat().st_mode & 0o777:o}" for path in directory.iterdir()}


def test_a_new_database_and_its_copies_are_for_its_user_alone(tmp_path):
    """With all that SQLite puts beside them, whatever the umask; what an operator has opened stays open."""
    place, copy = tmp_path / "db", tmp_path / "copy"
    before = os.umask(0)
    try:
        database = Database.open(str(place))
        try:
            stored(place, summary("a"))
            backup(str(place), str(copy))
            assert modes(tmp_path) == dict.fromkeys(("db", "db-wal", "db-shm", "copy"), "600")
        finally:
            database.close()
        os.umask(0o077)
        for path in (place, copy):
            path.chmod(0o640)
        stored(place, summary("b"))
        backup(str(place), str(copy))
    finally:
        os.umask(before)
    assert set(modes(tmp_path).values()) == {"640"}


@pytest.mark.parametrize("content", [b"precious", b"", None])
def test_a_copy_replaces_nothing_but_a_copy(tmp_path, content):
    """Not a file of something else, an empty one, or a directory."""
    stored(tmp_path / "db", summary("a"))
    target = tmp_path / "there"
    put(target, content)
    with pytest.raises(StoreError, match="there exists and is no copy of jobmeter's; name a new file"):
        backup(str(tmp_path / "db"), str(target))
    assert holds(target, content)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["db", "there"]


@pytest.mark.parametrize(
    "source, target",
    [
        ("nonesuch", "copy"),
        ("db", "db"),
        ("db", "missing/copy"),
        ("db", "db/copy"),
        ("db", "new/"),
        ("db", "a\0b"),
        ("db", "x" * 300),
        ("empty", "copy"),
        ("words", "copy"),
    ],
)
def test_a_copy_that_cannot_be_made_is_one_sentence(tmp_path, source, target):
    """And leaves the database alone."""
    stored(tmp_path / "db", summary("a"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "words").write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreError):
        backup(str(tmp_path / source), f"{tmp_path}/{target}")
    assert found(tmp_path / "db", "a").id == 1
    assert {path.name for path in tmp_path.iterdir()} - {"db-shm", "db-wal"} == {"db", "empty", "words"}
