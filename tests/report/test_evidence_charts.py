"""Evidence is drawn on the time axis of its job, with gaps where nothing was seen."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.model.evidence.document import Evidence, Series
from jobmeter.report.charts import Chart
from jobmeter.report.evidence_charts import MAX_CHARTS, evidence_charts
from jobmeter.report.palette import LIGHT
from jobmeter.report.svg import draw
from tests.model.evidence.examples import BEGIN, answer, evidence, points
from tests.report.evidence_examples import EXAMPLES, build, course

LONG = {"end_time": "2020-01-01T00:16:40.000Z"}


def charts(document: Evidence, width: int = 846) -> list[Chart]:
    return evidence_charts(document, width=width, palette=LIGHT)


def lines(chart: Chart) -> list[list[tuple[float, float | None]]]:
    """What is drawn as lines."""
    layers: list[dict[str, Any]] = chart.spec["layer"]
    found = [layer for layer in layers if layer["mark"]["type"] == "line"]
    return [[(row["t"], row["v"]) for row in layer["data"]["values"]] for layer in found]


def test_each_query_with_numbers_has_a_chart() -> None:
    """By its name, with what is to be known of it, and, for who unfolds it, the expression that was sent."""
    found = {chart.title: chart for chart in charts(build())}
    assert list(found) == ["cpu_seconds", "memory_bytes", "disk_read_bytes", "drift", "away"]
    assert found["disk_read_bytes"].description == (
        "Drawn are the 20 series that rise highest; 10 more are in the document."
        " Left out of the document: 5 series, 460 points. 5 of its 35 series are left out: the limit is 30."
    )
    assert found["disk_read_bytes"].question == "rate(node_disk_read_bytes_total[1m])"
    assert found["away"].description.endswith("A store was away.")
    assert (found["cpu_seconds"].description, found["cpu_seconds"].about) == ("", "cpu_seconds")
    assert found["cpu_seconds"].spec["title"]["text"] == "cores"
    assert found["memory_bytes"].spec["title"]["text"] == "GiB"
    assert found["disk_read_bytes"].spec["title"]["text"] == "MiB/s"


def test_each_series_has_a_sign_of_its_own() -> None:
    """By colour and form; one without labels needs none."""
    cpu, memory, disks, *_ = charts(build())
    assert cpu.legend == ()
    assert [sign.label for sign in memory.legend] == ["a", "b"]
    assert len({(sign.colour, sign.form) for sign in disks.legend}) == len(disks.legend) == 20


@pytest.mark.parametrize("width", [846, 350])
def test_where_nothing_was_scraped_is_a_gap(width: int) -> None:
    """In a curve of every point, and in one of fewer points than there are."""
    (line,) = lines(charts(build(), width)[0])
    begin, end = 400.0, 490.0
    assert [time for time, value in line if value is None and begin <= time <= end]
    assert not [time for time, value in line if value is not None and begin < time < end]
    assert not [time for time, value in line if value is None and not begin <= time <= end]


def test_what_is_no_number_is_a_gap() -> None:
    """A value between two gaps is a dot."""
    drift = next(chart for chart in charts(build()) if chart.title == "drift")
    assert lines(drift)[1] == [(0, 4.0), (10, None), (20, 4.0), (30, None), (40, 4.0)]
    dots = [layer["data"]["values"] for layer in drift.spec["layer"] if layer["mark"]["type"] == "point"]
    assert dots == [[{"t": 0.0, "v": 4.0}, {"t": 20.0, "v": 4.0}, {"t": 40.0, "v": 4.0}]]


def test_the_axis_is_the_jobs_time_and_holds_negative_values() -> None:
    """As that of the charts of its run; points after its end are not drawn."""
    late = Series({}, tuple((BEGIN + seconds, str(-seconds)) for seconds in range(0, 2000, 10)))
    (chart,) = charts(evidence(answer("x", late), **LONG), 1500)
    encoding = chart.spec["layer"][0]["encoding"]
    assert encoding["x"]["scale"]["domain"] == [0, 1000.0]
    low, high = encoding["y"]["scale"]["domain"]
    assert low < -1000 <= 0 <= high
    assert lines(chart)[0][-1] == (1000, -1000)


@pytest.mark.parametrize("value, domain", [("0", [0, 1]), ("5", [0, 5.3]), ("-5", [-5.3, 0.3])])
def test_the_axis_has_zero_on_it(value: str, domain: list[float]) -> None:
    """And some room above what is drawn; of nothing but zero it goes to one."""
    (chart,) = charts(evidence(answer("x", Series({}, points(value, value, value, "7")))))
    assert chart.spec["layer"][0]["encoding"]["y"]["scale"]["domain"] == pytest.approx(domain)


@pytest.mark.parametrize(
    "highest, labels",
    [
        ("0.01", {"0", "0.002", "0.008", "0.01"}),
        ("20000", {"0", "5k", "10k", "15k", "20k"}),
        ("0.3", {"0", "0.1", "0.2", "0.3"}),
    ],
)
def test_the_axis_has_numbers_that_nobody_takes_for_others(highest: str, labels: set[str]) -> None:
    """Thousands are short, parts of one are written out."""
    (chart,) = charts(evidence(answer("x", Series({}, points("0", highest)))))
    assert labels <= set(re.findall(r">([^<>]+)</text>", draw(chart)))


def test_a_long_job_is_drawn_by_the_highest_of_each_moment() -> None:
    """As many points as can be seen; a peak is among them."""
    many = Series({}, tuple((BEGIN + n / 10, "9" if n == 7777 else "1") for n in range(10_000)))
    (chart,) = charts(evidence(answer("x", many, step_seconds=0.1), **LONG))
    (line,) = lines(chart)
    assert len(line) < 300
    assert max(value for _, value in line if value is not None) == 9
    assert None not in [value for _, value in line]
    assert chart.description == "Each moment shows its highest value."
    assert charts(evidence(answer("x", Series({}, many.points[:100]))))[0].description == ""


def test_what_is_always_zero_is_not_drawn() -> None:
    """A page of flat lines hides the others; one series that is not zero is enough, and so is a gap."""
    flat, other = Series({"n": "1"}, points("0", "-0")), Series({"n": "2"}, points("0", "1"))
    document = evidence(
        answer("flat", flat), answer("one", flat, other), answer("gap", Series({}, points("NaN")))
    )
    assert [chart.key for chart in charts(document)] == ["evidence-1"]


def test_points_at_the_edges_of_parts_make_no_gap() -> None:
    """As many parts as there are points but one: rounding puts two into one part, and none into the next."""
    whole = Series({}, points(*["1"] * 101))
    (chart,) = charts(evidence(answer("x", whole), **LONG), 400)
    assert None not in [value for _, value in lines(chart)[0]]


def test_pointing_at_a_moment_tells_the_values() -> None:
    """The highest first; where nothing was scraped there are none."""
    _, memory, *_ = charts(build())
    hints = [row["hint"] for row in memory.spec["layer"][-1]["data"]["values"]]
    assert hints[0].endswith("a: 2.79 GiB, b: 963 MiB")
    assert any(hint.endswith(": no data") for hint in hints)


def test_no_more_is_drawn_than_a_page_holds() -> None:
    """The first queries."""
    document = evidence(*(answer(f"q{number}", course(float)) for number in range(100)), **LONG)
    assert [chart.title for chart in charts(document)] == [f"q{number}" for number in range(MAX_CHARTS)]
    disks = charts(build())[2]
    assert sum(map(len, lines(disks))) <= 2400


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_can_be_drawn(name: str) -> None:
    """By the library itself."""
    for chart in charts(EXAMPLES[name]()):
        assert "<svg" in draw(chart)


times = st.lists(st.integers(0, 3000), min_size=1, max_size=60, unique=True).map(sorted)
values = st.one_of(st.floats().map(repr), st.sampled_from(["NaN", "+Inf", "-Inf", "0", "1e308"]))


@given(times, st.data(), st.sampled_from([0.0, 0.001, 10.0, 1e6]), st.integers(80, 2000))
def test_whatever_came_is_drawn_in_bounds(
    at: list[int], data: st.DataObject, step: float, width: int
) -> None:
    """No number that JSON cannot say, none outside of the job's time."""
    series = Series({}, tuple((BEGIN + second, data.draw(values)) for second in at))
    document = evidence(answer("x_bytes", series, step_seconds=step), **LONG)
    for chart in charts(document, width):
        assert b"null" not in msgspec.json.encode(chart.spec["layer"][0]["encoding"]["y"]["scale"])
        for line in lines(chart):
            assert all(0 <= time <= 1000 for time, _ in line)
            assert all(value is None or abs(value) < 1e300 for _, value in line)
        assert msgspec.json.decode(msgspec.json.encode(chart.spec))


def test_points_stand_at_their_time() -> None:
    """Seconds since the job's begin."""
    (chart,) = charts(evidence(answer("x", Series({}, points("1", "2", "3")))))
    assert lines(chart) == [[(0, 1), (10, 2), (20, 3)]]
