"""The page of one run."""

from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote, urlencode

from msgspec.structs import replace

from jobmeter.model.summary import Summary
from jobmeter.receiver.api.buckets import Course
from jobmeter.receiver.api.timelines import timeline_of
from jobmeter.receiver.api.types import RunDetail, RunTimeline
from jobmeter.receiver.pages.charts import NARROW, WIDE, Pair, Width, figures
from jobmeter.receiver.pages.drawing import Drawing
from jobmeter.receiver.pages.forge_links import forge_links, host_of
from jobmeter.receiver.pages.layout import Crumb, address
from jobmeter.report.charts import charts
from jobmeter.report.figures import moment, roughly, seen_seconds
from jobmeter.report.html_parts import notes, text
from jobmeter.report.html_run import run_body
from jobmeter.report.notes import job_identity, job_variant
from jobmeter.report.palette import CSS
from jobmeter.report.text import fit
from jobmeter.report.verdict import RUNNING, verdict


def run_title(detail: RunDetail) -> str:
    """The title of the page: what happened, of which job."""
    if detail.summary is None:
        return fit(f"{detail.state}: {job_identity(detail.job) or detail.run_uid}", 160)
    return fit(
        f"{verdict(_shown(detail, detail.summary))} · {job_identity(detail.job)}".removesuffix(" · "), 160
    )


def run_trail(detail: RunDetail) -> list[Crumb]:
    """The way to the run: its repository and its job, as far as they are known."""
    job = detail.job
    owner, _, name = (job.repository or "").rpartition("/")
    owner = job.organization or owner
    trail = [Crumb("Runs", "/runs")]
    if owner and name:
        trail = [Crumb(f"{owner}/{name}", address("repositories", owner, name))]
        if job.workflow and job.job:
            place = address("jobs", owner, name, job.workflow, job.job)
            trail.append(Crumb(f"{job.workflow} / {job.job}", place))
    return [*trail, Crumb(f"run {job.run_id}" if job.run_id else "run")]


class Heard(NamedTuple):
    """What the receiver has heard of a run: so many ``records``, and when the last of it.

    ``silent_since`` is RFC 3339, UTC, of a run that goes on but was not heard of lately; after
    ``lost_after_seconds`` of silence it counts as lost. ``counted_from`` is the receiver's start, RFC 3339, UTC, where
    the silence is older: it counts from there.
    """

    records: int = 0
    silent_since: str | None = None
    lost_after_seconds: float | None = None
    counted_from: str | None = None


_NOTHING_HEARD = Heard()


def one_run_body(
    detail: RunDetail,
    course: RunTimeline,
    drawing: Drawing,
    heard: Heard = _NOTHING_HEARD,
    evidence: str = "",
) -> str:
    """Everything about one run, where else to look, and where to get it as data; ``evidence`` is HTML."""
    body = _without_summary(detail, _links(detail)) + evidence
    if detail.summary is not None:
        shown = _shown(detail, detail.summary)
        pairs = run_charts(detail.summary, course)
        drawn = (
            figures(pairs, pictures_of(detail.run_uid), drawing)
            if pairs
            else _no_charts(shown, course, heard)
        )
        body = run_body(shown, drawn, over=_over(detail), below=_links(detail), more=evidence)
    return f"{_provisional(detail, heard)}{body}{_data(detail, course)}"


def _links(detail: RunDetail) -> str:
    """The way to the run before, and to the forge; what the forge shows is none of ours, and is not told from where."""
    links = []
    if detail.state != "running" and detail.job.job:
        asked = urlencode({"after": detail.run_uid})
        links.append(f'<a href="/compare?{text(asked)}">Compare with the run before</a>')
    links += [
        f'<a href="{text(link.address)}" rel="noopener noreferrer nofollow">'
        f"{text(link.what.capitalize())} on {text(host_of(detail.job))}</a>"
        for link in forge_links(detail.job)
    ]
    return f'<nav class="pager" aria-label="Related">{"".join(links)}</nav>' if links else ""


def _no_charts(summary: Summary, course: Course, heard: Heard) -> str:
    """Why there is nothing to draw, in one sentence."""
    if len(course.elapsed_seconds) > 1:
        said = "There are no charts: the samples tell of no container."
    elif course.elapsed_seconds:
        said = "Charts begin with the second sample; there is one so far."
        if summary.exit.reason != "running":
            said = "There are no charts: the run was over before it was sampled twice."
    elif not heard.records:
        said = (
            "There are no charts: the run was sent as a summary alone. "
            "One that is streamed while it runs, with --receiver, has its course over time too."
        )
    elif seen_seconds(summary) is None or not summary.sample_count:
        said = "There are no charts: nothing was sampled."
    else:
        said = (
            "There are no charts: the course of the run over time is not kept any more, "
            "as the operator of the receiver has chosen. Its summary is."
        )
    return f'<p class="card">{text(said)}</p>'


def _over(detail: RunDetail) -> str | None:
    """What the way to the page does not say of the run already."""
    return job_variant(detail.job) if run_trail(detail)[0].address != "/runs" else None


def run_charts(summary: Summary, course: Course) -> list[Pair]:
    """The charts of a run for both widths, described as in the report of `jobmeter run --html`."""
    timeline = timeline_of(course)
    wide, narrow = (charts(summary, timeline, width=width, palette=CSS) for width in (WIDE, NARROW))
    return [Pair(*both) for both in zip(wide, narrow, strict=True)]


def pictures_of(run_uid: str) -> Callable[[str, Width], str]:
    """The address of each chart of a run as a picture."""

    def picture(key: str, width: Width) -> str:
        return f"{address('runs', run_uid, 'charts', key)}?width={width}"

    return picture


def _shown(detail: RunDetail, summary: Summary) -> Summary:
    """The summary; that of a run that goes on says so, and has no time at which it ended."""
    if not detail.provisional or detail.state != "running":
        return summary
    return replace(summary, exit=RUNNING, end_time="")


def _without_summary(detail: RunDetail, links: str) -> str:
    name = job_identity(detail.job) or f"run {detail.run_uid}"
    said = {
        "running": "It has begun to stream; nothing can be told of it yet.",
        "lost": "It fell silent before anything could be told of it.",
        "finished": "What was sent cannot be read as a summary of this version; the API gives it back as it came.",
    }
    return (
        f'<header><h1 class="plain">{text(name)}</h1><p class="lead">{said[detail.state]}</p></header>{links}'
    )


def _provisional(detail: RunDetail, heard: Heard) -> str:
    """What is said of a run that goes on; with scripts its page is read again when there is news."""
    if detail.state != "running":
        return ""
    told = [("This is what has come of the run so far.", False)] if detail.summary is not None else []
    if heard.silent_since is not None:
        given_up = ""
        if heard.lost_after_seconds is not None:
            given_up = f"; after {roughly(heard.lost_after_seconds)} of silence it counts as lost"
            if heard.counted_from is not None:
                given_up += f", counted from the receiver's start at {text(moment(heard.counted_from))}"
        told.append((f"Nothing was heard of it since {text(moment(heard.silent_since))}{given_up}.", True))
    events = text(address("runs", detail.run_uid, "events"))
    return notes(told, f' data-events="{events}" data-known="{heard.records}"')


def _data(detail: RunDetail, course: RunTimeline) -> str:
    place = f"/api/v1/runs/{quote(detail.run_uid, safe='')}"
    links = [("Summary as JSON", place)]
    if course.elapsed_seconds:
        links += [
            ("Timeline as JSON", f"{place}/timeline"),
            ("Timeline as CSV", f"{place}/timeline.csv"),
            ("Journal as JSON", f"{place}/records"),
        ]
    told = "".join(f'<a href="{text(link)}">{name}</a>' for name, link in links)
    return f'<nav class="pager" aria-label="Data">{told}</nav>'
