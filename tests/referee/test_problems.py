"""What is said of an asking as a whole."""

from __future__ import annotations

import pytest

from jobmeter.model.evidence.document import QueryAnswer, Series
from jobmeter.referee.problems import answer_problems, query_problems, time_problems
from jobmeter.referee.queries import NamedQuery
from tests.model.evidence.examples import answer, points
from tests.referee.server import options

HOST = 'instance=~"vm(:[0-9]+)?"'
NO_HOST = (
    f"No query found any series of {{{HOST}}}: is that how Prometheus calls the host? To Debian's its own is "
    "localhost:9100, and within a container this machine's name is the container's id."
)
FULL = Series({}, points("1"))


def empty(name: str, window: float = 0.0) -> QueryAnswer:
    return answer(name, window_seconds=window)


def full(name: str, window: float = 0.0) -> QueryAnswer:
    return answer(name, FULL, window_seconds=window)


@pytest.mark.parametrize(
    "answers, selector, sentences",
    [
        ([empty("a"), empty("b", 60)], HOST, [NO_HOST]),
        (
            [empty("a")],
            'pod="x"',
            [
                'No query found any series of {pod="x"}: are those the labels that Prometheus shows at its targets?'
            ],
        ),
        ([empty("a"), full("b", 60)], HOST, []),
        ([empty("a"), answer("b", state="failed")], HOST, []),
        ([], HOST, []),
    ],
    ids=["host", "pod", "some", "not answered", "no query"],
)
def test_a_selector_that_finds_nothing_is_told(
    answers: list[QueryAnswer], selector: str, sentences: list[str]
) -> None:
    """With what may be wrong with it."""
    assert list(answer_problems(answers, selector, 600, 15)) == sentences


@pytest.mark.parametrize(
    "answers, sentences",
    [
        (
            [full("up"), empty("a", 10), empty("b", 10)],
            [
                "'a' and 1 more: a rate over 10 s is empty where Prometheus scrapes every 15 s, as it needs two "
                "scrapes; {rate_interval} has them, and so has {interval} from --interval 30s on."
            ],
        ),
        ([full("up"), empty("a", 30)], []),
        ([full("up"), full("a", 10)], []),
    ],
    ids=["less than two scrapes", "two", "with data"],
)
def test_a_rate_over_too_little_is_told(answers: list[QueryAnswer], sentences: list[str]) -> None:
    """It has nothing at any time."""
    assert list(answer_problems(answers, HOST, 600, 15)) == sentences


@pytest.mark.parametrize(
    "answers, length, sentences",
    [
        (
            [full("a", 31), full("b"), full("c", 60), empty("d", 600)],
            20.04,
            [
                "'a' and 1 more: a point is of the 60 s before it, and the job took 20 s, so that it tells of the time "
                "before the job too."
            ],
        ),
        ([full("a", 45), full("b")], 44.2, []),
    ],
    ids=["longer", "as long"],
)
def test_a_rate_over_more_than_the_job_is_told(
    answers: list[QueryAnswer], length: float, sentences: list[str]
) -> None:
    """Its points are of other times too."""
    assert list(answer_problems(answers, HOST, length, 15)) == sentences


def test_a_long_selector_is_cut() -> None:
    """A sentence is to be read."""
    (sentence,) = answer_problems([empty("a")], f'pod="{"x" * 5000}"', 600, 15)
    assert len(sentence) < 400


@pytest.mark.parametrize("count, said", [(1, "1 query above"), (2, "2 queries above")])
def test_one_query_is_no_queries(count: int, said: str) -> None:
    """As it is spoken."""
    queries = [NamedQuery(f"q{number}", "up") for number in range(200 + count)]
    (sentence,) = query_problems(options("http://x", queries))
    assert sentence.startswith(said)


def test_times_that_cannot_be_are_told() -> None:
    """Of a job that ended before it began, or after it was asked about."""
    assert len(list(time_problems(10, 5, 6))) == 1
    assert len(list(time_problems(5, 10, 9))) == 1
    assert list(time_problems(5, 10, 10)) == []
