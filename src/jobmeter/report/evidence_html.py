"""Evidence as HTML: the parts that a page shows, and a page of its own that opens offline."""

from jobmeter.model.evidence.document import Evidence
from jobmeter.report.evidence import circumstances, numbers, outcome, remarks, subject, tone, without_data
from jobmeter.report.evidence_charts import drawn, evidence_charts
from jobmeter.report.evidence_figures import Answer
from jobmeter.report.html import POLICY, figure
from jobmeter.report.html_parts import card, notes, section, table, text
from jobmeter.report.html_run import document as page
from jobmeter.report.layout import Column
from jobmeter.report.palette import CSS
from jobmeter.report.svg import require_html
from jobmeter.report.text import clean, fit

# Two stand beside each other.
_WIDE, _NARROW = 410, 350
_MAX_EXPRESSION = 1000


def render_evidence_html(document: Evidence) -> str:
    """The page; raises MissingExtra where the library that draws its charts is not installed."""
    require_html()
    wide, narrow = (evidence_charts(document, width=width, palette=CSS) for width in (_WIDE, _NARROW))
    pictures = "".join(figure(*pair) for pair in zip(wide, narrow, strict=True))
    said = outcome(document)
    header = (
        f'<header><p class="over">{text(subject(document))}</p>'
        f'<h1 class="{tone(document)}">What Prometheus saw: {text(said)}</h1></header>'
    )
    body = header + evidence_parts(document, pictures)
    footer = f"<footer>{text(f'jobmeter {document.made_by} · {document.schema}')}</footer>"
    return page(
        f"jobmeter: what Prometheus saw of {fit(subject(document), 120)}", body + footer, policy=POLICY
    )


def evidence_section(document: Evidence, pictures: str, below: str = "") -> str:
    """The same as a part of a run's page; ``below`` is HTML that stands at its end."""
    lead = f'<p class="hinted">{text(outcome(document)[:1].upper() + outcome(document)[1:])}.</p>'
    return section("What Prometheus saw", lead, evidence_parts(document, pictures), below)


def evidence_parts(document: Evidence, pictures: str) -> str:
    """What is to be known of it, what could not be had, the charts, and every query."""
    zeros = [answer.name for answer in map(Answer, document.queries) if answer.is_zero]
    hidden = sum(query.point_count > 0 for query in document.queries) - len(drawn(document)) - len(zeros)
    more = (
        f'<p class="hinted">{hidden} more with data are in the table.</p>' if hidden > 0 and pictures else ""
    )
    if zeros:
        more += f'<p class="hinted">Nothing but 0 was seen of {text(", ".join(zeros))}.</p>'
    told = [(text(each.text), each.is_warning) for each in remarks(document)]
    told += [
        (f"<b>{text(name)}</b>: {text(state)}. {text(why)}", state != "no series")
        for name, state, why in without_data(document)
    ]
    seen = f'<div class="seen">{pictures}</div>' if pictures else ""
    return f"<p>{text(circumstances(document))}</p>{notes(told)}{seen}{more}{_every_query(document)}"


def _every_query(document: Evidence) -> str:
    answers = [Answer(query) for query in document.queries]
    sent = [fit(clean(answer.query.expression), _MAX_EXPRESSION) for answer in answers]
    columns = [*numbers(answers), Column("as it was sent", sent, left=True)]
    told = card(
        table("Over all series of a query", [answer.name for answer in answers], columns, first="query")
    )
    return f"<details><summary>Every query and its numbers</summary>{told}</details>" if told else ""
