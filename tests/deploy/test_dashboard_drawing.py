"""The picture of a dashboard shows what its queries gave."""

from __future__ import annotations

import re
from typing import Any

import pytest

from scripts.dashboards.asking import Answer, Series, Span, filled
from scripts.dashboards.chart import lines_of, specification
from scripts.dashboards.drawing import html, shown
from scripts.dashboards.grafana import CORES, Column, Query, dashboard, row, series, stat, table

SPAN = Span(0, 60, 10)
MIB = 1024 * 1024


def course(*values: float, start: int = 0, **labels: str) -> Series:
    return Series(labels, tuple((start + 10.0 * number, value) for number, value in enumerate(values)))


def draw(panel: dict[str, Any], *answers: Answer) -> str:
    page = dashboard("jobmeter-test", "test", "A page.", [panel])
    return html(page, [(page["panels"][0], answers)], SPAN)


def test_lines_are_named_by_their_legends() -> None:
    """With mean and highest value in the panel's unit, the highest first."""
    panel = series("Memory", "It.", Query("x", "{{name}}"), unit="bytes")
    page = draw(
        panel, Answer("x", "{{name}}", (course(1 * MIB, 3 * MIB, name="low"), course(8 * MIB, name="<b>")))
    )

    assert re.findall(r"</i>(.*?)</td><td>(.*?)</td><td>(.*?)</td>", page) == [
        ("&lt;b&gt;", "8 MiB", "8 MiB"),
        ("low", "2 MiB", "3 MiB"),
    ]
    assert "<svg" in page


def test_number_has_the_colour_of_its_threshold() -> None:
    """The newest value; without one, 0."""
    panel = stat("OOM kills", "They.", "x", steps=[(1, "red")])

    assert 'style="color: #c1272d">2<' in draw(panel, Answer("x", "", (course(0, 2),)))
    assert ">0<" in draw(panel, Answer("x", "", ()))


def test_table_has_a_row_for_each_set_of_labels() -> None:
    """Sorted by the first column; what has no value is empty; of one name there may be two."""
    panel = table("T", "It.", {"name": "Name"}, [Column("CPU", "x", CORES), Column("Memory", "y", "bytes")])
    cores = (course(1, name="a", id="1"), course(2, name="b", id="2"), course(0.5, name="a", id="3"))
    page = draw(panel, Answer("x", "", cores), Answer("y", "", (course(MIB, name="a", id="1"),)))

    assert [re.findall(r"<t[hd]>(.*?)</t[hd]>", one) for one in re.findall(r"<tr>(.*?)</tr>", page)] == [
        ["Name", "CPU", "Memory"],
        ["b", "2.00 cores", ""],
        ["a", "1.00 cores", "1 MiB"],
        ["a", "0.50 cores", ""],
    ]


def test_heading_and_places_are_the_dashboards() -> None:
    """A row is a heading, a panel lies where the grid says."""
    page = dashboard("jobmeter-test", "test", "A page.", [row("Part"), stat("N", "It.", "x", width=6)])
    drawn = html(page, [(panel, ()) for panel in page["panels"]], SPAN)

    assert '<h3 style="grid-area: 2 / 1 / span 1 / span 24">Part</h3>' in drawn
    assert '<section style="grid-area: 3 / 1 / span 4 / span 6"><h2>N</h2>' in drawn


def test_limit_is_a_red_dashed_line_and_a_gap_stays_one() -> None:
    """As in Grafana; what is stacked has 0 in a gap, and its limit is not on top of it but across."""
    answers = [
        Answer("x", "cpu", (Series({}, ((0.0, 1.0), (40.0, 1.0))),)),
        Answer("y", "cpu limit", (course(2),)),
    ]
    plain = series("CPU", "It.", unit=CORES, steps=[(1.5, "orange")])
    stacked = series("CPU", "It.", unit=CORES, stacked=True)
    lines = lines_of(answers)
    drawn = specification(plain, lines, SPAN, 400, 100)["layer"]

    assert [(line.is_limit, line.colour) for line in lines] == [(False, "#1f63b5"), (True, "#c1272d")]
    assert [one["v"] for one in drawn[0]["data"]["values"] if one["line"] == "0"] == [1.0, None, 1.0]
    assert drawn[1]["encoding"]["y"]["datum"] == 1.5
    areas, limits = specification(stacked, lines, SPAN, 400, 100)["layer"]
    assert [one["v"] for one in areas["data"]["values"]] == [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]
    assert [(one["line"], one["v"]) for one in limits["data"]["values"]] == [("1", 2.0)]
    assert limits["encoding"]["y"]["stack"] is None


@pytest.mark.parametrize(
    "unit, value, text",
    [
        (CORES, 1.234, "1.23 cores"),
        ("bytes", 3 * MIB, "3 MiB"),
        ("binBps", 1536.0, "1.5 KiB/s"),
        ("percentunit", 0.426, "43 %"),
        ("s", 75.0, "1 m 15 s"),
        ("short", 7.0, "7"),
        ("short", 1234567.0, "1,234,567"),
    ],
)
def test_values_have_their_units(unit: str, value: float, text: str) -> None:
    """As a person reads them."""
    assert shown(unit, value) == text


def test_variables_of_grafana_are_put_in() -> None:
    """A rate spans four scrapes at least, and never less than a step and a scrape."""
    query = 'sum(rate(x{repo=~"$repo"}[$__rate_interval])) > increase(x[$__range])'

    assert filled(query, {"repo": "a"}, SPAN, 10) == 'sum(rate(x{repo=~"a"}[40s])) > increase(x[60s])'
    assert filled("$__rate_interval", {}, Span(0, 3600, 60), 10) == "70s"
