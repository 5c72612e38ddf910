"""What is said of a query's answer."""

from __future__ import annotations

import pytest

from jobmeter.model.evidence.document import Series
from jobmeter.report.evidence_figures import MAX_SERIES, Answer, names_of
from tests.model.evidence.examples import answer, points


@pytest.mark.parametrize(
    "labels, names",
    [
        ([{}], [""]),
        ([{"cpu": "0", "job": "node"}], ["cpu=0, job=node"]),
        ([{"cpu": "0", "job": "node"}, {"cpu": "1", "job": "node"}], ["0", "1"]),
        (
            [{"cpu": "0", "mode": "user"}, {"cpu": "1", "mode": "idle"}],
            ["cpu=0, mode=user", "cpu=1, mode=idle"],
        ),
        ([{"id": "f" * 25, "name": "build"}, {"id": "0" * 25, "name": "redis"}], ["build", "redis"]),
        (
            [{"id": "0" * 25, "name": "a"}, {"id": "1" * 25, "name": "a"}, {"id": "2", "name": "b"}],
            [f"id={'0' * 25}, name=a", f"id={'1' * 25}, name=a", "id=2, name=b"],
        ),
        (
            [{"id": "0" * 24, "name": "a"}, {"id": "1" * 24, "name": "b"}],
            [f"id={'0' * 24}, name=a", f"id={'1' * 24}, name=b"],
        ),
        ([{"kind": "odd"}, {}], ["kind=odd", ""]),
        ([{"kind": "\n"}, {"kind": "x" * 100}], ["\\n", "x" * 79 + "…"]),
    ],
)
def test_series_are_told_apart_by_the_labels_that_differ(
    labels: list[dict[str, str]], names: list[str]
) -> None:
    """What all of them have in common is not repeated."""
    assert names_of([Series(one, ()) for one in labels]) == names


@pytest.mark.parametrize(
    "name, expression, value, told",
    [
        ("memory_bytes", "x", 1_610_612_736.0, "1.5 GiB"),
        ("memory_bytes", "x", -2048.0, "-2 KiB"),
        ("network_receive_bytes", "sum (rate(x[1m]))", 1024.0, "1 KiB/s"),
        ("cpu_seconds", "rate(x[1m])", 0.123456, "0.1235 cores"),
        ("cpu_seconds", "x", 1234.5, "1,234 s"),
        ("cpu_throttled_seconds", "rate(x[1m])", 0.5, "0.5 s/s"),
        ("io_pressure", "rate(x[1m])", 0.5, "0.5 s/s"),
        ("io_pressure", "x", 0.5, "0.5"),
        ("opens", "rate(x[1m])", 12345.6, "12,346/s"),
        ("context_switches", "x", 12345.6, "12,346"),
        ("total", "x", 1.5e12, "1.5e+12"),
        ("total", "x", None, ""),
    ],
)
def test_a_value_has_the_unit_that_its_name_tells(
    name: str, expression: str, value: float | None, told: str
) -> None:
    """Bytes are bytes, seconds of CPU a second are cores; of what is not known the number is told."""
    assert Answer(answer(name, expression=expression)).amount(value) == told


@pytest.mark.parametrize(
    "expression, per_second",
    [
        ("sum by (instance) (rate(x[1m])) / 1024", "/s"),
        ("irate (x[1m])", "/s"),
        ("deriv(x[1m])", "/s"),
        ("instance:node_disk_read_bytes:rate5m", "/s"),
        ("x{rule=\"rate(y)\"} + x{rule='rate(y)'} + x{rule=`rate(y)`}", ""),
        ('x{rule="\\"rate(y)"}', ""),
        ("rate(read_bytes_total[1m]) / rate(reads_total[1m])", ""),
        ("increase(x[1m])", ""),
        ("my_rate(x)", ""),
    ],
)
def test_an_expression_tells_whether_it_is_of_a_second(expression: str, per_second: str) -> None:
    """What stands in quotes is a label's value; one rate divided by another is of no time."""
    assert Answer(answer("memory_bytes", expression=expression)).per_second == per_second


def test_those_that_rise_highest_are_drawn() -> None:
    """In the order in which they came; how many are not is said."""
    series = [Series({"n": str(number)}, points(str(number % 25), "NaN")) for number in range(25)]
    found = Answer(answer("x", *series, series_left_out=3, points_left_out=1))
    assert found.chosen == list(range(5, 25))
    assert found.remarks() == [
        f"Drawn are the {MAX_SERIES} series that rise highest; 5 more are in the document.",
        "Left out of the document: 3 series, 1 point.",
        "25 points without a number (NaN, Inf): a gap.",
    ]


@pytest.mark.parametrize(
    "text, number", [("1e-05", 1e-05), ("NaN", None), ("+Inf", None), ("-Inf", None), ("1e305", None)]
)
def test_what_cannot_be_calculated_with_is_no_number(text: str, number: float | None) -> None:
    """It is not 0, and not the edge of a picture."""
    assert Answer(answer("x", Series({}, points(text)))).numbers == [[number]]
