"""What holds for every run that can be reported."""

from __future__ import annotations

import csv
import io
import unicodedata
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jobmeter.model.summary import Summary
from jobmeter.model.timeline import Timeline
from jobmeter.report import compare, html, markdown, openmetrics, tables, terminal
from jobmeter.report.charts import charts
from tests.report.examples import EXAMPLES, hostile
from tests.report.strategies import summaries, timelines

relaxed = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def width_of(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line)


def assert_printable(text: str) -> None:
    for line in text.split("\n"):
        assert line.isprintable(), repr(line)


class Tags(HTMLParser):
    """The names of all elements and attributes that a browser would find."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def found_in(page: str) -> Tags:
    parser = Tags()
    parser.feed(page)
    return parser


@relaxed
@given(summaries(), st.one_of(st.none(), timelines()), st.integers(1, 200))
@example(*hostile(), 40)
def test_terminal_lines_fit_and_carry_no_control_characters(
    summary: Summary, timeline: Timeline | None, width: int
) -> None:
    """No line is wider than asked for and no name can move the cursor, whatever it is called."""
    text = terminal.render_terminal(summary, timeline, width=width)

    assert_printable(text)
    assert max(width_of(line) for line in text.split("\n")) <= width


@relaxed
@given(summaries(), summaries(), st.integers(1, 160))
def test_comparisons_fit_and_carry_no_control_characters(before: Summary, after: Summary, width: int) -> None:
    """Any two runs can be compared in lines of any width."""
    text = compare.render_comparison(before, after, width=width)

    assert_printable(text)
    assert max(width_of(line) for line in text.split("\n")) <= width
    assert_printable(compare.compare_markdown(before, after))


@relaxed
@given(summaries(), st.one_of(st.none(), timelines()))
@example(*hostile())
def test_markdown_holds_no_markup_of_users(summary: Summary, timeline: Timeline | None) -> None:
    """Outside its code block the only HTML is the report's own, and no line is broken by a name."""
    text = markdown.render_markdown(summary, timeline)
    outside = "".join(text.split("```")[::2])

    assert_printable(text)
    assert len(text.encode()) <= markdown.MAX_MARKDOWN_BYTES
    assert found_in(outside).tags <= {"details", "summary", "sub"}


@relaxed
@given(summaries(), st.one_of(st.none(), timelines()))
@example(*hostile())
def test_csv_rows_have_the_columns_of_the_heading(summary: Summary, timeline: Timeline | None) -> None:
    """Every row is as long as the first, and no cell of text begins like a formula."""
    text = tables.render_csv(summary, timeline)
    rows = list(csv.reader(io.StringIO(text, newline="")))

    assert {len(row) for row in rows} == {len(rows[0])}
    assert_printable(text.replace("\r\n", "\n"))
    for row in rows[1:]:
        assert not any(cell.startswith(("=", "+", "@")) for cell in row)


@relaxed
@given(summaries())
@example(hostile()[0])
def test_openmetrics_lines_are_well_formed(summary: Summary) -> None:
    """Names cannot break out of their label, and each series is there once."""
    lines = openmetrics.render_openmetrics(summary).split("\n")
    series = [line.rsplit(" ", 1)[0] for line in lines[:-2] if not line.startswith("#")]

    assert lines[-2:] == ["# EOF", ""]
    assert len(series) == len(set(series))
    assert_printable("".join(lines))


@settings(relaxed, max_examples=25)
@given(summaries(), timelines())
@example(*hostile())
def test_html_holds_no_markup_of_users(summary: Summary, timeline: Timeline) -> None:
    """No name becomes an element or an attribute of the page, in text or in pictures."""
    pytest.importorskip("vl_convert")
    page = html.render_html(summary, timeline)
    own = found_in(html.render_html(*EXAMPLES["sidecar"]()))
    own_oom = found_in(html.render_html(*EXAMPLES["oom"]()))
    found = found_in(page)

    assert found.tags <= own.tags | own_oom.tags
    assert found.attributes <= own.attributes | own_oom.attributes
    assert_printable(page)


@relaxed
@given(summaries(), timelines())
def test_charts_are_drawn_from_any_course(summary: Summary, timeline: Timeline) -> None:
    """Gaps, single points and containers that the summary does not know make no chart fail."""
    for chart in charts(summary, timeline, width=300):
        assert chart.spec["$schema"].startswith("https://vega.github.io/schema/vega-lite/")


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_opens_with_its_verdict(name: str) -> None:
    """All formats for people say first what happened."""
    summary, timeline = EXAMPLES[name]()

    assert terminal.render_terminal(summary, timeline).startswith("jobmeter: ")
    assert markdown.render_markdown(summary, timeline).startswith("### jobmeter")
