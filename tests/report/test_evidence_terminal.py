"""Evidence in a terminal."""

from __future__ import annotations

import pytest

from jobmeter.model.evidence.document import Series
from jobmeter.referee.default_queries import DEFAULT_QUERIES
from jobmeter.report.evidence_terminal import render_evidence_terminal
from jobmeter.report.text import cells
from tests.conftest import Golden
from tests.model.evidence.examples import answer, evidence, points
from tests.report.evidence_examples import EXAMPLES, build


@pytest.mark.parametrize("name", EXAMPLES)
def test_text_of_each_example(golden: Golden, name: str) -> None:
    """At eighty columns, without colour."""
    golden(f"report/evidence-{name}.txt", render_evidence_terminal(EXAMPLES[name]()))


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("width", [40, 80, 160])
def test_lines_fit_the_terminal(name: str, width: int) -> None:
    """Whatever the names are."""
    for line in render_evidence_terminal(EXAMPLES[name](), width=width).splitlines():
        assert cells(line) <= width
        assert line.isprintable()


def test_the_names_of_default_queries_are_whole() -> None:
    """Eighty columns hold the longest, beside numbers as long as they come."""
    names = [query.name for queries in DEFAULT_QUERIES.values() for query in queries]
    course = Series({}, points("0.00012345", "1063004400.5"))
    told = render_evidence_terminal(evidence(*(answer(name, course) for name in names)))
    assert {line.split()[0] for line in told.splitlines() if line.startswith("  ")} >= set(names)


def test_what_failed_stands_out() -> None:
    """With colour, where there is one."""
    assert "\x1b[33m- broken: failed." in render_evidence_terminal(build(), colour=True)
    assert "\x1b" not in render_evidence_terminal(build())
