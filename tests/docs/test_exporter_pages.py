"""What the pages say of the exporter's series is what it shows."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from jobmeter.exporter.exposition import Exposition
from scripts.series import PAGE as SERIES
from scripts.series import written
from tests.exporter.cadvisor_page import PAGE as CADVISOR
from tests.exporter.cadvisor_page import Query, queries
from tests.exporter.reading import read
from tests.exporter.rows import GROUPS, MACHINE, ROWS, TOTALS, USE

DOCS = Path(__file__).parents[2] / "docs"
VARIABLES = dict.fromkeys(
    ("cluster", "namespace", "pod", "node", "type", "host", "container", "interval"), "1m"
)
QUERIES = queries(VARIABLES)


def shown(dialect: str) -> dict[str, set[str]]:
    """Labels by the names of series."""
    made = Exposition((dialect,), machine=MACHINE)
    found: dict[str, set[str]] = {}
    for one in read("".join(made.render(ROWS, GROUPS, TOTALS, machine=USE, openmetrics=False))):
        found.setdefault(one.name, set()).update(one.labels)
    return found


def test_tables_of_series_are_what_the_code_says() -> None:
    """`make golden` rewrites them."""
    page = SERIES.read_text()
    if os.environ.get("JOBMETER_GOLDEN") == "write":
        SERIES.write_text(written(page))
    assert written(page) == SERIES.read_text(), "run `make golden` and read the change"


@pytest.mark.parametrize("dialect", ["jobmeter", "ephemerd", "cadvisor"])
def test_every_series_is_on_the_page(dialect: str) -> None:
    """With its name."""
    page = SERIES.read_text()
    assert [name for name in shown(dialect) if f"`{name}`" not in page] == []


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.shows)
def test_what_a_dashboard_asks_for_is_there(query: Query) -> None:
    """The families of each query, with the labels that it needs."""
    there = shown("cadvisor")
    for family in query.own_families:
        assert query.labels <= there[family], family


def test_the_page_of_queries_is_read() -> None:
    """All of its tables."""
    assert len(QUERIES) > 150
    assert sum(query.record is not None for query in QUERIES) == 6


def test_what_is_not_offered_is_not_there() -> None:
    """The page tells the truth of what is left out."""
    _, _, after = CADVISOR.read_text().partition("## What is not offered")
    names = re.findall(r"`((?:container|cadvisor)_\w+)`", after.partition("\n## ")[0])
    assert names
    assert set(names) & shown("cadvisor").keys() == set()


def test_queries_name_series_that_there_are() -> None:
    """Of our own namespace."""
    text = (DOCS / "exporter-queries.md").read_text()
    blocks = "".join(re.findall(r"```promql\n(.*?)```", text, re.DOTALL))
    names = set(re.findall(r"\bjobmeter_\w+", blocks))
    assert names - shown("jobmeter").keys() == set()
