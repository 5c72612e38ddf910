"""What a referee has attached to a run, on its page."""

from functools import partial
from typing import NamedTuple
from urllib.parse import quote

from sqlalchemy import Connection

from jobmeter.model.errors import EvidenceError, JournalError
from jobmeter.model.evidence.document import Evidence, decode
from jobmeter.receiver.api.readings import Readings
from jobmeter.receiver.pages.charts import NARROW, Pair, figures
from jobmeter.receiver.pages.drawing import Drawing
from jobmeter.receiver.pages.run import pictures_of
from jobmeter.receiver.store.evidence import kept_evidence
from jobmeter.receiver.store.scopes import Scopes
from jobmeter.report.evidence_charts import evidence_charts
from jobmeter.report.evidence_html import evidence_section
from jobmeter.report.html_parts import section
from jobmeter.report.palette import CSS

_WIDE = 510
"""Two stand beside each other."""


class Attached(NamedTuple):
    """A document and its charts for both widths; None where what is stored cannot be read."""

    document: Evidence | None
    pairs: list[Pair]


async def attached_to(readings: Readings, run_uid: str, scopes: Scopes) -> Attached | None:
    """What is attached to a run; None for nothing."""
    return await readings.read_long(partial(_attached, run_uid=run_uid, scopes=scopes))


def _attached(connection: Connection, run_uid: str, scopes: Scopes) -> Attached | None:
    try:
        text = kept_evidence(connection, run_uid, scopes)
        if text is None:
            return None
        document = decode(text)
    except (JournalError, EvidenceError):
        return Attached(None, [])
    wide, narrow = (evidence_charts(document, width=width, palette=CSS) for width in (_WIDE, NARROW))
    return Attached(document, [Pair(*both) for both in zip(wide, narrow, strict=True)])


def evidence_body(attached: Attached | None, run_uid: str, drawing: Drawing) -> str:
    """The part of the page; nothing where nothing is attached."""
    if attached is None:
        return ""
    if attached.document is None:
        return section("What Prometheus saw", "<p>What a referee has attached cannot be read any more.</p>")
    drawn = figures(attached.pairs, pictures_of(run_uid), drawing)
    return evidence_section(attached.document, drawn, _data(run_uid))


def _data(run_uid: str) -> str:
    place = f"/api/v1/runs/{quote(run_uid, safe='')}/evidence"
    return (
        '<nav class="pager" aria-label="Evidence as data">'
        f'<a href="{place}">Evidence as JSON</a>'
        f'<a href="{place}?format=compat">In the form of GitLab\'s referee</a></nav>'
    )
