"""The page with what runs now, as text."""

from __future__ import annotations

import pytest

from jobmeter.model.job import Job
from jobmeter.receiver.live import Now, Recent, RunningJob
from jobmeter.receiver.pages.now import now_body, now_lead
from tests.receiver.pages.test_pages import EVIL, words_of
from tests.report.examples import GIB, MIB

TIME = "2026-11-22T09:00:00.000Z"


def job(**known: object) -> RunningJob:
    """A job of which this is known."""
    return RunningJob(run_uid="u1", job=Job(repository="acme/engine", job="link"), **known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "known, told",
    [
        ({"running_seconds": 130.0, "start_time": "2026-11-22T08:57:50.000Z"}, "2 m 10 s since 08:57:50 UTC"),
        ({"running_seconds": 130.0, "start_time": "2026-11-21T08:57:50.000Z"}, "since 2026-11-21 08:57:50 UTC"),
        ({"cpu_cores": 1.5, "cpu_limit_cores": 2.0}, "1.50 of 2.00"),
        ({"cpu_cores": 0.0}, "0.00"),
        ({"memory_bytes": 300 * MIB, "memory_limit_bytes": GIB, "container": "db"}, "300 MiB of 1 GiB in db"),
        ({"throttled_ratio": 0.25}, "25 % of a CPU"),
        ({"throttled_ratio": 3.8}, "380 % of a CPU"),
        ({"sample_age_seconds": 2.4, "delivery_seconds": 0.4}, "2 s ago 400 ms on its way"),
        ({"silent_seconds": 4.0}, "none for 4 s"),
        ({"silent_seconds": 42.0}, "none for 42 s lost after 5 m 00 s of silence"),
        ({"silent_seconds": 42.0, "start_time": "2026-11-22T08:57:50.000Z"}, "not known since 08:57:50 UTC"),
        ({"silent_seconds": 42.0, "sample_age_seconds": 44.0, "delivery_seconds": 2.0}, "44 s ago lost after 5 m 00 s"),
        ({}, "just begun"),
        ({"running_seconds": 0.002, "sample_age_seconds": 1.0}, "just begun"),
        ({"running_seconds": 0.002, "sample_age_seconds": 30.0, "silent_seconds": 30.0}, "not known"),
    ],
)  # fmt: skip
def test_a_row_says_what_is_known(known: dict[str, object], told: str) -> None:
    """And nothing of what is not."""
    words = words_of(now_body(Now(time=TIME, jobs=[job(**known)], lost_after_seconds=300.0)))
    assert told in words
    assert "acme/engine · link" in words
    assert "None" not in words


@pytest.mark.parametrize(
    "known, tone", [({"sample_age_seconds": 15.0}, True), ({"sample_age_seconds": 14.0}, False),
                    ({"silent_seconds": 15.0}, True), ({"silent_seconds": 14.0}, False),
                    ({"throttled_ratio": 0.01}, True), ({"throttled_ratio": 0.009}, False)]
)  # fmt: skip
def test_what_is_in_the_way_has_a_colour(known: dict[str, float], tone: bool) -> None:
    """Samples that are late, and a limit that throttles."""
    assert ('class="warn"' in now_body(Now(time=TIME, jobs=[job(**known)]))) == tone


def test_all_together_stand_above() -> None:
    """What is not known counts for nothing; that there are more is said."""
    jobs = [job(cpu_cores=1.5, memory_bytes=GIB), job(cpu_cores=2.25), job()]
    assert now_lead(Now(time=TIME, jobs=jobs)) == (
        "3 jobs · 3.75 cores · 1 GiB of memory in use · 2026-11-22 09:00:00 UTC"
    )
    assert now_lead(Now(time=TIME, jobs=jobs, more=True)).startswith("the newest 3 jobs")


@pytest.mark.parametrize("listening, since", [(419.0, " since the receiver was started"), (500.0, "")])
def test_silence_from_before_the_receiver_s_start_does_not_count(listening: float, since: str) -> None:
    """The row says from where it does, which may be more than what makes a run lost."""
    now = Now(
        time=TIME, jobs=[job(silent_seconds=420.0)], lost_after_seconds=300.0, listening_seconds=listening
    )
    assert f"none for 7 m 00 s lost after 5 m 00 s of silence{since} No job" in words_of(now_body(now))


def test_where_silent_runs_go_is_said() -> None:
    """Whoever misses a row finds it; with no rows, too."""
    for jobs in ([job()], []):
        body = now_body(Now(time=TIME, jobs=jobs, lost_after_seconds=300.0))
        assert "A run that is silent for 5 m 00 s counts as lost" in words_of(body)
        assert 'href="/runs?state=lost"' in body
    assert "counts as lost" not in words_of(now_body(Now(time=TIME, jobs=[])))


def test_where_nothing_runs_a_newcomer_is_told_what_to_do() -> None:
    """The table is there for rows that may come, and is not seen."""
    body = now_body(Now(time=TIME, jobs=[]))
    assert 'data-events="/now/events" hidden>' in body
    assert "No job is running now" in words_of(body)
    assert 'data-live="nothing" hidden' in now_body(Now(time=TIME, jobs=[job()]))


def test_nothing_from_outside_is_markup() -> None:
    """Names of the job, its containers and its run."""
    evil = RunningJob(
        run_uid=EVIL,
        job=Job(organization=EVIL, repository=EVIL, workflow=EVIL, job=EVIL, ref=EVIL, matrix={EVIL: EVIL}),
        start_time=EVIL,
        container=EVIL,
        memory_bytes=1,
        cpu_cores=1.0,
        recent=Recent(elapsed_seconds=[1.0, 2.0], cpu_cores=[1.0, 2.0], memory_bytes=[1, 2]),
    )
    body = now_body(Now(time=EVIL, jobs=[evil]))
    words_of(body)
    for sign in ("<script", "\x1b", "\u202e", "\"'"):
        assert sign not in body
