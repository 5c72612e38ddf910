"""What is usual of a measure of a job: one rule for budgets, for comparisons and for pages.

Runs of a level that is over say nothing of the next one, so only those on the newest level count. Where it began is
looked for in more runs than count: the last few of a level that is over are too few to be told from noise.
"""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from jobmeter.model.history.levels import LEAST_RUNS, newest_level
from jobmeter.model.history.usage import Usage
from jobmeter.model.statistics import median, percentile

EARLIER_RUNS = 2 * LEAST_RUNS
"""So many runs before those that count are read. An older level that reaches into the ones that count has then as many
again as a level needs, so that it is found even where noise hides it for a run or two."""
_DEVIATIONS = 3


class Usual(Struct, frozen=True, kw_only=True):
    """Median and range of the runs on the newest level, in the measure's unit."""

    median: Annotated[float, Meta(description="Of these runs.")]
    low: Annotated[float, Meta(description="What they differ by anyway: from …")]
    high: Annotated[float, Meta(description="… to.")]
    runs: Annotated[int, Meta(description="How many they are.")]
    changed_from: Annotated[
        float | None,
        Meta(
            description="The median of the level before; null where it changed before all runs that count, or never."
        ),
    ] = None


class Known(NamedTuple):
    """What runs used of a measure, the oldest first: of the runs that count, and of those that were before them.

    What was not read is left out, and so are lower bounds, which would lower the median.
    """

    values: Sequence[float]
    earlier: Sequence[float] = ()

    def newest_level(self) -> tuple[Sequence[float], float | None]:
        """The values that count of the newest level, and the median of the level before.

        None where it changed before all of them, or never.
        """
        level, shift = newest_level([*self.earlier, *self.values])
        is_within = len(level) <= len(self.values)
        return level[-len(self.values) :], shift.before if shift is not None and is_within else None


def known_of(measured: str, runs: Sequence[Usage], most: int) -> Known:
    """Of runs in the order newest first, of which the first ``most`` count."""
    return Known(_in_full(measured, runs[:most]), _in_full(measured, runs[most:]))


def _in_full(measured: str, runs: Sequence[Usage]) -> list[float]:
    return [
        value
        for run in reversed(runs)
        if (value := run.measure(measured)) is not None and measured not in run.lower_bounds
    ]


def usual_of(known: Known) -> Usual | None:
    """What is usual after these runs; None where fewer than LEAST_RUNS of those that count tell it.

    The range holds the middle 90 % of the newest level, for runs of two kinds, and goes up to three median absolute
    deviations above its median, for few runs, of which the highest says little; down by the same ratio, so that it
    never reaches a nothing that nobody saw.
    """
    if len(known.values) < LEAST_RUNS:
        return None
    level, changed_from = known.newest_level()
    ascending = sorted(level)
    middle = median(ascending)
    reach = middle + _DEVIATIONS * median([abs(value - middle) for value in ascending])
    return Usual(
        median=middle,
        low=min(percentile(ascending, 5), middle * middle / reach if reach else 0.0),
        high=max(percentile(ascending, 95), reach),
        runs=len(ascending),
        changed_from=changed_from,
    )
