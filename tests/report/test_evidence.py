"""Evidence in words: what was seen, and what could not be had."""

from __future__ import annotations

import pytest

from jobmeter.model.evidence.document import Evidence, Series
from jobmeter.report.evidence import circumstances, outcome, remarks, render_evidence_markdown, tone
from jobmeter.report.markdown import MAX_MARKDOWN_BYTES
from tests.conftest import Golden
from tests.model.evidence.examples import answer, evidence, points
from tests.report.evidence_examples import EXAMPLES, build, hostile, nothing

ONE = answer("one", Series({}, points("1")))


@pytest.mark.parametrize("name", EXAMPLES)
def test_markdown_of_each_example(golden: Golden, name: str) -> None:
    """For the summary page of a job."""
    golden(f"report/evidence-{name}.md", render_evidence_markdown(EXAMPLES[name]()))


@pytest.mark.parametrize(
    "document, told, kind",
    [
        (evidence(), "nothing was asked", "bad"),
        (nothing(), "0 of 1 queries have data", "bad"),
        (evidence(ONE), "the query has data", "good"),
        (evidence(ONE, ONE), "all 2 queries have data", "good"),
        (evidence(ONE, answer("empty")), "1 of 2 queries has data", "good"),
        (evidence(ONE, answer("broken", state="failed")), "1 of 2 queries has data", "warn"),
        (evidence(ONE, problems=("Its clock differs.",)), "the query has data", "good"),
        (evidence(ONE, answer("empty"), problems=("Its clock differs.",)), "1 of 2 queries has data", "warn"),
    ],
)
def test_how_much_was_had(document: Evidence, told: str, kind: str) -> None:
    """That there is no series of something is no fault."""
    assert (outcome(document), tone(document)) == (told, kind)


def test_who_was_asked_and_what_about() -> None:
    """In UTC, whatever zone a sender tells times in."""
    document = evidence(ONE, start_time="2020-01-01T02:00:00+02:00")
    assert circumstances(document) == (
        "http://prometheus.example:9090 was asked at 2020-01-01 00:00:21 UTC about "
        '{instance="runner-1"} from 2020-01-01 00:00:00 UTC to 2020-01-01 00:00:20 UTC, a point every 10 s.'
    )


@pytest.mark.parametrize(
    "more, told",
    [
        ({"tail_open": True, "tail_seconds": 15.0}, "of the last 15 s of the job points may be missing."),
        ({"tail_open": True, "tail_seconds": 6000.0}, "of all of the job points may be missing."),
        ({"tail_open": True}, "of the end of the job points may be missing."),
        ({"problems": ("The budget is over.",)}, "The budget is over."),
    ],
)
def test_what_has_to_be_known_is_said(more: dict[str, object], told: str) -> None:
    """One sentence each, and nothing else."""
    (remark,) = remarks(evidence(**more))
    assert remark.text.endswith(told)


@pytest.mark.parametrize("count, told", [(3, ()), (4, (
    "Numbers are of the job's time and of the 15 s after it, in which its last moments were scraped; "
    "charts end with the job.",
))])  # fmt: skip
def test_points_after_the_end_are_told_of(count: int, told: tuple[str, ...]) -> None:
    """They are no part of the job's time."""
    course = Series({}, points(*["1"] * count))
    document = evidence(
        answer("one", course), answer("none"), answer("two", Series({}, ())), tail_seconds=15.0
    )
    assert tuple(each.text for each in remarks(document)) == told


def test_how_far_back_a_point_looks_is_told() -> None:
    """Of a rate, which is no moment."""
    document = evidence(answer("a", window_seconds=60.0), answer("b", window_seconds=31.0), answer("c"))
    assert circumstances(document).endswith(
        "a point every 10 s. A point of a rate is of the time before it, up to 1 m 00 s."
    )


def test_markdown_is_bounded_and_harmless() -> None:
    """Whatever the names are, and however many."""
    series = [Series({"n": "`" * 400 + str(number)}, points("1")) for number in range(1000)]
    large = evidence(*(answer(f"<b>{number}", *series, expression="|" * 8000) for number in range(200)))
    assert len(render_evidence_markdown(large).encode()) <= MAX_MARKDOWN_BYTES
    assert "<img" not in render_evidence_markdown(hostile())
    assert "\x1b" not in render_evidence_markdown(hostile())
    assert len(render_evidence_markdown(build()).encode()) < 10_000
