"""The page of one run."""

from urllib.parse import quote

from msgspec.structs import replace

from jobmeter.model.summary import Summary
from jobmeter.receiver.api.types import RunDetail, RunTimeline
from jobmeter.receiver.pages.picture import pictures
from jobmeter.report.html_parts import text
from jobmeter.report.html_run import run_body
from jobmeter.report.notes import job_identity
from jobmeter.report.text import fit
from jobmeter.report.verdict import RUNNING, verdict

NAV = '<nav><a href="/">All runs</a></nav>'


def run_title(detail: RunDetail) -> str:
    """The title of the page: what happened, of which job."""
    if detail.summary is None:
        return fit(f"{detail.state}: {job_identity(detail.job) or detail.run_uid}", 160)
    return fit(
        f"{verdict(_shown(detail, detail.summary))} · {job_identity(detail.job)}".removesuffix(" · "), 160
    )


def one_run_body(detail: RunDetail, course: RunTimeline) -> str:
    """Everything about one run, and where to get it as data."""
    body = _without_summary(detail)
    if detail.summary is not None:
        body = run_body(_shown(detail, detail.summary), pictures(detail.summary, course))
    return f"{NAV}{_provisional(detail)}{body}{_data(detail, course)}"


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


def _provisional(detail: RunDetail) -> str:
    if detail.state == "running" and detail.summary is not None:
        return '<ul class="notes"><li>This is what has come of the run so far.</li></ul>'
    return ""


def _data(detail: RunDetail, course: RunTimeline) -> str:
    address = f"/api/v1/runs/{quote(detail.run_uid, safe='')}"
    links = [("Summary", address)]
    if course.elapsed_seconds:
        links += [("Timeline", f"{address}/timeline"), ("Journal", f"{address}/records")]
    told = "".join(f'<a href="{text(link)}">{name} as JSON</a>' for name, link in links)
    return f'<nav class="pager">{told}</nav>'
