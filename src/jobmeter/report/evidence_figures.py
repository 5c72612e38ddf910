"""What can be said of a query's answer: its numbers, its unit, what its series are called."""

import math
import re
from collections.abc import Sequence
from functools import cached_property

from jobmeter.model.evidence.document import QueryAnswer, Series
from jobmeter.model.quantities import format_bytes
from jobmeter.report.text import clean, fit, plural

MAX_SERIES = 20
"""Of one query that are drawn or told: those that rise highest."""
_NAME_CELLS = 60
_LABEL_CELLS = 80
_LONG_CELLS = 24
"""Of a label's value: longer ones name a series only where the others do not."""
# Beyond this one cannot calculate any more.
_MOST = 1e300
_QUOTED = re.compile(r""" "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' | `[^`]*` """, re.VERBOSE)
_PER_SECOND = re.compile(r"(?<![\w:])(?:i?rate|deriv)\s*\(|:i?rate\d")


class Answer:
    """One query's answer, with its values as numbers."""

    def __init__(self, query: QueryAnswer) -> None:
        self.query = query

    @property
    def name(self) -> str:
        """What it is called, harmless and not too long."""
        return fit(clean(self.query.name), _NAME_CELLS) or "a query without a name"

    @property
    def is_bytes(self) -> bool:
        """Whether its values are bytes, as far as its name tells."""
        return self.query.name.endswith(("_bytes", "_bytes_per_second", "_bytes_total"))

    @property
    def per_second(self) -> str:
        """What stands after the unit where its values are of a second."""
        return "/s" if _is_per_second(self.query.expression) else ""

    @property
    def unit(self) -> str:
        """What stands after its numbers, as far as its name and its expression tell; nothing for bytes."""
        name = self.query.name
        if name.endswith("_seconds") or (name.endswith("_pressure") and self.per_second):
            is_use = name.endswith("cpu_seconds") and self.per_second
            return "cores" if is_use else f"s{self.per_second}"
        return "" if self.is_bytes else self.per_second

    @cached_property
    def numbers(self) -> list[list[float | None]]:
        """The values of each series; None for NaN, Inf and what cannot be drawn."""
        return [[_number(value) for _, value in one.points] for one in self.query.series]

    @property
    def has_numbers(self) -> bool:
        """Whether there is one."""
        return any(value is not None for of in self.numbers for value in of)

    @property
    def is_zero(self) -> bool:
        """Whether it has numbers and all of them are 0."""
        return self.has_numbers and not any(value for of in self.numbers for value in of)

    @cached_property
    def chosen(self) -> list[int]:
        """The places of the series that are drawn, in the order of the document."""
        peaks = [max((value for value in of if value is not None), default=-math.inf) for of in self.numbers]
        highest = sorted(range(len(peaks)), key=lambda place: -peaks[place])
        return sorted(highest[:MAX_SERIES])

    @cached_property
    def series_names(self) -> list[str]:
        """What each series is called: by the labels in which they differ."""
        return names_of(self.query.series)

    @property
    def no_numbers(self) -> int:
        """Points that are NaN, Inf or cannot be drawn."""
        return sum(value is None for of in self.numbers for value in of)

    def remarks(self) -> list[str]:
        """What is to be known of it, one sentence each."""
        query, said = self.query, []
        if query.reason:
            said.append(query.reason)
        left = len(query.series) - len(self.chosen)
        if left:
            said.append(
                f"Drawn are the {MAX_SERIES} series that rise highest; {left:,} more are in the document."
            )
        if query.series_left_out or query.points_left_out:
            what = f"{plural(query.series_left_out, 'series')}".replace("serieses", "series")
            said.append(f"Left out of the document: {what}, {plural(query.points_left_out, 'point')}.")
        if self.no_numbers:
            said.append(f"{plural(self.no_numbers, 'point')} without a number (NaN, Inf): a gap.")
        return [clean(each) for each in (*said, *query.warnings)]

    def amount(self, value: float | None) -> str:
        """A value with its unit; nothing for None."""
        return f"{self.brief(value)} {self.unit}".replace(" /", "/").strip() if value is not None else ""

    def brief(self, value: float | None) -> str:
        """The same for where there is little room: only bytes have their unit."""
        if value is None:
            return ""
        if self.is_bytes:
            sign = "-" if value < 0 else ""
            return f"{sign}{format_bytes(abs(value))}{self.per_second}"
        return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"


def names_of(series: Sequence[Series]) -> list[str]:
    """Names of series that are told apart by the labels in which they differ; of one alone all its labels, if any.

    A label as long as a container's id is left out where the others tell them apart.

    >>> names_of([Series({"cpu": "0", "job": "node"}, ()), Series({"cpu": "1", "job": "node"}, ())])
    ['0', '1']
    """
    keys = sorted({key for one in series for key in one.labels})
    differing = _telling([key for key in keys if len({one.labels.get(key) for one in series}) > 1], series)
    if len(differing) == 1 and all(one.labels.get(differing[0]) for one in series):
        named = [one.labels[differing[0]] for one in series]
    else:
        named = [
            ", ".join(f"{key}={one.labels[key]}" for key in differing or keys if key in one.labels)
            for one in series
        ]
    return [fit(clean(each), _LABEL_CELLS) for each in named]


def _telling(keys: list[str], series: Sequence[Series]) -> list[str]:
    """Without those of long values, where the others tell the series apart as well."""
    short = [key for key in keys if all(len(one.labels.get(key, "")) <= _LONG_CELLS for one in series)]
    names = {tuple(one.labels.get(key, "") for key in short) for one in series}
    return short if short and len(names) == len(series) else keys


def _is_per_second(expression: str) -> bool:
    """As far as it tells: it has a rate, or a recording rule called one, that is not divided by another."""
    dividend, *divisors = _QUOTED.sub('""', expression).split("/")
    return bool(_PER_SECOND.search(dividend)) and not any(map(_PER_SECOND.search, divisors))


def _number(text: str) -> float | None:
    value = float(text)
    return value if abs(value) < _MOST else None
