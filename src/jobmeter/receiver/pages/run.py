"""The page of one run."""

from collections.abc import Callable
from urllib.parse import quote

from msgspec.structs import replace

from jobmeter.model.summary import Summary
from jobmeter.receiver.api.buckets import Course
from jobmeter.receiver.api.timelines import timeline_of
from jobmeter.receiver.api.types import RunDetail, RunTimeline
from jobmeter.receiver.pages.charts import NARROW, WIDE, Pair, Width, figures
from jobmeter.receiver.pages.drawing import Drawing
from jobmeter.receiver.pages.layout import Crumb, address
from jobmeter.report.charts import charts
from jobmeter.report.html_parts import text
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


def one_run_body(detail: RunDetail, course: RunTimeline, drawing: Drawing, known: int = 0) -> str:
    """Everything about one run, and where to get it as data; of a run that goes on the first ``known`` records."""
    body = _without_summary(detail)
    if detail.summary is not None:
        drawn = figures(run_charts(detail.summary, course), _pictures(detail), drawing)
        body = run_body(_shown(detail, detail.summary), drawn, over=_over(detail))
    return f"{_provisional(detail, known)}{body}{_data(detail, course)}"


def _over(detail: RunDetail) -> str | None:
    """What the way to the page does not say of the run already."""
    return job_variant(detail.job) if run_trail(detail)[0].address != "/runs" else None


def run_charts(summary: Summary, course: Course) -> list[Pair]:
    """The charts of a run for both widths, described as in the report of `jobmeter run --html`."""
    timeline = timeline_of(course)
    wide, narrow = (charts(summary, timeline, width=width, palette=CSS) for width in (WIDE, NARROW))
    return [Pair(*both) for both in zip(wide, narrow, strict=True)]


def _pictures(detail: RunDetail) -> Callable[[str, Width], str]:
    def picture(key: str, width: Width) -> str:
        return f"{address('runs', detail.run_uid, 'charts', key)}?width={width}"

    return picture


def _shown(detail: RunDetail, summary: Summary) -> Summary:
    """The summary; that of a run that goes on says so, and has no time at which it ended."""
    if not detail.provisional or detail.state != "running":
        return summary
    return replace(summary, exit=RUNNING, end_time="")


def _without_summary(detail: RunDetail) -> str:
    name = job_identity(detail.job) or f"run {detail.run_uid}"
    said = {
        "running": "It has begun to stream; nothing can be told of it yet.",
        "lost": "It fell silent before anything could be told of it.",
        "finished": "What was sent cannot be read as a summary of this version; the API gives it back as it came.",
    }
    return f'<header><h1 class="plain">{text(name)}</h1><p class="lead">{said[detail.state]}</p></header>'


def _provisional(detail: RunDetail, known: int) -> str:
    """What is said of a run that goes on; with scripts its page is read again when there is news."""
    if detail.state != "running":
        return ""
    told = "<li>This is what has come of the run so far.</li>" if detail.summary is not None else ""
    events = text(address("runs", detail.run_uid, "events"))
    return f'<ul class="notes" data-events="{events}" data-known="{known}">{told}</ul>'


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
