"""The pages of the fleet and of a repository: figures for people, and what is only a part."""

from __future__ import annotations

import re
from html import unescape

import pytest

from jobmeter.model.history.digest import Level, Waste
from jobmeter.model.history.fleet import Account
from jobmeter.model.prices import CORE_HOUR, GIB_HOUR
from jobmeter.model.statistics import Statistic
from jobmeter.receiver.api.history_types import Fleet, FleetJob, JobItem, RepositoryDetail
from jobmeter.receiver.pages.drawing import Drawing
from jobmeter.receiver.pages.fleet import fleet_body
from jobmeter.receiver.pages.repositories import repository_body

MIB = 2**20

UNWASTED = Waste(runs=1, reserved=GIB_HOUR, used=GIB_HOUR, unused=0.0)


def words(html: str) -> str:
    """What is read of a page."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", html)))


def fleet(account: Account) -> str:
    job = FleetJob(organization="o", repository="r", workflow="w", job="j", account=account)
    found = Fleet(since="2026-11-01", until="2026-11-02", currency="EUR", total=account, jobs=[job])
    return words(fleet_body(found, Drawing()))


def cpu(reserved: float, used: float, unused: float, partial: int = 0) -> Waste:
    """In core-hours, of 4 runs."""
    return Waste(
        runs=4,
        reserved=reserved * CORE_HOUR,
        used=used * CORE_HOUR,
        unused=unused * CORE_HOUR,
        partial=partial,
    )


def test_hardly_anything_is_told_as_that() -> None:
    """Neither as nothing, nor by powers of ten."""
    said = fleet(Account(runs=4, cpu=cpu(4e-5, 0.0, 3.1e-5), cost=0.0003, wasted_cost=0.004))

    assert said.count("< 0.01 EUR") == 4
    assert "0.112 of 0.144 core-s" in said
    assert "0.144 core-seconds" in said
    assert "e-05" not in said


@pytest.mark.parametrize("cost, told", [(0.0, "0.00 EUR"), (0.01, "0.01 EUR"), (1234.5, "1,234.50 EUR")])
def test_a_cost_has_two_digits(cost: float, told: str) -> None:
    """And nothing is nothing."""
    assert told in fleet(Account(runs=1, cost=cost, wasted_cost=0.0))


def test_little_memory_has_a_unit_that_fits() -> None:
    """Rather than hardly anything of hardly anything."""
    memory = Waste(runs=4, reserved=900 * MIB, used=600 * MIB, unused=300 * MIB)
    said = fleet(Account(runs=4, memory=memory))

    assert "900 MiB-seconds" in said
    assert "300 of 900 MiB-s" in said


@pytest.mark.parametrize(
    "account, told",
    [
        (Account(runs=1, cost=2.0), "Wasted not told no run tells what CPU and memory it reserved"),
        (Account(runs=1, cost=2.0, wasted_cost=0.0, memory=UNWASTED), "Wasted not told no run tells what CPU it"),
        (
            Account(runs=1, cost=2.0, wasted_cost=1.0, memory=UNWASTED),
            "Wasted 1.00 EUR 50 % of it · no run tells what CPU it reserved",
        ),
        (Account(runs=1, cost=2.0, wasted_cost=0.0, memory=UNWASTED, cpu=UNWASTED), "Wasted 0.00 EUR 0 % of it"),
    ],
)  # fmt: skip
def test_waste_that_is_not_known_is_not_nothing(account: Account, told: str) -> None:
    """And nothing wasted is no warning."""
    job = FleetJob(organization="o", repository="r", workflow="w", job="j", account=account)
    html = fleet_body(Fleet(since="d", until="e", currency="EUR", total=account, jobs=[job]), Drawing())
    assert told in words(html)
    assert ('class="value warn"' in html) == bool(account.wasted_cost)


def test_little_of_what_is_known_in_part_is_told_in_words_that_fit() -> None:
    """It is not at least less than something."""
    said = fleet(Account(runs=1, cpu=cpu(3.0, 1.0, 2.0, 1), cost=0.003, wasted_cost=0.002))

    assert "Cost < 0.01 EUR part of it not known; of what was reserved" in said


def test_what_is_unused_is_that_of_each_run() -> None:
    """Though all runs together used more than they reserved."""
    said = fleet(Account(runs=4, cpu=cpu(3.0, 4.0, 2.0), cost=3.0, wasted_cost=2.0))

    assert "3 core-hours 66.7 % unused" in said or "3 core-hours 67 % unused" in said
    assert "2 of 3 core-h" in said
    assert "at least" not in said
    assert "≥" not in said


def test_a_part_is_told_as_a_part() -> None:
    """Of CPU, of memory, and of what both cost."""
    memory = Waste(runs=4, reserved=9 * GIB_HOUR, used=GIB_HOUR, unused=8 * GIB_HOUR, partial=2)
    said = fleet(Account(runs=4, cpu=cpu(3.0, 1.0, 2.0, 1), memory=memory, cost=3.0, wasted_cost=2.0))

    for part in ("at least 3 core-hours", "at least 9 GiB-hours", "of 2 in part", "at least 3.00 EUR"):
        assert part in said
    assert "≥ 2 of ≥ 3 core-h" in said
    assert "≥ is a lower bound" in said


def repository(total: int, ordered: int, query: dict[str, str], lower_bounds: int = 0) -> str:
    level = Level(
        measure="memory", leg="", median=5 * MIB, values=Statistic(peak=9 * MIB), runs=3, lower_bounds=lower_bounds,
        first_run_uid="r", began_at="", last_began_at="",
    )  # fmt: skip
    jobs = [JobItem(workflow="w", job=f"job-{number}", runs=1, levels=(level,)) for number in range(2)]
    found = RepositoryDetail(
        organization="o", repository="r", total=total, jobs=jobs, ordered=ordered, next_cursor="12"
    )
    return repository_body(found, query)


@pytest.mark.parametrize(
    "total, ordered, query, told",
    [
        (2, 2, {}, "2 jobs; of each what it usually uses"),
        (251, 251, {}, "251 jobs; 1 to 2 are on this page; of each"),
        (
            251,
            251,
            {"cursor": "200", "words": "job"},
            "251 jobs like that; 201 to 202 are on this page; of each",
        ),
        (
            1251,
            500,
            {"order": "memory"},
            "1,251 jobs; 1 to 2 are on this page; the order is of the 500 that ran last;",
        ),
        (2, 2, {"order": "memory"}, "30 runs; the order is by the plain median of these, of whatever branch"),
        (2, 2, {"order": "memory_waste"}, "the waste of its last 30 runs workflow or job"),
    ],
)
def test_a_repository_says_how_many_jobs_it_has(
    total: int, ordered: int, query: dict[str, str], told: str
) -> None:
    """And which are shown."""
    assert told in words(repository(total, ordered, query))


def test_what_is_asked_for_is_kept_from_page_to_page() -> None:
    """The order, and what is looked for; and a new order begins with the first page."""
    html = unescape(repository(30, 30, {"order": "memory", "words": "job", "cursor": "10"}))

    assert 'href="/repositories/o/r?order=memory&words=job&cursor=12"' in html
    assert 'href="/repositories/o/r?order=runs&words=job"' in html
    assert '<input type="hidden" name="order" value="memory">' in html


def test_a_median_of_parts_is_a_lower_bound() -> None:
    """With its sign, and what that means."""
    assert "≥ 5 MiB" in words(repository(2, 2, {}, lower_bounds=1))
    assert "≥ is a lower bound" in words(repository(2, 2, {}, lower_bounds=1))
    assert "≥" not in words(repository(2, 2, {}))
