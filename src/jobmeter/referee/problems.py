"""What is said of an asking as a whole, beside what is said of each query; a sentence each."""

import re
from collections.abc import Iterator, Sequence

from jobmeter.model.evidence.bounds import MAX_QUERIES
from jobmeter.model.evidence.document import QueryAnswer
from jobmeter.referee.options import RefereeOptions
from jobmeter.referee.queries import repeated
from jobmeter.referee.spans import Plan

_MAX_SELECTOR = 200
_INSTANCE = re.compile(r"\binstance\s*[=!]")


def clock_problems(ahead_seconds: float | None) -> Iterator[str]:
    """Of a clock of Prometheus that is so far ahead of this machine's; None while they agree."""
    if ahead_seconds is not None:
        yield (
            f"The clock of Prometheus is {abs(ahead_seconds):.0f} s "
            f"{'ahead of' if ahead_seconds > 0 else 'behind'} this machine's: what it saw may belong to another time."
        )


def time_problems(start: float, end: float, asked_at: float) -> Iterator[str]:
    """Of the times of a job, in seconds since 1970."""
    if end < start:
        yield "The job's end is before its start; its start was asked for."
    if end > asked_at:
        yield "The job's end was still to come when Prometheus was asked."


def plan_problems(plan: Plan, options: RefereeOptions, max_points: int) -> Iterator[str]:
    """Of points that are further apart than was asked for."""
    if plan.step_seconds > options.interval:
        yield (
            f"Points are {plan.step_seconds:g} s apart, not {options.interval:g} s, so that a series has no more than "
            f"{max_points}."
        )


def query_problems(options: RefereeOptions) -> Iterator[str]:
    """Of what was configured to be asked."""
    for name in repeated(options.queries[:MAX_QUERIES]):
        yield f"More than one query is called {name[:80]!r}."
    left_out = len(options.queries) - MAX_QUERIES
    if left_out > 0:
        yield f"{counted(left_out, 'query', 'queries')} above the limit of {MAX_QUERIES} were not asked."


def answer_problems(
    answers: Sequence[QueryAnswer], selector: str, length: float, scrape_seconds: float
) -> Iterator[str]:
    """Of what the answers of a job of so many seconds have in common."""
    states = {answer.state for answer in answers}
    if states == {"empty"}:
        yield _nothing(selector)
    blind = [answer for answer in answers if answer.state == "empty" and answer.window_seconds > 0]
    blind = [answer for answer in blind if answer.window_seconds < 2 * scrape_seconds]
    if blind:
        yield (
            f"{_named(blind)}: a rate over {blind[0].window_seconds:g} s is empty where Prometheus scrapes every "
            f"{scrape_seconds:g} s, as it needs two scrapes; {{rate_interval}} has them, and so has {{interval}} from "
            f"--interval {2 * scrape_seconds:g}s on."
        )
    # A range is of whole seconds.
    wide = [answer for answer in answers if answer.series and answer.window_seconds >= length + 1]
    if wide:
        most = max(answer.window_seconds for answer in wide)
        yield (
            f"{_named(wide)}: a point is of the {most:g} s before it, and the job took {round(length, 1):g} s, so that "
            "it tells of the time before the job too."
        )


def counted(count: int, one: str, more: str) -> str:
    """As `1 query`, `2 queries`."""
    return f"{count} {one if count == 1 else more}"


def _nothing(selector: str) -> str:
    chosen = selector if len(selector) <= _MAX_SELECTOR else f"{selector[: _MAX_SELECTOR - 1]}…"
    hint = (
        "is that how Prometheus calls the host? To Debian's its own is localhost:9100, and within a container this "
        "machine's name is the container's id."
        if _INSTANCE.search(selector)
        else "are those the labels that Prometheus shows at its targets?"
    )
    return f"No query found any series of {{{chosen}}}: {hint}"


def _named(answers: Sequence[QueryAnswer]) -> str:
    first = repr(answers[0].name[:80])
    return first if len(answers) == 1 else f"{first} and {len(answers) - 1} more"
