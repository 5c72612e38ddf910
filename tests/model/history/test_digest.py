"""What the runs of a job say together."""

from __future__ import annotations

from typing import Any

from jobmeter.model.history.digest import PastRun, Waste, digest
from jobmeter.model.history.usage import Reserved


def runs(*memory: float | None, **fields: Any) -> list[PastRun]:
    """Runs in the order newest first; the values are told oldest first."""
    made = [run(number, value, fields) for number, value in enumerate(memory)]
    return made[::-1]


def run(number: int, memory: float | None, fields: dict[str, Any]) -> PastRun:
    known: dict[str, Any] = {
        "run_uid": f"r{number}",
        "began_at": f"2026-11-{number // 24 + 1:02}T{number % 24:02}:00:00.000Z",
        "exit_reason": "success",
        "duration_seconds": 60.0,
        "sha": f"c{number}",
        "memory_bytes": None if memory is None else int(memory),
    }
    return PastRun(**(known | fields))


def test_a_new_level_is_a_change_and_not_a_row_of_outliers() -> None:
    """With its first run and that run's commit; an outlier is told against its own level."""
    found = digest(runs(*[100] * 20, *[200] * 10, 900, *[200] * 10))

    (change,) = found.changes
    assert (change.measure, change.run_uid, change.sha, change.before, change.after) == (
        "memory", "r20", "c20", 100, 200,
    )  # fmt: skip
    (outlier,) = found.stand_out
    assert (outlier.run_uid, outlier.value, outlier.median) == ("r30", 900, 200)


def test_legs_of_a_matrix_are_not_mixed() -> None:
    """Two legs on two levels, run by run in turn or one after the other, are no change."""
    small, large = runs(*[100] * 20, leg="os=a"), runs(*[300] * 20, leg="os=b")

    assert digest(large + small).changes == ()
    assert digest(large + small).stand_out == ()


def test_only_whole_runs_say_what_a_job_uses() -> None:
    """Failed runs are counted, and what they reserved is wasted as well."""
    reserved = Reserved(1000, 100)
    failed = runs(1, 2, 3, exit_reason="failure", reserved_memory_bytes=reserved)
    whole = runs(100, 200, 300, reserved_memory_bytes=reserved)

    found = digest(failed + whole)

    memory = {spread.measure: spread for spread in found.spreads}["memory"]
    assert (found.runs, found.whole_runs, memory.runs) == (6, 3, 3)
    assert (memory.values.p50, memory.values.peak) == (200, 300)
    assert found.memory == Waste(runs=6, reserved=360_000.0, used=36_000.0)
    assert found.memory.share == 0.9


def test_what_no_run_tells_is_not_told() -> None:
    """Never a zero."""
    found = digest(runs(None, None, duration_seconds=None))

    assert found.spreads == ()
    assert (found.cpu, found.cpu.share) == (Waste(), None)
    assert digest([]).runs == 0


def test_waste_is_weighted_by_time() -> None:
    """An hour at half beats a second at nothing."""
    long = runs(1, duration_seconds=3600.0, reserved_cores=Reserved(2.0, 1.0))
    short = runs(1, duration_seconds=1.0, reserved_cores=Reserved(2.0, 0.0))

    assert digest(long + short).cpu.share == 1 - 3600 / 7202
