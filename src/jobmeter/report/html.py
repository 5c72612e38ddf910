"""One run as one HTML page that opens offline: no script, no font, no request; pictures are inline."""

from jobmeter.model.summary import Summary
from jobmeter.model.timeline import Timeline
from jobmeter.report.charts import Chart, charts
from jobmeter.report.html_charts import caption
from jobmeter.report.html_run import document, run_body
from jobmeter.report.palette import CSS
from jobmeter.report.svg import draw, require_html
from jobmeter.report.text import fit
from jobmeter.report.verdict import verdict

__all__ = ["POLICY", "figure", "render_html", "require_html"]

_WIDE, _NARROW = 846, 350
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""Nothing may be fetched or run, whatever the page contains."""


def render_html(summary: Summary, timeline: Timeline | None) -> str:
    """The page; raises MissingExtra where the library that draws its charts is not installed."""
    require_html()
    title = fit(f"jobmeter: {verdict(summary)}", 160)
    return document(title, run_body(summary, _charts(summary, timeline)), policy=POLICY)


def _charts(summary: Summary, timeline: Timeline | None) -> str:
    wide = charts(summary, timeline, width=_WIDE, palette=CSS)
    narrow = charts(summary, timeline, width=_NARROW, palette=CSS)
    return "".join(figure(*pair) for pair in zip(wide, narrow, strict=True))


def figure(wide: Chart, narrow: Chart) -> str:
    """One chart with its caption, drawn for wide screens and for narrow ones."""
    return (
        f'<figure class="card"><figcaption>{caption(wide)}</figcaption>'
        f'<div class="wide">{draw(wide)}</div><div class="narrow">{draw(narrow)}</div></figure>'
    )
