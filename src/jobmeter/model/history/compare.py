"""Two runs of a job, or the runs of two branches: what differs by more than runs of the same code do."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct

from jobmeter.model.history.digest import MEASURED, PastRun
from jobmeter.model.history.usual import Usual, known_of, usual_of
from jobmeter.model.statistics import median

Verdict = Literal["more", "less", "usual", "same", "unknown"]


class Difference(Struct, frozen=True, kw_only=True):
    """One measure of both sides: of one run its value, of several the median of those on the newest level."""

    measure: Annotated[str, Meta(description="duration (s), cpu_seconds, memory or network (bytes).")]
    before: Annotated[float | None, Meta(description="Null where it was not read.")]
    after: Annotated[float | None, Meta(description="Null where it was not read.")]
    before_runs: Annotated[int, Meta(description="So many runs say it.")] = 0
    after_runs: Annotated[int, Meta(description="So many runs say it.")] = 0
    lower_bounds: Annotated[
        tuple[str, ...], Meta(description="before, after: of these more was used than could be read.")
    ] = ()
    usual: Annotated[
        Usual | None, Meta(description="What runs like those before use; null where too few are known.")
    ] = None
    usual_runs: Annotated[int, Meta(description="So many runs like those before tell it in full.")] = 0
    low: Annotated[
        float | None,
        Meta(description="What runs differ by anyway, from here: usual, widened where before is beyond it …"),
    ] = None
    high: Annotated[float | None, Meta(description="… to here. Null where too few runs are known.")] = None
    verdict: Annotated[
        Verdict,
        Meta(
            description="usual: within what runs before differ by anyway; more, less: beyond it; unknown: not read, "
            "or there are too few runs to tell noise from a difference."
        ),
    ] = "unknown"


def differences(
    before: Sequence[PastRun], after: Sequence[PastRun], like_before: Sequence[PastRun], most: int
) -> list[Difference]:
    """Of each measure that a side tells; ``like_before`` are runs that say what is usual before the change.

    All are in the order newest first. Of each the first ``most`` count; the runs after them show where a level began.
    """
    return list(_differences(before, after, like_before, most))


class _Range(NamedTuple):
    """What runs differ by anyway, in the measure's unit."""

    low: float
    high: float


class _Told(NamedTuple):
    """What a side tells of a measure, and how many runs say so."""

    value: float | None
    runs: int
    is_lower_bound: bool


def _differences(
    before: Sequence[PastRun], after: Sequence[PastRun], like_before: Sequence[PastRun], most: int
) -> Iterator[Difference]:
    for measured in MEASURED:
        old, new = _told(measured, before, most), _told(measured, after, most)
        if old.value is None and new.value is None:
            continue
        known = known_of(measured, like_before, most)
        usual = usual_of(known)
        noise = None if usual is None else _around(usual, old.value)
        sides = (("before", old), ("after", new))
        yield Difference(
            measure=measured,
            before=old.value,
            after=new.value,
            before_runs=old.runs,
            after_runs=new.runs,
            lower_bounds=tuple(name for name, side in sides if side.is_lower_bound),
            usual=usual,
            usual_runs=len(known.values),
            low=None if noise is None else noise.low,
            high=None if noise is None else noise.high,
            verdict=_verdict(old, new, noise),
        )


def _told(measured: str, runs: Sequence[PastRun], most: int) -> _Told:
    known = known_of(measured, runs, most)
    if known.values:
        level, _ = known.newest_level()
        return _Told(median(level), len(level), False)
    bounds = [value for run in runs[:most] if (value := run.measure(measured)) is not None]
    return _Told(median(bounds) if bounds else None, len(bounds), bool(bounds))


def _verdict(old: _Told, new: _Told, noise: _Range | None) -> Verdict:
    """More may have been used than a lower bound: it proves that it was more, and of the side before less."""
    if old.value is None or new.value is None:
        return "unknown"
    is_exact = not (old.is_lower_bound or new.is_lower_bound)
    if is_exact and old.value == new.value:
        return "same"
    if noise is None:
        return "unknown"
    if new.value > noise.high and not old.is_lower_bound:
        return "more"
    if new.value < noise.low and not new.is_lower_bound:
        return "less"
    return "usual" if is_exact else "unknown"


def _around(usual: Usual, value: float | None) -> _Range:
    """What is usual beside a run before: one that was itself unusual does not make the next one a change."""
    if value is None:
        return _Range(usual.low, usual.high)
    if usual.low <= value <= usual.high or not usual.median:
        return _Range(min(usual.low, value), max(usual.high, value))
    share = value / usual.median
    return _Range(min(usual.low, usual.low * share), max(usual.high, usual.high * share))
