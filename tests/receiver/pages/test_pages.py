"""The pages as text: whole, harmless, and with what people look for."""

from __future__ import annotations

import re

import pytest
from msgspec import structs

from jobmeter.model.container_fold import ContainerRates
from jobmeter.model.exits import Exit
from jobmeter.model.job import Job
from jobmeter.model.summary import Summary
from jobmeter.model.timeline import Timeline
from jobmeter.receiver.api.buckets import BucketFold, ContainerCourse, Course, Range
from jobmeter.receiver.api.timelines import timeline_of
from jobmeter.receiver.api.types import RunDetail, RunItem, RunList, RunTimeline
from jobmeter.receiver.live import RunningJob
from jobmeter.receiver.pages.charts import WIDE
from jobmeter.receiver.pages.drawing import Drawing
from jobmeter.receiver.pages.layout import page
from jobmeter.receiver.pages.listing import runs_body
from jobmeter.receiver.pages.run import Heard, one_run_body, run_charts, run_title, run_trail
from jobmeter.receiver.store.folding import silence
from jobmeter.report.charts import charts, cpu_chart
from jobmeter.report.palette import CSS
from tests.report.examples import EXAMPLES, clock, hostile, make_build, only_begun, oom_kill, sidecar
from tests.report.test_html import outline

EVIL = "</a><script>alert(1)</script>\"'onload=x \x1b[2J\u202e"


def course_of(summary: Summary, timeline: Timeline) -> RunTimeline:
    """The example's timeline in buckets of its own points."""
    ends = timeline.elapsed_seconds
    fold = BucketFold(ends[0] if ends else 1.0, 240)
    for i, elapsed in enumerate(ends):
        rates = {
            str(place): ContainerRates(
                track.cpu_cores[i],
                track.memory_bytes[i],
                *(
                    ratios[i] if ratios else None
                    for ratios in (
                        track.throttled_ratio,
                        track.cpu_stall_ratio,
                        track.memory_stall_ratio,
                        track.io_stall_ratio,
                    )
                ),
            )
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
    body = one_run_body(detail, course_of(summary, timeline), Drawing())
    return bytes(page(run_title(detail), body, trail=run_trail(detail)).body).decode()


def words_of(page: str) -> str:
    """The text that people see."""
    return " ".join(" ".join(outline(page).words).split())


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_a_whole_page(name: str) -> None:
    """All elements are closed in order; the page can be sent and is small."""
    page = page_of(*EXAMPLES[name]())
    outline(page)
    assert len(page.encode()) < 400_000


def test_a_run_shows_its_verdict_course_sections_programs_and_processes() -> None:
    """What the report shows stands on the page too, and where to get it as data."""
    words = words_of(page_of(*make_build()))
    for told in (
        "Failed (exit 2) after 1 m 05 s",
        "Cores in use over time: the line is the mean of each moment, the paler band reaches from its lowest",
        "make -j2",
        "× 4,312",
        "Largest processes",
        "Still running: sccache (9822)",
        "Summary as JSON Timeline as JSON Timeline as CSV Journal as JSON",
    ):
        assert told in words


def test_the_way_to_a_run_names_its_job_and_what_stands_above_it_the_rest() -> None:
    """Nothing is said twice; of a job without a name all that is known stands above."""
    words = words_of(page_of(*oom_kill()))
    assert "acme/engine release.yaml / link run 812 arch=arm64, lto=True · attempt 2 · lto Killed" in words
    summary, timeline = make_build()
    summary.job = Job(job="build", run_id="7")
    assert "Runs run 7 build · run 7 Failed" in words_of(page_of(summary, timeline))


def test_the_charts_are_those_of_the_report() -> None:
    """CPU, memory and what held it back, with the limits and the marks, in the order of the report."""
    pairs = run_charts(sidecar()[0], course_of(*sidecar()))
    assert [pair.wide.key for pair in pairs] == ["cpu", "memory", "stalls"]
    assert [pair.wide.key for pair in pairs] == [pair.narrow.key for pair in pairs]
    report = charts(*sidecar(), width=WIDE, palette=CSS)
    assert [pair.wide.title for pair in pairs] == [chart.title for chart in report]
    for ours, theirs in zip(pairs[:2], report, strict=False):
        one, other = (
            [panel["title"]["text"] for panel in spec["vconcat"]] for spec in (ours.wide.spec, theirs.spec)
        )
        assert one == other
    assert "compile the release" in str(pairs[0].wide.spec)


def test_a_bucket_is_drawn_from_its_lowest_over_its_mean_to_its_highest_value() -> None:
    """And one bucket that a late tick left empty alone is that before it; longer gaps stay."""
    low, mean, high = ([lowest, None, 5.0, None, None, 6.0] for lowest in (1.0, 2.0, 3.0))
    cores = Range(min=low, avg=mean, max=high)
    box = ContainerCourse(name="job", cpu_cores=cores, memory_bytes=cores, throttled_ratio=mean)
    course = Course(resolution_seconds=1.0, elapsed_seconds=[1, 2, 3, 4, 5, 6], containers=[box])
    (track,) = timeline_of(course).containers
    assert track.cpu_cores_low == [1.0, 1.0, 5.0, None, None, 6.0]
    assert track.cpu_cores == [2.0, 2.0, 5.0, None, None, 6.0]
    assert track.cpu_cores_peak == [3.0, 3.0, 5.0, None, None, 6.0]
    assert track.memory_bytes == [3, 3, 5, None, None, 6]
    assert track.throttled_ratio == [2.0, 2.0, 5.0, None, None, 6.0]

    chart = cpu_chart(make_build()[0], timeline_of(course))
    assert chart is not None
    rows = chart.spec["data"]["values"]
    assert rows[1] == {"t": 1.0, "low": 2.0, "high": 3.0, "base": 1.0}


def test_nothing_from_outside_is_markup() -> None:
    """Names of jobs, containers, processes and marks try to break out, and cannot."""
    page = page_of(*hostile())
    assert page.count("<script") == 1 + page.count('<script type="application/json" data-width=')
    assert "alert(" not in page.replace("&lt;script&gt;alert(", "").replace("\\u003cscript\\u003ealert(", "")
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
    assert 'href="/runs?ref=a%26b&amp;cursor=next"' in body
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


def test_a_run_that_goes_on_shows_its_newest_sample() -> None:
    """And says so; what is known of it is not told of the same run once it is over."""
    item = RunItem(run_uid="u1", state="running", job=Job(job="j", run_id="7"), received_at=clock(0))
    now = {"u1": RunningJob(run_uid="u1", job=item.job, cpu_cores=1.5, memory_bytes=300 * 1024**2)}
    told = "1.50 newest sample 300 MiB newest sample"
    assert words_of(runs_body(RunList(runs=[item]), {}, (), now)).endswith(f"so far {told}")
    item.state = "finished"
    assert "newest sample" not in words_of(runs_body(RunList(runs=[item]), {}, (), now))


@pytest.mark.parametrize(
    "received, told",
    [("2026-11-21T13:00:03.000Z", ""), ("2026-11-21T13:00:04.000Z", " received 2026-11-21 13:00:04")],
)
def test_the_list_says_what_orders_it(received: str, told: str) -> None:
    """Where a run came long after its end, its row tells when."""
    item = RunItem(
        run_uid="u1", state="finished", job=Job(job="j", run_id="7"), container_count=1,
        received_at=received, start_time=clock(0), end_time=clock(3),
    )  # fmt: skip
    words = words_of(runs_body(RunList(runs=[item]), {}))
    assert "The newest first, in the order in which the receiver heard of them" in words
    assert words.endswith(f"2026-11-21 12:00:00{told}")


def test_the_form_offers_names_that_are_known() -> None:
    """Each once: whole names find runs, parts of them do not."""
    refs = [Job(ref=ref) for ref in ("refs/heads/main", "refs/tags/v1", "main", None)]
    items = [RunItem(run_uid="u", state="lost", job=job, received_at=clock(0)) for job in refs]
    known = [("acme", "engine", "ci.yml", "link"), ("acme", EVIL, "ci.yml", "test"), ("", "alone", "", "")]
    body = runs_body(RunList(runs=items), {}, known)
    outline(body)
    offered = {
        field: re.findall('<option value="([^"]*)"></option>', options)
        for field, options in re.findall('<datalist id="known-(.*?)">(.*?)</datalist>', body)
    }
    assert [len(offered["organization"]), len(offered["repository"])] == [1, 3]
    assert offered["repository"][::2] == ["acme/engine", "alone"]
    assert [offered["job"], offered["ref"]] == [["link", "test"], ["main", "v1"]]


@pytest.mark.parametrize(
    "found, query, told",
    [
        (RunList(), {}, "No run is stored yet"),
        (RunList(), {"job": "x"}, "No run is like that"),
        (RunList(), {"repository": "eng"}, "Repositories with “eng” in their names · All runs"),
        (
            RunList(next_cursor="7"),
            {"ended": "failed"},
            "None of the 20,000 runs that were looked through is like that. Older",
        ),
    ],
)
def test_an_empty_list_says_what_to_do(found: RunList, query: dict[str, str], told: str) -> None:
    """A newcomer is told how to send a run, others that the filter leaves nothing, or nothing so far."""
    assert told in words_of(runs_body(found, query))


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
    assert told in words_of(one_run_body(detail, course, Drawing()))


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
    words = words_of(one_run_body(detail, course_of(summary, timeline), Drawing()))
    assert "This is what has come of the run so far." in words
    assert "Still running after 1 m 05 s" in words
    assert "began" in words
    assert "ended 20" not in words
    assert run_title(detail).startswith("still running after 1 m 05 s")
    assert (
        "Programs are counted when they end; the busiest and largest of them are among the processes."
        in words
    )
    assert "Programs that have ended so far program" in words
    assert "Compare" not in words
    assert "Nothing was heard" not in words
    heard = Heard(77, silent_since=clock(60), lost_after_seconds=300.0)
    body = one_run_body(detail, course_of(summary, timeline), Drawing(), heard)
    assert 'data-events="/runs/u/events" data-known="77"' in body
    silence = (
        "Nothing was heard of it since 2026-11-21 12:01:00 UTC; after 5 m 00 s of silence it counts as lost."
    )
    assert silence in words_of(body)
    restarted = heard._replace(counted_from=clock(90))
    body = one_run_body(detail, course_of(summary, timeline), Drawing(), restarted)
    assert silence[:-1] + ", counted from the receiver's start at 2026-11-21 12:01:30 UTC." in words_of(body)


def run_that_was_only_begun(end: Exit, state: str) -> RunDetail:
    """It was sampled once, right after its start."""
    summary = only_begun(end)
    job = Job(repository="acme/engine", job="link")
    return RunDetail(
        run_uid="u", state=state, job=job, received_at=clock(0), summary=summary, provisional=state == "running",  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize(
    "end, state, told",
    [
        (silence(300.0), "lost", "Lost right after its start"),
        (Exit(), "running", "Has begun"),
    ],
)
def test_what_is_not_known_is_no_zero(end: Exit, state: str, told: str) -> None:
    """Of a run that was only begun no duration, no CPU time and no end is told, but what is known."""
    detail = run_that_was_only_begun(end, state)
    course = RunTimeline(run_uid="u", state=detail.state, resolution_seconds=1.0, elapsed_seconds=[0.004])
    words = words_of(one_run_body(detail, course, Drawing(), Heard(3)))
    assert told in words
    for zero in ("0 ms", "4 ms", "Duration", " ended "):
        assert zero not in words
    assert ("The receiver heard nothing of the run for 5 m 00 s" in words) == (state == "lost")


@pytest.mark.parametrize(
    "points, records, samples, told",
    [
        (0, 0, 9, "the run was sent as a summary alone. One that is streamed while it runs, with --receiver"),
        (0, 12, 9, "the course of the run over time is not kept any more"),
        (0, 1, 0, "nothing was sampled"),
        (1, 3, 1, "the run was over before it was sampled twice"),
        (2, 4, 2, "the samples tell of no container"),
    ],
)
def test_a_page_without_charts_says_why(points: int, records: int, samples: int, told: str) -> None:
    """Whoever misses them is told whether they may come back, and how."""
    summary = structs.replace(make_build()[0], sample_count=samples)
    detail = RunDetail(
        run_uid="u", state="finished", job=summary.job, received_at=clock(0), summary=summary
    )  # fmt: skip
    course = RunTimeline(
        run_uid="u", state="finished", resolution_seconds=1.0, elapsed_seconds=[1.0, 2.0][:points]
    )
    words = words_of(one_run_body(detail, course, Drawing(), Heard(records)))
    assert "Over time There are no charts: " in words
    assert told in words


def test_a_run_leads_to_the_run_before_and_to_its_forge() -> None:
    """The forge is told nothing of where somebody comes from, and cannot reach back."""
    summary, timeline = make_build()
    summary.job = structs.replace(summary.job, forge="github", server_url="https://github.com", sha="a" * 40)
    body = page_of(summary, timeline)
    assert f'<a href="/compare?after={summary.run_uid}">Compare with the run before</a>' in body
    (commit,) = re.findall(r'<a href="https://github.com/gnu/hello/commit/a{40}"([^>]*)>([^<]*)</a>', body)
    assert commit == (' rel="noopener noreferrer nofollow"', "Commit on github.com")
