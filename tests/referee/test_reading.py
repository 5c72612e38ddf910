"""Answers of Prometheus and its kin as series, and a sentence for what is none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.model.evidence.document import Series
from jobmeter.referee.reading import Reading, Unreadable, joined, read, said

MANY_LABELS = {f"label_{number}": "" for number in range(101)}
VALUES = [[100, "1"], [110.5, "NaN"], [120.25, "+Inf"]]


def row(*values: list[Any], **labels: str) -> dict[str, Any]:
    return {"metric": labels, "values": list(values)}


def matrix(*rows: dict[str, Any], **more: Any) -> bytes:
    """An answer as Prometheus writes it."""
    data = {"resultType": "matrix", "result": list(rows)}
    return json.dumps({"status": "success", "data": data} | more).encode()


def of_type(kind: str, result: Any) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": result}}).encode()


def reading(body: bytes, max_series: int = 10, max_points: int = 100) -> Reading:
    return read(body, max_series=max_series, max_points=max_points)


def test_all_series_are_read_with_their_labels() -> None:
    """Values stay the texts they are, times have at most three decimals."""
    body = matrix(row(*VALUES, a="1"), row([100.0, "0"], a="2"), row([1.2345, "1e-05"]))
    first, second, third = reading(body).series
    assert first == Series({"a": "1"}, ((100, "1"), (110.5, "NaN"), (120.25, "+Inf")))
    assert second == Series({"a": "2"}, ((100, "0"),))
    assert isinstance(second.points[0][0], int)
    assert third == Series({}, ((1.234, "1e-05"),))


def test_more_remarks_than_anybody_reads() -> None:
    """Are not read, and the answer is taken for one in part."""
    found = reading(matrix(row(*VALUES), warnings=[""] * 10_001, infos=["PromQL info"]))
    assert found.warnings == ("The server makes more remarks than are read.", "PromQL info.")
    assert (len(found.series), found.partial) == (1, True)


def test_an_empty_matrix_is_no_failure() -> None:
    """There was nothing to see."""
    assert reading(matrix()) == Reading()


@pytest.mark.parametrize(
    "body, sentence",
    [
        (of_type("scalar", [1, "1"]), "The answer is a single number, which is no course over time."),
        (of_type("vector", []), "The answer is one moment, which is no course over time."),
        (of_type("string", [1, "a"]), "The answer is a text, which is no course over time."),
        (of_type("other", []), "The answer is of the type 'other', which is no course over time."),
        (b'{"status":"error","errorType":"timeout","error":"query timed\\nout."}',
         "The answer is an error: query timed out."),
        (b'{"status":"error"}', "The answer is an error: without a reason."),
        (b"{}", "The answer is an error: without a reason."),
        (b"", "The answer is not the JSON of a Prometheus, or not all of it."),
        (matrix(row(*VALUES))[:-20], "The answer is not the JSON of a Prometheus, or not all of it."),
        (b" <!DOCTYPE html><title>Grafana", "The answer is a page of HTML; is the address that of Prometheus?"),
        (b"[" * 100_000, "The answer is not the JSON of a Prometheus, or not all of it."),
        (b"\xff\xfe", "The answer is not the JSON of a Prometheus, or not all of it."),
        (of_type("matrix", [[1, "1"]]), "The answer is not the JSON of a Prometheus, or not all of it."),
        (matrix(row([1, 2])), "The answer is not the JSON of a Prometheus, or not all of it."),
        (matrix(row([1, "much"])), "The answer has a value that is no number: 'much'."),
        (matrix(row([1, "1" * 65])), f"The answer has a value that is no number: {'1' * 40!r}."),
        (matrix(row([1, "1_000"])), "The answer has a value that is no number: '1_000'."),
        (matrix(row([1, "1"], [1, "2"])), "The answer has points that are not in the order of their times."),
        (matrix(row([2, "1"], [1, "2"])), "The answer has points that are not in the order of their times."),
        (matrix(row([1.0001, "1"], [1.0002, "2"])),
         "The answer has points that are not in the order of their times."),
        (matrix(*[{}] * 200_001), "The answer has more than 100000 series, which are not read."),
        (matrix(row([1e12, "1"])), "The answer has a point at the time 1000000000000.0."),
        (matrix(row([-1, "1"])), "The answer has a point at the time -1."),
    ],
)  # fmt: skip
def test_what_is_no_course_over_time_has_a_sentence(body: bytes, sentence: str) -> None:
    """Never a traceback."""
    with pytest.raises(Unreadable) as failed:
        reading(body)
    assert str(failed.value) == sentence


@pytest.mark.parametrize(
    "more, partial, warnings",
    [
        ({"warnings": ["store 10.0.0.7 is away."]}, True, ("store 10.0.0.7 is away.",)),
        ({"isPartial": True}, True, ()),
        ({"isPartial": False, "stats": {}}, False, ()),
        ({"warnings": None}, False, ()),
        ({"warnings": ["PromQL warning: quantile"]}, False, ("PromQL warning: quantile.",)),
        (
            {"warnings": ["PromQL warning: b"], "infos": ["PromQL info: a", "of a later release"]},
            False,
            ("PromQL warning: b.", "PromQL info: a.", "of a later release."),
        ),
        ({"warnings": ["x\n" * 2000]}, True, (("x " * 500)[:998] + "….",)),
    ],
    ids=["Thanos", "VictoriaMetrics", "whole", "null", "about the query", "infos", "long"],
)
def test_what_a_server_says_of_its_answer_is_kept(
    more: dict[str, Any], partial: bool, warnings: tuple[str, ...]
) -> None:
    """An answer that is not whole says so."""
    found = reading(matrix(row(*VALUES), **more))
    assert (found.partial, found.warnings) == (partial, warnings)
    assert len(found.series) == 1


def test_series_above_the_limits_are_counted() -> None:
    """By number, and by points; smaller ones after them still have their place."""
    rows = [row(*([t, "1"] for t in range(count)), n=str(count)) for count in (3, 5, 2, 1)]
    few = reading(matrix(*rows), max_series=2)
    assert ([len(one.points) for one in few.series], few.series_left_out, few.points_left_out) == (
        [3, 5],
        2,
        3,
    )
    small = reading(matrix(*rows), max_points=5)
    assert ([len(one.points) for one in small.series], small.series_left_out, small.points_left_out) == (
        [3, 2], 2, 6,
    )  # fmt: skip


@pytest.mark.parametrize(
    "odd, sentence",
    [
        (row([1, "1"], a="x" * 8193), "Series with too many or too long labels are left out: 1."),
        (row([1, "1"], **MANY_LABELS), "Series with too many or too long labels are left out: 1."),
        ({"metric": {}, "histograms": [[1, {"count": "1"}]]}, "Series of native histograms are left out: 1."),
    ],
)  # fmt: skip
def test_series_that_are_left_out_for_themselves_are_told(odd: dict[str, Any], sentence: str) -> None:
    """The others are kept."""
    found = reading(matrix(odd, row([1, "2"])))
    assert found.warnings == (sentence,)
    assert (found.partial, found.series_left_out) == (False, 1)
    assert [one.points for one in found.series] == [((1, "2"),)]


@pytest.mark.parametrize(
    "body, text",
    [
        (b'{"status":"error","errorType":"bad_data","error":"invalid parameter"}', "invalid parameter"),
        (b'{"status":"error","errorType":"bad_data"}', "bad_data"),
        (b"<html>", ""),
        (b'{"error":"' + b"x" * 1000 + b'"}', "x" * 299 + "…"),
        (b'{"error":"a\\u001b[31mb\\nc"}', "a [31mb c"),
    ],
)
def test_the_text_of_an_error_is_bounded(body: bytes, text: str) -> None:
    """On one line, without control characters."""
    assert said(body) == text


def one(*points: tuple[float, str], **labels: str) -> Reading:
    return Reading((Series(labels, points),))


def test_parts_are_joined_without_doubled_points() -> None:
    """A series may begin, end or be missing in any of them."""
    parts = [one((1, "1"), (2, "2"), a="1"), one((2, "2"), (3, "3"), a="1"), one((4, "4"), a="2")]
    found = joined(parts, max_series=10, max_points=100)
    assert found.series == (
        Series({"a": "1"}, ((1, "1"), (2, "2"), (3, "3"))),
        Series({"a": "2"}, ((4, "4"),)),
    )


def test_limits_hold_for_all_parts_together() -> None:
    """A series of which a part is left out is not taken up again: a gap would look like silence."""
    parts = [
        one((1, "1"), (2, "2"), a="1"),
        one((3, "3"), a="2"),
        one((4, "4"), (5, "5"), a="1"),
        one((6, "6"), a="1"),
    ]
    found = joined(parts, max_series=1, max_points=3)
    assert found.series == (Series({"a": "1"}, ((1, "1"), (2, "2"))),)
    assert (found.series_left_out, found.points_left_out) == (1, 4)


def test_warnings_of_parts_are_told_once() -> None:
    """And one part that is not whole makes the whole so."""
    part = Reading((), ("a.",), True)
    assert joined([part, part, Reading()], max_series=1, max_points=1) == part


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """Nothing else is raised; no such bytes are a matrix."""
    with pytest.raises(Unreadable):
        reading(body)


def test_what_comes_again_is_kept_once() -> None:
    """Times and values of one answer: most series of a job are zero for long."""
    found = reading(matrix(*(row([1577836800.5, "0.125"], [1577836810, "0.125"], n=n) for n in "ab")))
    ((first, second), (again, _)) = (one.points for one in found.series)
    assert first[1] is second[1] is again[1]
    assert first[0] is again[0]
