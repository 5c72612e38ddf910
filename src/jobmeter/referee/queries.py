"""Queries by their names, and what their placeholders stand for."""

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

from jobmeter.model.errors import UsageError
from jobmeter.model.evidence.bounds import MAX_TEXT

_PLACEHOLDER = re.compile(r"\{(selector|interval|range|rate_interval)\}")
_WORD = re.compile(r"\{[A-Za-z_]\w*\}")
"""What is no matcher, and so nothing of PromQL either."""
_SCRAPES = 4
"""A rate needs two scrapes; with four it outlives one that is missed, whenever the first of them comes."""
_LEAST_SCRAPES = 2
_JITTER_SECONDS = 1.0
_QUOTED = re.compile(r"""\"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`""", re.DOTALL)
_RANGE = re.compile(r"\[\s*((?:\d{1,12}(?:ms|[smhdwy]))+)\s*[:\]]")
_AMOUNT = re.compile(r"(\d+)(ms|[smhdwy])")
_UNIT_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}


class NamedQuery(NamedTuple):
    """One query of PromQL, and the name that its answer has."""

    name: str
    text: str


class Terms(NamedTuple):
    """What placeholders stand for; a selector is matchers without braces, as ``instance="runner-1"``.

    ``range_seconds`` is the job's length, ``scrape_seconds`` how often a target is scraped.
    """

    selector: str
    interval_seconds: float
    range_seconds: float
    scrape_seconds: float


def parse_query(text: str) -> NamedQuery:
    """The query of ``name:PromQL``: the name ends at the first colon, and may be empty. Raises UsageError."""
    name, colon, query = text.partition(":")
    if not colon:
        raise UsageError(f"{text[:60]!r} has no colon; accepted is a name, a colon and a query, as up:up")
    return named(name, query)


def named(name: str, text: str) -> NamedQuery:
    """A query with its name. Raises UsageError for one that nobody could ask."""
    if not text.strip():
        raise UsageError(f"the query {name[:60]!r} is empty; accepted is PromQL")
    for word in _WORD.findall(_PLACEHOLDER.sub("", _QUOTED.sub("", text))):
        raise UsageError(
            f"the query {name[:60]!r} has {word[:60]}, which is not known; accepted are {{selector}}, {{interval}}, "
            "{rate_interval} and {range}"
        )
    for one in (name, text):
        if len(one) > MAX_TEXT:
            raise UsageError(f"the query {name[:60]!r} has {len(one)} characters; accepted are {MAX_TEXT}")
    return NamedQuery(name, text)


def expand(query: str, terms: Terms) -> str:
    """The query as it is sent. What a placeholder stands for is not looked at again.

    ``{selector}`` is the matchers; ``{interval}`` the time between two points; ``{range}`` the job's length, at least
    the interval; ``{rate_interval}`` what a rate can be made of at any time: the interval, at least four scrapes, or
    the length of a shorter job, at least two scrapes, as the time before a job is not the job's.
    """
    interval = max(terms.interval_seconds, 1.0)
    least = _LEAST_SCRAPES * terms.scrape_seconds + _JITTER_SECONDS
    rate = min(max(least, terms.range_seconds), _SCRAPES * terms.scrape_seconds)
    values = {
        "selector": terms.selector,
        "interval": _whole(interval),
        "range": _whole(max(terms.range_seconds, interval)),
        "rate_interval": _whole(max(interval, rate)),
    }
    return _PLACEHOLDER.sub(lambda match: values[match[1]], query)


def window_seconds(expression: str) -> float:
    """The longest range that it looks back at any time, as 60 of ``rate(x[1m])``; 0 without any."""
    ranges = _RANGE.findall(_QUOTED.sub("", expression))
    return max(map(_seconds, ranges), default=0.0)


def repeated(queries: Iterable[NamedQuery]) -> list[str]:
    """Names that more than one query has, each once."""
    seen: dict[str, int] = {}
    for query in queries:
        seen[query.name] = seen.get(query.name, 0) + 1
    return [name for name, count in seen.items() if count > 1]


def _seconds(duration: str) -> float:
    return sum(int(count) * _UNIT_SECONDS[unit] for count, unit in _AMOUNT.findall(duration))


def _whole(seconds: float) -> str:
    # A millisecond more than a whole second is no reason to ask for a second more.
    return f"{math.ceil(round(seconds, 2))}s"
