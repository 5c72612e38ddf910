"""The numbers of runs that were removed are moved with those that are there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from jobmeter.receiver.bookkeeping import Bookkeeping
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.moving import exporting
from jobmeter.receiver.store.writer import Writer
from tests.receiver.store.moving.test_moving import changed, exported, imported
from tests.receiver.store.support import asked, part, stored, with_writer
from tests.receiver.store.test_usage_days import forgotten, removal, told_sums
from tests.receiver.store.test_usages import Quiet, build, rows, sent


def told(place: str, *summaries: Any, removed: tuple[str, ...] = ()) -> dict[str, Any]:
    """The tables and their sums, after these runs came and those were removed."""

    async def work(writer: Writer, database: Database) -> dict[str, Any]:
        keeping = Bookkeeping(database, writer, Quiet())
        await asyncio.gather(*map(writer.submit, sent(*summaries)))
        await keeping.catch_up()
        await writer.submit(removal(*removed))
        await forgotten(keeping)
        return await database.read(rows) | {"sums": await database.read(told_sums)}

    found: dict[str, Any] = with_writer(place, work)
    return found


def without_ids(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [{name: value for name, value in run.items() if name != "job"} for run in found["usages"]]


@pytest.mark.parametrize("file_bytes", [64 * 2**20, 1])
def test_sums_are_the_same_at_the_new_place(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_bytes: int
) -> None:
    """However often it is done, in however many files, and though a job has another id there."""
    monkeypatch.setattr(exporting, "_FILE_BYTES", file_bytes)
    monkeypatch.setattr(exporting, "_PAGE", 3)
    source, directory = str(tmp_path / "source.db"), tmp_path / "files"
    made = [build(number, job=f"job-{number % 2}", runner_labels=("big",)) for number in range(20)]
    at_home = told(source, *made, removed=tuple(f"run-{number:04}" for number in range(0, 20, 3)))
    told(place, build(50, job="another"))
    changed(place, "DELETE FROM usage_days")
    changed(place, "DELETE FROM usages")
    changed(place, "DELETE FROM runs")

    for _ in range(2):
        manifest = exported(source, directory)
        imported(place, directory)
        there = told(place)
        assert there["sums"] == at_home["sums"]
        assert without_ids(there) == without_ids(at_home)
        assert sum(file.removed for file in manifest.files) % 7 == 0
    assert {job["job"]: job["last_begun_at"] for job in at_home["jobs"]}.items() <= {
        job["job"]: job["last_begun_at"] for job in there["jobs"]
    }.items()


def test_what_was_removed_is_moved_before_it_is_forgotten(place: str, tmp_path: Path) -> None:
    """History comes to it later; its texts are not moved."""
    source, directory = str(tmp_path / "source.db"), tmp_path / "files"
    told(source, build(0), build(1))
    changed(source, "UPDATE usages SET leg = 'os=linux' WHERE run_uid = 'run-0001'")
    changed(source, "DELETE FROM runs WHERE run_uid = 'run-0001'")
    exported(source, directory)
    imported(place, directory)
    found = told(place)

    assert [(run["run_uid"], run["gone"], run["leg"]) for run in found["usages"]] == [
        ("run-0000", False, ""),
        ("run-0001", True, ""),
    ]
    assert [day["runs"] for day in found["days"]] == [2]


@pytest.mark.parametrize("removed_there", [False, True])
@pytest.mark.parametrize("told_there", [False, True])
def test_numbers_are_those_of_the_state_that_was_heard_of_last(
    place: str, tmp_path: Path, removed_there: bool, told_there: bool
) -> None:
    """A run changed and was removed since it was moved; where it still is it stays, with its texts."""
    source, directory = str(tmp_path / "source.db"), tmp_path / "files"
    removed = ("run-0000",) if removed_there else ()
    told(source, build(0, ref="refs/heads/faster"), build(1))
    exported(source, directory)
    if removed_there or told_there:
        imported(place, directory)
        told(place, removed=removed)
    at_home = told(source, build(0, duration_seconds=7.0, cpu_seconds=3.0), removed=("run-0000",))
    # An import from where it was moved before would bring it back.
    directory = tmp_path / "later" if removed_there else directory
    exported(source, directory)

    for _ in range(2):
        imported(place, directory)
        found = told(place, removed=removed)
        assert found["sums"] == at_home["sums"]
        (run,) = (run for run in found["usages"] if run["run_uid"] == "run-0000")
        expected = (7.0, True, None) if removed_there else (7.0, False, "refs/heads/faster")
        assert (run["duration_seconds"], run["gone"], run["ref"]) == expected


def test_a_run_that_ended_elsewhere_does_not_go_on(place: str, tmp_path: Path) -> None:
    """It was moved while it went on, and ended and was removed at home: it is told by its numbers."""
    source, directory = str(tmp_path / "source.db"), tmp_path / "files"
    stored(source, part("run-0000", 0, 2))
    exported(source, directory)
    imported(place, directory)
    at_home = told(source, build(0), removed=("run-0000",))
    exported(source, directory)
    imported(place, directory)

    assert told(place)["sums"] == at_home["sums"]
    assert asked(place, "SELECT state FROM runs") == [("lost",)]


def test_a_run_that_is_there_is_not_told_as_removed(place: str, tmp_path: Path) -> None:
    """Whoever removed it."""
    source, directory = str(tmp_path / "source.db"), tmp_path / "files"
    told(source, build(0), build(1), removed=("run-0001",))
    exported(source, directory)
    before = told(place, build(1, duration_seconds=7.0))
    imported(place, directory)
    found = told(place)

    assert [(run["run_uid"], run["gone"]) for run in found["usages"]] == [
        ("run-0000", False),
        ("run-0001", False),
    ]
    assert found["usages"][1] == before["usages"][0]
