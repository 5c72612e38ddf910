from __future__ import annotations

import csv
import io

from jobmeter.model.summary import ContainerSummary
from jobmeter.report.tables import TIMELINE_FIELDS, render_csv
from tests.report.examples import hostile, make_build, oom_kill, sidecar


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_one_row_per_container_and_point() -> None:
    """Raw data in long form, as notebooks want it; the section is the mark before."""
    rows = rows_of(render_csv(*sidecar()))

    assert len(rows) == 3 * 240
    assert tuple(rows[0]) == TIMELINE_FIELDS
    assert {row["section"] for row in rows} == {"checkout", "compile the release", "test"}


def test_what_was_not_read_is_empty() -> None:
    """Null is no number, and not zero."""
    rows = rows_of(render_csv(*oom_kill()))

    assert rows[20]["memory_bytes"] == ""
    assert rows[20]["section"] == ""
    assert rows[21]["memory_bytes"] != ""


def test_without_points_there_is_a_row_per_container(golden) -> None:
    """A summary alone gives its containers' fields, in columns that are the same for every run."""
    text = render_csv(sidecar()[0], None)
    golden("report/sidecar-summary.csv", text.replace("\r\n", "\n"))

    assert list(rows_of(text)[0]) == list(rows_of(render_csv(make_build()[0], None))[0])


def test_lines_end_as_rfc_4180_wants() -> None:
    """Carriage return and line feed, after the last line too."""
    text = render_csv(make_build()[0], None)

    assert text.count("\r\n") == text.count("\n") == 2
    assert text.endswith("\r\n")


def test_a_name_that_is_a_formula_is_text() -> None:
    """A spreadsheet calculates nothing that a process chose as its name."""
    summary, _ = hostile()
    summary.containers = [ContainerSummary(name=name) for name in ("=1+1", " @SUM(A1)", "-2", "+3", "a=b")]

    names = [row["name"] for row in rows_of(render_csv(summary, None))]

    assert names == ["'=1+1", "' @SUM(A1)", "'-2", "'+3", "a=b"]
