"""The pages as text: whole, harmless, and with what people look for."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256

import pytest
from msgspec import structs

from jobmeter.model.container_fold import ContainerRates
from jobmeter.model.exits import Exit
from jobmeter.model.job import Job
from jobmeter.model.summary import ContainerSummary, Summary
from jobmeter.model.timeline import Timeline, TimelineMark
from jobmeter.receiver.api.buckets import BucketFold, ContainerCourse, Course, Range
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
        "Memory, working set: sampled peak 739 MiB, limit 4 GiB",
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


def course(
    step: float, ends: list[float], values: list[float | None], marks: Sequence[TimelineMark] = ()
) -> Course:
    """One container whose CPU and memory have the same value in a bucket."""
    series = Range(min=values, avg=values, max=values)
    box = ContainerCourse(name="job", cpu_cores=series, memory_bytes=series)
    return Course(resolution_seconds=step, elapsed_seconds=ends, containers=[box], marks=list(marks))


def drawn_alone(of: Course, box: ContainerSummary | None = None) -> str:
    """The pictures of a run with at most one container."""
    summary, _ = make_build()
    summary.containers = [box] if box else []
    return pictures(summary, of)


def test_a_picture_ends_where_the_run_ends() -> None:
    """The last bucket is as wide as it was long, and the axis names the run's end."""
    drawn = drawn_alone(course(2.0, [2, 4, 6, 7.9], [1.0, None, None, 0.5]))
    assert 'viewBox="0 -2 3.95 102"' in drawn
    assert 'class="line" d="M3,50V50H3.95"' in drawn
    assert "<span>0</span><span>4.0 s</span><span>7.9 s</span>" in drawn


@pytest.mark.parametrize(
    "value, cpu_top, memory_top",
    [
        (0.0, "0.1 cores", "1 MiB"),
        (0.004, "0.1 cores", "1 MiB"),
        (0.11, "0.15 cores", "1 MiB"),
        (1.004, "1 core", "1 MiB"),
        (3.2, "4 cores", "1 MiB"),
        (739 * 1024.0**2, "800000000 cores", "800 MiB"),
        (850 * 1024.0**2, "1000000000 cores", "1 GiB"),
    ],
)
def test_an_axis_names_its_top(value: float, cpu_top: str, memory_top: str) -> None:
    """It ends at a round value that holds the curve; next to nothing does not fill it."""
    drawn = drawn_alone(course(1.0, [1.0], [value]))
    tops = [part.split("<")[0] for part in drawn.split('class="scale" aria-hidden="true"><span>')[1:]]
    assert tops == [cpu_top, memory_top]


def test_what_cannot_be_drawn_has_no_picture() -> None:
    """A value without bounds, and a run of no length."""
    assert "<svg" not in drawn_alone(course(1.0, [1.0], [float("inf")]))
    assert drawn_alone(course(1.0, [0.0], [1.0])) == ""


def test_marks_have_their_names_at_their_lines() -> None:
    """Each as far as the next one; where there is no room its line tells it. The legend says what lines mean."""
    marks = [TimelineMark(0.0, "start"), TimelineMark(2.5, "<b>" + "x" * 90), TimelineMark(9.0, "tests")]
    marks += [TimelineMark(9.5, "late"), TimelineMark(12.0, "after the end")]
    drawn = drawn_alone(course(10.0, [10.0], [1.0], marks))
    cpu = drawn.split('<div class="plot')[1]

    assert cpu.count('class="mark"') == 3
    assert f'<span style="left:25.0%;width:65.0%">&lt;b&gt;{"x" * 36}…</span>' in cpu
    assert cpu.count("<span style=") == 1
    assert "<title>tests</title>" in cpu
    words = words_of(drawn)
    assert "mean of each 10 s lowest to highest in it mark (point at it for its name)" in words
    assert "limit" not in words


def test_both_memory_peaks_are_told_where_one_process_held_more_than_was_sampled() -> None:
    """The key figure and the curve do not contradict each other."""
    box = ContainerSummary(name="job", memory_source="working_set", memory_high_water_bytes=15 * 1024**2)
    sampled = course(1.0, [1.0], [8.0 * 1024**2])
    told = "Memory, working set: sampled peak 8 MiB (largest process, at its own peak: 15 MiB)"
    assert told in words_of(drawn_alone(sampled, box))
    box.memory_high_water_bytes = 7 * 1024**2
    assert "largest process" not in words_of(drawn_alone(sampled, box))


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
        memory_peak_source="working set",
        container_count=1,
        exit_reason="oom",
        exit_detail="The kernel killed ld.",
    )
    body = runs_body(RunList(runs=[item], next_cursor="next"), {"ref": "a&b"})
    words = words_of(body)
    for told in (
        "acme/engine · ci.yml / link · run 7 · lto",
        "finished 2026-11-21 12:00:00 12.0 s 1.50 18.0 s 512 MiB working set out of memory",
        "The kernel killed ld.",
    ):
        assert told in words
    assert 'href="/runs/a%2Fb%3Fc"' in body
    assert 'href="/?ref=a%26b&amp;cursor=next"' in body
    assert 'name="ref" value="a&amp;b"' in body


@pytest.mark.parametrize(
    "item, told",
    [
        (
            RunItem(run_uid="u7", state="running", job=Job(), received_at=clock(9), duration_seconds=20.0),
            "a job without a name run u7 running 2026-11-21 12:00:09 received 20.0 s so far",
        ),
        (
            RunItem(
                run_uid="u8",
                state="finished",
                job=Job(job="j", run_id="7"),
                received_at=clock(9),
                start_time=clock(0),
                duration_seconds=3.0,
                container_count=0,
            ),
            "j · run 7 no containers finished 2026-11-21 12:00:00 3.0 s",
        ),
        (
            RunItem(run_uid="u9", state="finished", job=Job(job="j", run_id="7"), received_at=clock(9)),
            "j · run 7 no summary that can be listed finished 2026-11-21 12:00:09 received",
        ),
    ],
)
def test_a_row_says_what_its_gaps_mean(item: RunItem, told: str) -> None:
    """Nobody takes the time of receipt for the start, or guesses why there are no numbers."""
    words = words_of(runs_body(RunList(runs=[item]), {}))
    assert words.endswith(f"end {told}")


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
    """Nobody takes a provisional summary for the result, or its newest sample for the end."""
    summary, timeline = make_build()
    detail = RunDetail(
        run_uid="u",
        state="running",
        job=summary.job,
        received_at=clock(0),
        summary=structs.replace(summary, exit=Exit()),
        provisional=True,
    )
    words = words_of(one_run_body(detail, course_of(summary, timeline)))
    assert "This is what has come of the run so far." in words
    assert "Still running after 1 m 05 s" in words
    assert "began" in words
    assert "ended" not in words
    assert run_title(detail).startswith("still running after 1 m 05 s")
