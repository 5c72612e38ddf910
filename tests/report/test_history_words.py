"""History in words and in charts."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from jobmeter.model.history.digest import Change, PastRun, StandsOut, Waste, digest
from jobmeter.model.history.fleet import Account
from jobmeter.model.prices import CORE_HOUR
from jobmeter.report.history_charts import fleet_chart, job_chart
from jobmeter.report.history_words import change_words, outlier_words, short_ref, short_sha
from jobmeter.report.palette import LIGHT

MIB = 2**20


def change(before: float, after: float, leg: str = "", measure: str = "memory") -> Change:
    return Change(run_uid="r", began_at="", sha=None, leg=leg, measure=measure, before=before, after=after)


@pytest.mark.parametrize(
    "told, words",
    [
        (change(300 * MIB, 600 * MIB), "memory rose from 300 MiB to 600 MiB (+100 %)"),
        (change(60.0, 45.0, "os=a", "duration"), "duration of os=a fell from 1 m 00 s to 45.0 s (-25 %)"),
        (change(0, 512 * MIB), "memory rose from 0 B to 512 MiB"),
        (change(1, 2, "\x1b[2J", "cpu_seconds"), "CPU time of \\x1b[2J rose from 1.0 s to 2.0 s (+100 %)"),
    ],
)
def test_a_change_is_one_clause(told: Change, words: str) -> None:
    """With what it was and what it is."""
    assert change_words(told) == words


def test_an_outlier_is_told_beside_what_is_usual() -> None:
    """In its unit."""
    told = StandsOut(run_uid="r", measure="memory", value=900 * MIB, median=300 * MIB)
    assert outlier_words(told) == "memory 900 MiB, usually 300 MiB"


@pytest.mark.parametrize(
    "ref, short",
    [("refs/heads/main", "main"), ("refs/tags/v1", "v1"), ("refs/pull/7/head", "pull/7/head"), ("main", "main"),
     ("refs/heads/", "heads/"), ("refs/heads/\u202e", "\\u202e")],
)  # fmt: skip
def test_refs_are_shown_as_people_name_them(ref: str, short: str) -> None:
    """And cannot change the direction of a line."""
    assert short_ref(ref) == short
    assert short_sha("0123456789abcdef") == "0123456789ab"


def runs(count: int, **fields: Any) -> list[PastRun]:
    """Newest first, each on a day of its own; the later half needs twice as much."""
    return [
        run(number, 300 * MIB * (1 + (number >= count // 2)), **fields) for number in reversed(range(count))
    ]


def run(number: int, memory: int, **fields: Any) -> PastRun:
    known: dict[str, Any] = {
        "run_uid": f"r{number}",
        "began_at": f"2026-11-{number + 1:02}T12:00:00.000Z",
        "exit_reason": "success",
        "memory_bytes": memory,
    }
    return PastRun(**(known | fields))


def test_the_chart_of_a_job_has_its_runs_and_its_levels() -> None:
    """A panel for each measure that is told, and none of what is not."""
    told = runs(20)
    chart = job_chart(told, digest(told), width=1000, palette=LIGHT)

    assert chart is not None
    levels, points = (layer["data"]["values"] for layer in chart.spec["layer"])
    assert [level["v"] for level in levels] == [300.0, 600.0]
    assert len(points) == 20
    assert points[0]["hint"] == "2026-11-20 12:00:00 UTC · 600 MiB"
    assert [sign.label for sign in chart.legend] == ["level"]


def test_a_run_that_did_not_end_well_is_told_apart() -> None:
    """By its form too, not by its colour alone."""
    told = [*runs(5), *runs(1, run_uid="f", exit_reason="oom")]
    chart = job_chart(told, digest(told), width=350, palette=LIGHT)

    assert chart is not None
    assert b'"shape"' in msgspec.json.encode(chart.spec)
    assert [(sign.label, sign.form) for sign in chart.legend] == [
        ("level", ""),
        ("failed, killed, cancelled or lost", "plus"),
    ]
    assert "ended: oom" in msgspec.json.encode(chart.spec).decode()


def test_runs_of_other_branches_stand_apart() -> None:
    """Hollow, named where they are pointed at, and no part of a level."""
    told = [*runs(2, ref="refs/heads/faster", memory_bytes=900 * MIB), *runs(20, ref="refs/heads/main")]
    chart = job_chart(told, digest(told), width=1000, palette=LIGHT)

    assert chart is not None
    levels, points = (layer["data"]["values"] for layer in chart.spec["layer"])
    assert [level["v"] for level in levels] == [300.0, 600.0]
    assert [point["apart"] for point in points] == [True] * 2 + [False] * 20
    assert points[0]["hint"] == "2026-11-02 12:00:00 UTC · 900 MiB · faster"
    assert [sign.label for sign in chart.legend] == ["level", "run of main", "of another branch"]


def test_what_cannot_be_drawn_is_not() -> None:
    """One run is no course, nor is one day."""
    assert job_chart(runs(1), digest(runs(1)), width=1000, palette=LIGHT) is None
    assert job_chart([], digest([]), width=1000, palette=LIGHT) is None
    assert fleet_chart([("2026-11-01", Account())] * 2, width=1000, palette=LIGHT) is None


def test_the_chart_of_a_fleet_has_the_days_that_tell_something() -> None:
    """In core-hours; a day on which no run told what it reserved is a gap."""
    told = Account(cpu=Waste(runs=2, reserved=8 * CORE_HOUR, used=9 * CORE_HOUR, unused=6 * CORE_HOUR))
    days = [("2026-11-01", told), ("2026-11-02", Account()), ("2026-11-03", told)]
    chart = fleet_chart(days, width=1000, palette=LIGHT)

    assert chart is not None
    rows = chart.spec["data"]["values"]
    assert [row["reserved"] for row in rows] == [8.0, 8.0]
    assert rows[0]["hint"] == "2026-11-01: 2 used of 8 reserved"
    assert rows[1]["t"] - rows[0]["t"] == 2 * 86_400_000
