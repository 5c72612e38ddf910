"""What the runs of a job say together."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.model.history.digest import PastRun, Waste, digest, judged_of, judged_ref, level_now
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


MAIN, OTHER = {"ref": "refs/heads/main"}, {"ref": "refs/heads/faster"}


@pytest.mark.parametrize("others", [2, 7])
def test_runs_of_another_branch_hide_no_step_of_the_first(others: int) -> None:
    """Levels are of the branch of most runs, and it is named; runs of others are no outlier of it either."""
    main = runs(*[100] * 6, *[213] * 6, **MAIN)
    found = digest([*runs(*[900] * others, **OTHER), *main])

    (change,) = found.changes
    assert (change.before, change.after, found.ref, found.judged_runs) == (100, 213, "refs/heads/main", 12)
    assert found.stand_out == ()
    level = found.levels[-1]
    assert (level.measure, level.median, level.values.p95, level.runs) == ("memory", 213, 213, 6)


@pytest.mark.parametrize(
    "refs, judged",
    [
        ([], None),
        (["refs/heads/main"], "refs/heads/main"),
        ([None] * 9, None),
        (["refs/heads/a"] * 5 + ["refs/heads/b"] * 5, "refs/heads/a"),
        (["refs/heads/a"] * 5 + ["refs/pull/7/head"] * 9, "refs/heads/a"),
        (["refs/heads/a"] * 4 + ["refs/pull/7/head"] * 9, None),
        (["refs/pull/7/head"] * 9, "refs/pull/7/head"),
        (["main"] * 5 + [None] * 9, "main"),
        (["refs/tags/v1", "refs/tags/v2"] * 5, None),
    ],
)
def test_the_branch_that_is_judged(refs: list[str | None], judged: str | None) -> None:
    """That of most runs, the newest of two; where no branch has five, all runs are judged together."""
    assert judged_ref([run(number, 1, {"ref": ref}) for number, ref in enumerate(refs)]) == judged


def test_legs_of_a_matrix_are_not_mixed() -> None:
    """Two legs on two levels, run by run in turn or one after the other, are no change."""
    small, large = runs(*[100] * 20, leg="os=a"), runs(*[300] * 20, leg="os=b")

    assert digest(large + small).changes == ()
    assert digest(large + small).stand_out == ()


@given(
    st.lists(
        st.tuples(
            st.sampled_from([100.0, 101.0, 250.0, None]),
            st.sampled_from(["refs/heads/main", "refs/heads/x", None]),
            st.sampled_from(["", "os=a"]),
            st.sampled_from(["success", "success", "failure"]),
        ),
        max_size=60,
    )
)
def test_what_is_usual_now_is_what_the_digest_says(
    told: list[tuple[float | None, str | None, str, str]],
) -> None:
    """Of the same branch and leg the same level, without looking for all the others."""
    made = [
        run(number, memory, {"ref": ref, "leg": leg, "exit_reason": end})
        for number, (memory, ref, leg, end) in enumerate(told)
    ][::-1]
    found, judged = digest(made), judged_of(made)

    assert judged.ref == found.ref
    for measure in ("memory", "duration", "network"):
        newest = found.newest(measure)
        assert level_now(judged.runs, measure) == (newest and newest[0])


def test_only_whole_runs_say_what_a_job_uses() -> None:
    """Failed runs are counted, and what they reserved is wasted as well."""
    reserved = Reserved(1000, 100, unused=900)
    failed = runs(1, 2, 3, exit_reason="failure", reserved_memory_bytes=reserved)
    whole = runs(100, 200, 300, reserved_memory_bytes=reserved)

    found = digest(failed + whole)

    memory = {spread.measure: spread for spread in found.spreads}["memory"]
    assert (found.runs, found.whole_runs, memory.runs) == (6, 3, 3)
    assert (memory.values.p50, memory.values.peak) == (200, 300)
    assert found.memory == Waste(runs=6, reserved=360_000.0, used=36_000.0, unused=324_000.0)
    assert found.memory.share == 0.9


def test_what_no_run_tells_is_not_told() -> None:
    """Never a zero."""
    found = digest(runs(None, None, duration_seconds=None))

    assert found.spreads == ()
    assert (found.cpu, found.cpu.share) == (Waste(), None)
    assert digest([]).runs == 0


def test_waste_is_weighted_by_time() -> None:
    """An hour at half beats a second at nothing."""
    long = runs(1, duration_seconds=3600.0, reserved_cores=Reserved(2.0, 1.0, unused=1.0))
    short = runs(1, duration_seconds=1.0, reserved_cores=Reserved(2.0, 0.0, unused=2.0))

    assert digest(long + short).cpu.share == 1 - 3600 / 7202


def test_a_burst_hides_no_waste() -> None:
    """What one run used beyond its own was not lent to it by another."""
    idle = runs(1, reserved_cores=Reserved(2.0, 0.0, unused=2.0), duration_seconds=10.0)
    burst = runs(1, reserved_cores=Reserved(1.0, 4.0, partial=True, unused=0.0), duration_seconds=10.0)

    found = digest(idle + burst).cpu

    assert found == Waste(runs=2, reserved=30.0, used=40.0, unused=20.0, partial=1)
    assert found.share == pytest.approx(2 / 3)
