"""What nobody takes for evidence."""

from __future__ import annotations

import pytest

from jobmeter.model.errors import EvidenceError
from jobmeter.model.evidence import bounds
from jobmeter.model.evidence.document import Evidence, Series, encode
from jobmeter.model.job import Job
from tests.model.evidence.examples import BEGIN, answer, evidence, points, whole_evidence


def test_what_a_referee_makes_is_taken() -> None:
    """Of every state, with every field."""
    bounds.check(whole_evidence())
    bounds.check(evidence())


def series(*pairs: tuple[int | float, str], **labels: str) -> Series:
    return Series(labels, pairs)


NO_NUMBERS = ("1_000", "\u0663", " 1", "1 ", "0x10", "infinity", "nan", "1e", "", ".")


@pytest.mark.parametrize("value", ["0", "-1.5", "1e-07", "1e+22", ".5", "5.", "NaN", "+Inf", "-Inf", "Inf"])
def test_what_prometheus_writes_is_a_number(value: str) -> None:
    """As Go's strconv has them."""
    assert bounds.is_number(value)


@pytest.mark.parametrize(
    "document, sentence",
    [
        (evidence(end_time="2019-12-31T23:59:59.999Z"), "before start_time"),
        (evidence(start_time="yesterday"), "'yesterday' is no time"),
        (evidence(asked_time=""), "'' is no time"),
        (evidence(step_seconds=-1.0), "step_seconds is -1.0"),
        (evidence(step_seconds=1e300), "step_seconds is 1e+300; accepted are seconds from 0 to 100000000000"),
        (evidence(tail_seconds=float("nan")), "tail_seconds is nan"),
        (evidence(answer("a", window_seconds=-1.0)), "queries[0].window_seconds is -1.0"),
        (evidence(*[answer("a")] * 201), "queries: there are 201; accepted are at most 200"),
        (evidence(problems=("x",) * 102), "problems: there are 102"),
        (evidence(problems=("x" * 1001,)), "problems has 1001 characters"),
        (evidence(selector="x" * 8193), "selector has 8193 characters"),
        (evidence(answer("x" * 8193)), "queries[0].name has 8193 characters"),
        (evidence(answer("a", reason="x" * 1001)), "queries[0].warnings has 1001 characters"),
        (evidence(answer("a", series_left_out=-1)), "queries[0]: what is left out"),
        (evidence(answer("a", *[Series({}, ())] * 1001)), "queries[0].series: there are 1001"),
        (
            evidence(answer("a", series(**{f"l{n}": "" for n in range(101)}))),
            "queries[0].series[0].labels: there",
        ),
        (evidence(answer("a", series(a="x" * 8193))), "queries[0].series[0].labels.a has 8193"),
        (
            evidence(answer("a", series((BEGIN, "1"), (BEGIN, "1")))),
            f"the time {BEGIN} is none, or not after",
        ),
        (evidence(answer("a", series((float("nan"), "1")))), "the time nan is none"),
        (evidence(answer("a", series((1e12, "1")))), "the time 1000000000000.0 is none"),
        (evidence(answer("a", series((BEGIN, "much")))), "'much' is no number"),
        (evidence(answer("a", series((BEGIN, "1" * 65)))), "is no number"),
        *((evidence(answer("a", series((BEGIN, wrong)))), "is no number") for wrong in NO_NUMBERS),
        (evidence(job=Job(job="x" * 8193)), "job.job has 8193 characters"),
        (evidence(job=Job(runner_labels=("x",) * 101)), "job.runner_labels: there are 101"),
        (evidence(job=Job(runner_labels=("x" * 8193,))), "job has 8193 characters"),
        (evidence(job=Job(matrix={"x": "y" * 8193})), "job has 8193 characters"),
        (evidence(job=Job(matrix={str(number): 1 for number in range(101)})), "job.matrix: there are 101"),
    ],
)
def test_what_is_too_large_or_cannot_be_drawn_is_refused(document: Evidence, sentence: str) -> None:
    """The sentence names the place and what is accepted."""
    with pytest.raises(EvidenceError) as refused:
        bounds.check(document)
    assert sentence in str(refused.value)


def test_all_points_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many queries they are in."""
    monkeypatch.setattr(bounds, "MAX_POINTS", 3)
    two = answer("a", Series({}, points("1", "2")))
    bounds.check(evidence(two))
    with pytest.raises(EvidenceError, match="points: there are 4; accepted are at most 3"):
        bounds.check(evidence(two, two))


@pytest.mark.parametrize(
    "text, sentence",
    [
        (b" " * (bounds.MAX_BYTES + 1), f"accepted are at most {bounds.MAX_BYTES}"),
        (b"[" * 1_000_001, "lists: there are 1000001"),
        (b'"' * 3_000_002, "texts: there are 1500001"),
    ],
)
def test_what_would_take_too_much_memory_is_not_even_decoded(text: bytes, sentence: str) -> None:
    """By its size, and by what may be in it."""
    bounds.check_text(encode(whole_evidence()))
    with pytest.raises(EvidenceError) as refused:
        bounds.check_text(text)
    assert sentence in str(refused.value)
