"""Sums over all runners, in bounded numbers of rows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from jobmeter.gateway.figures.events import StepChanged, TaskBegan, TaskEnded, WorkBegan
from jobmeter.gateway.figures.totals import STATUSES, Totals
from tests.gateway.figures.told import AT, JOB, LARGE, SMALL, Told, changes


def test_rows_are_there_before_the_first_end() -> None:
    """Prometheus takes the first value of a series as where it begins."""
    told = Told("ephemerd").tell(TaskBegan("12", AT, JOB))
    of = 'provider="forgejo",repo="acme/engine"'
    page = told.all()
    for status in STATUSES:
        assert page[f'ephemerd_jobs_total{{{of},status="{status}"}}'] == 0
    assert page[f"ephemerd_job_duration_seconds_count{{{of}}}"] == 0
    assert page['ephemerd_job_startup_seconds_count{repo="acme/engine"}'] == 0


def test_a_job_from_its_begin_to_its_end() -> None:
    """What each event adds, and nothing else."""
    told = Told("ephemerd").tell(TaskBegan("12", AT, JOB))
    of = 'provider="forgejo",repo="acme/engine"'
    for event, expected in (
        (WorkBegan("12", 4.5), {
            'ephemerd_job_startup_seconds_count{repo="acme/engine"}': 1,
            'ephemerd_job_startup_seconds_sum{repo="acme/engine"}': 4.5,
        }),
        (StepChanged("12", 0, "Checkout", 1.0), {}),
        (TaskEnded("12", "failure", 61.0), {
            "ephemerd_jobs_active": 0,
            f'ephemerd_jobs_total{{{of},status="failure"}}': 1,
            f"ephemerd_job_duration_seconds_count{{{of}}}": 1,
            f"ephemerd_job_duration_seconds_sum{{{of}}}": 61.0,
        }),
    ):  # fmt: skip
        before = told.all()
        assert changes(before, told.tell(event).all()) == expected


def test_jobs_of_all_runners() -> None:
    """Those of one repository are one row, those of another forge are not."""
    told = Told("ephemerd")
    elsewhere = replace(JOB, forge="gitea")
    told.tell(TaskBegan("1", AT, JOB), TaskEnded("1", "success", 1.0), of=LARGE)
    told.tell(TaskBegan("1", AT, JOB), TaskEnded("1", "success", 1.0), of=SMALL)
    told.tell(TaskBegan("2", AT, elsewhere), TaskEnded("2", "success", 1.0), of=SMALL)
    assert {line: value for line, value in told.all().items() if 'status="success"' in line} == {
        'ephemerd_jobs_total{provider="forgejo",repo="acme/engine",status="success"}': 2,
        'ephemerd_jobs_total{provider="gitea",repo="acme/engine",status="success"}': 1,
    }


@given(st.lists(st.text(max_size=3), max_size=40))
def test_no_more_rows_than_there_may_be(repositories: list[str]) -> None:
    """One takes all others, and no job is lost."""
    totals = Totals(max_rows=5)
    for repository in repositories:
        totals.job_ended(replace(JOB, repository=repository), "success", 1.0)
        totals.step(replace(JOB, repository=repository), "x", 1.0)
        totals.work_began(replace(JOB, repository=repository), 1.0)
    jobs, steps, startups = (
        list(totals.jobs.items()),
        list(totals.steps.items()),
        list(totals.startups.items()),
    )
    assert max(len(jobs), len(steps), len(startups)) <= 6
    assert sum(sums.by_status["success"] for _, sums in jobs) == len(repositories)
    assert sum(sums.count for _, sums in steps) == len(repositories)
    assert sum(histogram.count for _, histogram in startups) == len(repositories)
