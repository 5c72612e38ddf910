"""The pages as text: whole, harmless, and with what people look for."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

import pytest
from msgspec import structs

from jobmeter.model.container_fold import ContainerRates
from jobmeter.model.job import Job
from jobmeter.model.summary import Summary
from jobmeter.model.timeline import Timeline
from jobmeter.receiver.api.buckets import BucketFold
from jobmeter.receiver.api.types import RunDetail, RunItem, RunList, RunTimeline
from jobmeter.receiver.pages.listing import runs_body
from jobmeter.receiver.pages.one import one_run_body, run_title
from jobmeter.receiver.pages.picture import MAX_CONTAINERS, pictures
from jobmeter.receiver.pages.routes import POLICY
from jobmeter.receiver.pages.style import PAGE_STYLE
from jobmeter.report.html_run import document
from tests.report.examples import EXAMPLES, clock, hostile, make_build, sidecar
from tests.report.test_html import outline

EVIL = "</a><script>alert(1)</script>\"'onload=x \x1b[2J\u202e"


def course_of(summary: Summary, timeline: Timeline) -> RunTimeline:
    """The example's timeline in buckets of its own points."""
    ends = timeline.elapsed_seconds
    fold = BucketFold(ends[0] if ends else 1.0, 240)
    for i, elapsed in enumerate(ends):
        rates = {
            str(place): ContainerRates(track.cpu_cores[i], track.memory_bytes[i])
            for place, track in enumerate(timeline.containers)
        }
        fold.add(elapsed, None, None, rates)
    names = {str(place): track.name for place, track in enumerate(timeline.containers)}
    course = fold.course(names, timeline.marks)
    return RunTimeline(run_uid=summary.run_uid, state="finished", **structs.asdict(course))


def page_of(summary: Summary, timeline: Timeline) -> str:
    """The page of a finished run."""
    detail = RunDetail(
        run_uid=summary.run_uid,
        state="finished",
        job=summary.job,
        received_at=clock(0),
        summary=summary,
    )
    body = one_run_body(detail, course_of(summary, timeline))
    return document(run_title(detail), body, style=PAGE_STYLE)


def words_of(page: str) -> str:
    """The text that people see."""
    return " ".join(" ".join(outline(page).words).split())


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_a_whole_page(name: str) -> None:
    """All elements are closed in order; the page can be sent and is small."""
    page = page_of(*EXAMPLES[name]())
    outline(page)
    assert len(page.encode()) < 100_000


def test_a_run_shows_its_verdict_course_sections_programs_and_processes() -> None:
    """What the report shows stands on the page too, and where to get it as data."""
    words = words_of(page_of(*make_build()))
    for told in (
        "Failed (exit 2) after 1 m 05 s",
        "CPU: peak 1.99 cores",
        "Memory: peak 739 MiB, limit 4 GiB",
        "make -j2",
        "× 4,312",
        "Largest processes",
        "Still running: sccache (9822)",
        "Summary as JSON Timeline as JSON Journal as JSON",
    ):
        assert told in words


def test_pictures_have_a_name_a_curve_and_the_limit_that_is_near() -> None:
    """Two per container, the busiest first; a gap ends the curve, a limit far above is told and not drawn."""
    drawn = pictures(sidecar()[0], course_of(*sidecar()))
    figures = drawn.split("<figure")[1:]

    assert [
        name in figure for name, figure in zip(("job", "buildkit", "postgres"), figures, strict=True)
    ] == [True] * 3
    assert [figure.count("<svg") for figure in figures] == [2, 2, 2]
    assert [figure.count('class="limit"') for figure in figures] == [2, 0, 0]
    assert drawn.count('class="mark"') == 3 * 2 * len(figures)
    assert "<title>compile the release</title>" in drawn


def test_many_containers_are_not_all_drawn() -> None:
    """The page says how many are left out."""
    summary, timeline = sidecar()
    timeline.containers *= 3
    drawn = pictures(summary, course_of(summary, timeline))
    assert drawn.count("<figure") == MAX_CONTAINERS
    assert "… and 3 containers more." in drawn


def test_nothing_from_outside_is_markup() -> None:
    """Names of jobs, containers, processes and marks try to break out, and cannot."""
    page = page_of(*hostile())
    assert "<script" not in page
    assert "\x1b" not in page
    item = RunItem(
        run_uid=EVIL,
        state="lost",
        job=Job(organization=EVIL, repository=EVIL, workflow=EVIL, job=EVIL, ref=EVIL),
        received_at=EVIL,
        start_time=EVIL,
        exit_reason=EVIL,
        exit_detail=EVIL,
    )
    body = runs_body(RunList(runs=[item], next_cursor=EVIL), {"organization": EVIL, "cursor": EVIL})
    outline(body)
    for sign in ("<script", "\x1b", "\u202e", "\"'"):
        assert sign not in body


def test_the_style_sheet_is_the_one_that_the_policy_allows() -> None:
    """The policy names the hash of the sheet; no script may run and nothing be fetched."""
    page = document("t", "", style=PAGE_STYLE)
    style = page.split("<style>")[1].split("</style>")[0]
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert f"style-src-elem 'sha256-{digest}'" in POLICY
    assert "default-src 'none'" in POLICY
    assert "script" not in POLICY


def test_the_list_tells_of_each_run_what_explains_it() -> None:
    """Job, state, start, duration, CPU, memory and the cause of death."""
    item = RunItem(
        run_uid="a/b?c",
        state="finished",
        job=Job(repository="acme/engine", workflow="ci.yml", job="link", run_id="7", ref="refs/heads/lto"),
        received_at=clock(0),
        start_time=clock(0),
        duration_seconds=12.0,
        cpu_seconds=18.0,
        memory_peak_bytes=512 * 1024**2,
        exit_reason="oom",
        exit_detail="The kernel killed ld.",
    )
    body = runs_body(RunList(runs=[item], next_cursor="next"), {"ref": "a&b"})
    words = words_of(body)
    for told in (
        "acme/engine · ci.yml / link · run 7 · lto",
        "finished 2026-11-21 12:00 12.0 s 1.50 18.0 s 512 MiB out of memory",
        "The kernel killed ld.",
    ):
        assert told in words
    assert 'href="/runs/a%2Fb%3Fc"' in body
    assert 'href="/?ref=a%26b&amp;cursor=next"' in body
    assert 'name="ref" value="a&amp;b"' in body


@pytest.mark.parametrize("query, told", [({}, "No run is stored yet"), ({"job": "x"}, "No run is like that")])
def test_an_empty_list_says_what_to_do(query: dict[str, str], told: str) -> None:
    """A newcomer is told how to send a run, others that the filter leaves nothing."""
    assert told in words_of(runs_body(RunList(), query))


@pytest.mark.parametrize(
    "state, told",
    [
        ("running", "It has begun to stream"),
        ("lost", "It fell silent"),
        ("finished", "cannot be read as a summary"),
    ],
)
def test_a_run_without_a_summary_has_a_page(state: str, told: str) -> None:
    """It says why nothing can be told."""
    detail = RunDetail(run_uid="u", state=state, job=Job(), received_at=clock(0))  # type: ignore[arg-type]
    course = RunTimeline(run_uid="u", state=detail.state, resolution_seconds=1.0)
    assert told in words_of(document(run_title(detail), one_run_body(detail, course)))


def test_a_running_run_says_that_its_numbers_are_of_what_has_come() -> None:
    """Nobody takes a provisional summary for the result."""
    summary, timeline = make_build()
    detail = RunDetail(
        run_uid="u",
        state="running",
        job=summary.job,
        received_at=clock(0),
        summary=summary,
        provisional=True,
    )
    assert "It still runs" in words_of(one_run_body(detail, course_of(summary, timeline)))
