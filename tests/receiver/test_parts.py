"""What becomes of the body of a part: records, or one sentence."""

from __future__ import annotations

import json

import pytest

from jobmeter.ops.problems import Problem
from jobmeter.receiver.parts import parse

START = {
    "v": 1, "kind": "start", "run_uid": "u", "sequence": 0, "start_time": "2026-11-21T12:00:00Z",
    "monotonic_seconds": 1.0, "boot_id": None, "interval_seconds": 1.0, "version": "1", "meter": "run",
}  # fmt: skip


def start(**members: object) -> bytes:
    """A part that is the start of a run alone."""
    return json.dumps(START | members).encode() + b"\n"


def test_the_start_of_a_run_says_when_it_began() -> None:
    """In milliseconds since 1970."""
    parsed = parse("u", start(), gap=False)
    assert parsed is not None
    assert parsed.part.start_time == 1795262400000


@pytest.mark.parametrize(
    "members, sentence",
    [
        ({"start_time": "today"}, "start_time is 'today'"),
        ({"start_time": "0001-01-01T00:00:00+14:00"}, "start_time is '0001"),
        ({"job": {"runner_labels": ["x" * 100] * 1000}}, "`job` has 103"),
    ],
)
def test_what_the_start_of_a_run_may_not_say_is_named(members: dict[str, object], sentence: str) -> None:
    """Status 400, before anything is stored."""
    with pytest.raises(Problem) as raised:
        parse("u", start(**members), gap=False)
    assert raised.value.status == 400
    assert sentence in raised.value.detail
