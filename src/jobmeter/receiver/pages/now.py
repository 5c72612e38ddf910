"""The page with what runs now."""

from jobmeter.receiver.api.types import RunItem, RunList
from jobmeter.receiver.pages.layout import address
from jobmeter.report.figures import duration
from jobmeter.report.html_parts import text
from jobmeter.report.notes import job_identity
from jobmeter.report.text import fit

_NAME_CELLS = 120


def now_body(found: RunList) -> str:
    """The running jobs, the newest first."""
    rows = "".join(_row(item) for item in found.runs)
    if not rows:
        return f'<h1 class="plain">Now</h1>{_NOTHING}'
    return (
        '<h1 class="plain">Now</h1><div class="card scroll" tabindex="0"><table class="runs"><thead><tr>'
        f'<th scope="col">job</th><th scope="col">runs for</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


_NOTHING = (
    '<p class="card">No job is running. <a href="/runs">All runs</a>. A job shows itself here with '
    "<code>jobmeter run --receiver=URL -- make</code>, URL being the address of this page.</p>"
)


def _row(item: RunItem) -> str:
    name = fit(job_identity(item.job), _NAME_CELLS) or "a job without a name"
    link = f'<a href="{text(address("runs", item.run_uid))}">{text(name)}</a>'
    return f'<tr><th scope="row">{link}</th><td>{text(duration(item.duration_seconds))}</td></tr>'
