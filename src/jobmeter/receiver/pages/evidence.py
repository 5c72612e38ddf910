"""What a referee has attached to a run, on its page."""

from functools import partial
from typing import NamedTuple
from urllib.parse import quote

from jobmeter.model.errors import EvidenceError, JournalError
from jobmeter.model.evidence.document import Evidence, decode
from jobmeter.ops.problems import Problem
from jobmeter.receiver.api.readings import Readings
from jobmeter.receiver.pages.charts import NARROW, Pair, figures
from jobmeter.receiver.pages.drawing import Attached, Drawing
from jobmeter.receiver.pages.run import pictures_of
from jobmeter.receiver.store.evidence import kept_body
from jobmeter.receiver.store.packing import unpacked
from jobmeter.receiver.store.scopes import Scopes
from jobmeter.report.evidence_charts import evidence_charts
from jobmeter.report.evidence_html import evidence_section
from jobmeter.report.html_parts import section
from jobmeter.report.palette import CSS

_TITLE = "What Prometheus saw"
_WIDE = 510
"""Two stand beside each other."""


class Seen(NamedTuple):
    """A document and its charts for both widths; None where what is stored cannot be read."""

    document: Evidence | None
    pairs: list[Pair]


async def evidence_part(readings: Readings, run_uid: str, scopes: Scopes, drawing: Drawing) -> str:
    """The part of the page of a run, made in the process that draws; empty where nothing is attached."""
    body = await _body(readings, run_uid, scopes)
    if body is None:
        return ""
    try:
        return await drawing.attached(Attached(body, run_uid))
    except Problem as problem:
        # The rest of the page is there all the same.
        again = "now; load the page again soon" if problem.status == 503 else "any more"
        return section(_TITLE, f"<p>What a referee has attached cannot be shown {again}.</p>", _data(run_uid))


async def evidence_picture(
    readings: Readings, run_uid: str, scopes: Scopes, drawing: Drawing, *, key: str, narrow: bool
) -> str | None:
    """One of its charts as an ``<svg>`` element; None where nothing is attached, or it has no such chart."""
    body = await _body(readings, run_uid, scopes)
    if body is None:
        return None
    return await drawing.attached(Attached(body, run_uid, key, narrow)) or None


async def _body(readings: Readings, run_uid: str, scopes: Scopes) -> bytes | None:
    return await readings.read_long(partial(kept_body, run_uid=run_uid, scopes=scopes))


def seen_in(body: bytes) -> Seen:
    """What is in a document as it lies in the database."""
    try:
        document = decode(b"".join(unpacked(body)))
    except (JournalError, EvidenceError):
        return Seen(None, [])
    wide, narrow = (evidence_charts(document, width=width, palette=CSS) for width in (_WIDE, NARROW))
    return Seen(document, [Pair(*both) for both in zip(wide, narrow, strict=True)])


def evidence_body(seen: Seen, run_uid: str, drawing: Drawing) -> str:
    """The part of the page; ``drawing`` says whether there are charts."""
    if seen.document is None:
        return section(_TITLE, "<p>What a referee has attached cannot be read any more.</p>")
    drawn = figures(seen.pairs, pictures_of(run_uid), drawing)
    return evidence_section(seen.document, drawn, _data(run_uid))


def _data(run_uid: str) -> str:
    place = f"/api/v1/runs/{quote(run_uid, safe='')}/evidence"
    return (
        '<nav class="pager" aria-label="Evidence as data">'
        f'<a href="{place}">Evidence as JSON</a>'
        f'<a href="{place}?format=compat">In the form of GitLab\'s referee</a></nav>'
    )
