"""Two runs of a job, or the runs of two branches: what differs by more than runs of the same code do."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from jobmeter.model.budgets.judgement import spread_of
from jobmeter.model.history.digest import MEASURED, PastRun
from jobmeter.model.statistics import percentile

Verdict = Literal["more", "less", "usual", "same", "unknown"]


class Difference(Struct, frozen=True, kw_only=True):
    """One measure of both sides: of one run its value, of several their median."""

    measure: Annotated[str, Meta(description="duration (s), cpu_seconds, memory or network (bytes).")]
    before: Annotated[float | None, Meta(description="Null where it was not read.")]
    after: Annotated[float | None, Meta(description="Null where it was not read.")]
    usual_low: Annotated[float | None, Meta(description="What runs like those before differ by: from …")] = (
        None
    )
    usual_high: Annotated[float | None, Meta(description="… to; null where too few are known.")] = None
    usual_runs: Annotated[int, Meta(description="So many runs say what is usual.")] = 0
    verdict: Annotated[
        Verdict,
        Meta(
            description="usual: within what runs before differ by anyway; more, less: beyond it; unknown: not read, "
            "or there are too few runs to tell noise from a difference."
        ),
    ] = "unknown"


def differences(
    before: Sequence[PastRun], after: Sequence[PastRun], like_before: Sequence[PastRun]
) -> list[Difference]:
    """Of each measure that a side tells; ``like_before`` are runs that say what is usual before the change."""
    return list(_differences(before, after, like_before))


def _differences(
    before: Sequence[PastRun], after: Sequence[PastRun], like_before: Sequence[PastRun]
) -> Iterator[Difference]:
    for measured in MEASURED:
        old, new = _median(measured, before), _median(measured, after)
        if old is None and new is None:
            continue
        usual = _values(measured, like_before)
        spread = spread_of(usual)
        yield Difference(
            measure=measured,
            before=old,
            after=new,
            usual_low=spread.low if spread else None,
            usual_high=spread.high if spread else None,
            usual_runs=len(usual),
            verdict=_verdict(old, new, (spread.low, spread.high) if spread else None),
        )


def _verdict(old: float | None, new: float | None, usual: tuple[float, float] | None) -> Verdict:
    if old is None or new is None:
        return "unknown"
    if old == new:
        return "same"
    if usual is None:
        return "unknown"
    low, high = usual
    # A run before that was itself unusual does not make the next one a change.
    return "more" if new > max(high, old) else "less" if new < min(low, old) else "usual"


def _values(measured: str, runs: Sequence[PastRun]) -> list[float]:
    return [value for run in runs if (value := run.measure(measured)) is not None]


def _median(measured: str, runs: Sequence[PastRun]) -> float | None:
    values = _values(measured, runs)
    return percentile(sorted(values), 50) if values else None
