"""Evidence as a page that opens offline."""

from __future__ import annotations

import re

import pytest

from jobmeter.model.evidence.document import Series
from jobmeter.report.evidence_html import evidence_section, render_evidence_html
from tests.model.evidence.examples import answer, evidence, points
from tests.report.evidence_examples import EXAMPLES, build, course, hostile
from tests.report.test_html import outline


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_a_whole_page(name: str) -> None:
    """All elements are closed in order, nothing is asked for, and it is small enough to attach anywhere."""
    page = render_evidence_html(EXAMPLES[name]())
    outline(page)
    assert "default-src 'none'" in page
    assert not re.search(r"<(script|link|img|iframe|object|form|a)\b|url\(|@import", page)
    assert len(page.encode()) < 300_000


def test_what_could_not_be_had_stands_beside_what_was_seen() -> None:
    """With its reason, before the charts; every query is in the table."""
    words = " ".join(" ".join(outline(render_evidence_html(build())).words).split())
    assert words.index("What Prometheus saw: 5 of 7 queries have data") < words.index("broken : failed.")
    assert words.index("broken : failed. Prometheus answered 400: parse error.") < words.index(
        "Drawn are the 20"
    )
    for told in (
        "acme/engine · ci.yaml / build · run 7 · main",
        "of the last 15 s of the job points may be missing",
        "The clock of Prometheus is 4 s behind",
        "oom_kills : no series.",
        "away : a part is missing. A store was away.",
        "Every query and its numbers",
    ):
        assert told in words


def test_texts_are_text() -> None:
    """Markup is shown as it is written."""
    page = render_evidence_html(hostile())
    assert "onerror=alert(1)&gt;" in page
    assert "<img" not in page
    assert "\x1b" not in page


def test_what_is_always_zero_is_one_sentence() -> None:
    """Below the charts, and not counted among those that had no room."""
    zeros = [answer(name, Series({}, points("0", "0"))) for name in ("<drops>", "errors")]
    told = evidence_section(evidence(answer("x", course(float)), *zeros), "<p>pictures</p>")
    assert "Nothing but 0 was seen of &lt;drops&gt;, errors." in told
    assert "more with data" not in told
    assert "Nothing but 0" not in evidence_section(build(), "<p>pictures</p>")


def test_queries_that_are_not_drawn_are_said() -> None:
    """They are in the table."""
    document = evidence(*(answer(f"q{number}", course(float)) for number in range(46)))
    assert "6 more with data are in the table." in evidence_section(document, "<p>pictures</p>")
    assert "<b>" not in evidence_section(document, "")
