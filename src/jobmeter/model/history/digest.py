"""What the runs of a job say together: how they spread, which stand out, where their level changed, what was wasted."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from jobmeter.model.history.levels import LEAST_RUNS, newest_level, shifts
from jobmeter.model.history.usage import Reserved, Usage
from jobmeter.model.sizing.outliers import high_outliers
from jobmeter.model.statistics import Series, Statistic, median

WHOLE = ("success", "unknown")
"""How a run ended that shows what its job uses; a sidecar does not see how it ended."""


class PastRun(Usage, frozen=True, kw_only=True):
    """One run of a job."""

    run_uid: Annotated[str, Meta(description="The run's key.")]
    began_at: Annotated[
        str,
        Meta(description="RFC 3339, UTC: its start, or when it was first heard of where that is not known."),
    ]

    @property
    def is_whole(self) -> bool:
        """Whether it went to its end, as far as is known."""
        return self.exit_reason in WHOLE

    @property
    def is_failed(self) -> bool:
        """Whether it is known that it did not; how a run ended whose summary cannot be read is not."""
        return self.exit_reason is not None and not self.is_whole


MEASURED = ("duration", "cpu_seconds", "memory", "network")
"""What is followed over runs."""


class Spread(Struct, frozen=True, kw_only=True):
    """How one measure spreads over the whole runs, of whatever branch and level."""

    measure: Annotated[str, Meta(description="duration (s), cpu_seconds, memory or network (bytes).")]
    runs: Annotated[int, Meta(description="So many runs tell it.")]
    lower_bounds: Annotated[int, Meta(description="Of so many of them more was used than could be read.")]
    values: Annotated[Statistic, Meta(description="Over the runs, in the measure's unit.")]


class StandsOut(Struct, frozen=True, kw_only=True):
    """A run far above the others of its leg."""

    run_uid: Annotated[str, Meta(description="The run's key.")]
    measure: Annotated[str, Meta(description="What was high.")]
    value: Annotated[float, Meta(description="What it used.")]
    median: Annotated[float, Meta(description="What runs of this leg and level usually use.")]


class Level(Struct, frozen=True, kw_only=True):
    """Runs of a leg, one after the other, that use about the same."""

    measure: Annotated[str, Meta(description="Of what.")]
    leg: Annotated[str, Meta(description="The leg of the matrix; empty without one.")]
    median: Annotated[float, Meta(description="What the runs usually use.")]
    values: Annotated[Statistic, Meta(description="Over these runs, in the measure's unit.")]
    runs: Annotated[int, Meta(description="How many there are.")]
    lower_bounds: Annotated[int, Meta(description="Of so many of them more was used than could be read.")]
    first_run_uid: Annotated[str, Meta(description="The first of them.")]
    began_at: Annotated[str, Meta(description="When the first began.")]
    last_began_at: Annotated[str, Meta(description="When the last began.")]


class Change(Struct, frozen=True, kw_only=True):
    """From this run on a measure is on another level."""

    run_uid: Annotated[str, Meta(description="The first run of the new level.")]
    began_at: Annotated[str, Meta(description="When that run began.")]
    sha: Annotated[str | None, Meta(description="Its commit.")]
    leg: Annotated[str, Meta(description="The leg of the matrix; empty without one.")]
    measure: Annotated[str, Meta(description="What changed.")]
    before: Annotated[float, Meta(description="The median of the runs before, back to the change before.")]
    after: Annotated[float, Meta(description="The median from this run on.")]


class Waste(Struct, frozen=True, kw_only=True):
    """What was reserved for nothing, over the time of the runs that tell both; null where none does.

    What one run used beyond its reservation makes it no less that another run left its own unused.
    """

    runs: Annotated[int, Meta(description="So many runs tell what was reserved.")] = 0
    reserved: Annotated[float | None, Meta(description="Core-seconds, or byte-seconds.")] = None
    used: Annotated[float | None, Meta(description="The same, of what was used.")] = None
    unused: Annotated[
        float | None, Meta(description="The same, of what each run reserved and did not use.")
    ] = None
    partial: Annotated[
        int,
        Meta(
            description="Of so many of the runs it is not all: containers whose use was not read are not in it."
        ),
    ] = 0

    @property
    def share(self) -> float | None:
        """How much of what was reserved was not used, 0 to 1."""
        return self.unused / self.reserved if self.reserved and self.unused is not None else None


class Digest(Struct, frozen=True, kw_only=True):
    """Some runs of a job together.

    Levels, changes and runs that stand out are of one branch: those of another one are no change of the first.
    """

    runs: Annotated[int, Meta(description="How many.")]
    whole_runs: Annotated[
        int, Meta(description="Of these, those that went to their end; the rest is about them.")
    ]
    ref: Annotated[
        str | None,
        Meta(
            description="The git reference that levels, changes and runs that stand out are of, that of most whole "
            "runs; null when none has as many as a level needs: then they are of all runs."
        ),
    ]
    judged_runs: Annotated[int, Meta(description="How many whole runs these are.")]
    spreads: Annotated[tuple[Spread, ...], Meta(description="Of each measure that a run tells.")]
    stand_out: Annotated[tuple[StandsOut, ...], Meta(description="Runs far above the others, newest first.")]
    levels: Annotated[tuple[Level, ...], Meta(description="Of each measure and leg, oldest first.")]
    changes: Annotated[tuple[Change, ...], Meta(description="Where a level changed, newest first.")]
    cpu: Annotated[Waste, Meta(description="CPU reserved and used, of all runs.")]
    memory: Annotated[Waste, Meta(description="Memory reserved and needed, of all runs.")]

    @property
    def leg(self) -> str:
        """The leg that most of the runs are of that levels are told of; empty without any."""
        counts: Counter[str] = Counter()
        for level in self.levels:
            counts[level.leg] += level.runs
        return max(counts, key=counts.__getitem__, default="")

    def newest(self, measure: str) -> tuple[Level, Level | None] | None:
        """The newest level of that leg, and the one before it; None where no run tells the measure."""
        found = [level for level in self.levels if (level.measure, level.leg) == (measure, self.leg)]
        return (found[-1], found[-2] if len(found) > 1 else None) if found else None


def digest(runs: Sequence[PastRun]) -> Digest:
    """Of runs in the order newest first."""
    whole = [run for run in runs if run.is_whole]
    ref = judged_ref(whole)
    judged = [run for run in whole if ref is None or run.ref == ref]
    levels = [level for measured in MEASURED for level in _levels(judged, measured)]
    places = {run.run_uid: place for place, run in enumerate(whole)}
    return Digest(
        runs=len(runs),
        whole_runs=len(whole),
        ref=ref,
        judged_runs=len(judged),
        spreads=tuple(_spreads(whole)),
        stand_out=tuple(sorted(_outliers(levels), key=lambda one: places[one.run_uid])),
        levels=tuple(level.told for level in levels),
        changes=tuple(sorted(_changes(levels), key=lambda one: places[one.run_uid])),
        cpu=waste_of(runs, lambda run: run.reserved_cores),
        memory=waste_of(runs, lambda run: run.reserved_memory_bytes),
    )


def judged_ref(runs: Sequence[PastRun]) -> str | None:
    """The branch of most of the runs, the one that ran last where two have as many; None for all runs together.

    That is where no branch has as many as a level needs, as in a job that runs for pull requests alone.
    """
    counts = Counter(run.ref for run in runs)
    if len(counts) == 1:
        return runs[0].ref
    branches = [ref for ref, count in counts.items() if ref and count >= LEAST_RUNS and is_branch(ref)]
    return max(branches, key=counts.__getitem__, default=None)


def is_branch(ref: str) -> bool:
    """Whether a reference is that of a branch, and of no tag or pull request."""
    return ref.startswith("refs/heads/") or not ref.startswith("refs/")


class Judged(NamedTuple):
    """The whole runs that say what a job usually uses, newest first: of one branch, or of all, and of one leg."""

    ref: str | None
    leg: str
    runs: Sequence[PastRun]


def judged_of(runs: Sequence[PastRun]) -> Judged:
    """Of runs in the order newest first; the branch and the leg are those of their digest."""
    whole = [run for run in runs if run.is_whole]
    ref = judged_ref(whole)
    judged = [run for run in whole if ref is None or run.ref == ref]
    leg = _leg_of(judged)
    return Judged(ref, leg, [run for run in judged if run.leg == leg])


def _leg_of(runs: Sequence[PastRun]) -> str:
    """The one of which most is told, as ``Digest.leg`` counts it."""
    if len({run.leg for run in runs}) == 1:
        return runs[0].leg
    counts = Counter(
        run.leg for measured in MEASURED for run in reversed(runs) if run.measure(measured) is not None
    )
    return max(counts, key=counts.__getitem__, default="")


def level_now(runs: Sequence[PastRun], measured: str) -> Level | None:
    """The newest level of runs of one branch and leg, newest first; None where none tells the measure."""
    told = [(run, value) for run in reversed(runs) if (value := run.measure(measured)) is not None]
    if not told:
        return None
    level, _ = newest_level([value for _, value in told])
    return _level(measured, [run for run, _ in told[-len(level) :]], list(level)).told


class _Level(NamedTuple):
    """A level with its runs, oldest first, and their values."""

    told: Level
    known: list[PastRun]
    values: list[float]


def spread_of(measured: str, runs: Iterable[Usage]) -> Spread | None:
    """None where no run tells it."""
    series, lower = Series(), 0
    for run in runs:
        value = run.measure(measured)
        series.add(value)
        lower += value is not None and measured in run.lower_bounds
    if not len(series):
        return None
    return Spread(measure=measured, runs=len(series), lower_bounds=lower, values=series.statistic())


def waste_of(runs: Iterable[Usage], read: Callable[[Usage], Reserved]) -> Waste:
    """Weighted by how long the runs took."""
    count, partial, reserved, used, unused = 0, 0, 0.0, 0.0, 0.0
    for run in runs:
        one, seconds = read(run), run.duration_seconds
        if one.amount is None or one.used is None or one.unused is None or seconds is None:
            continue
        count += 1
        partial += one.partial
        reserved += one.amount * seconds
        used += one.used * seconds
        unused += one.unused * seconds
    return (
        Waste(runs=count, reserved=reserved, used=used, unused=unused, partial=partial) if count else Waste()
    )


def _spreads(runs: Sequence[PastRun]) -> Iterator[Spread]:
    for measured in MEASURED:
        spread = spread_of(measured, runs)
        if spread is not None:
            yield spread


def _levels(runs: Sequence[PastRun], measured: str) -> Iterator[_Level]:
    """Of each leg one after the other."""
    legs: dict[str, tuple[list[PastRun], list[float]]] = {}
    for run in reversed(runs):
        value = run.measure(measured)
        if value is not None:
            known, values = legs.setdefault(run.leg, ([], []))
            known.append(run)
            values.append(value)
    for known, values in legs.values():
        for begin, end in pairwise([0, *(shift.place for shift in shifts(values)), len(values)]):
            yield _level(measured, known[begin:end], values[begin:end])


def _level(measured: str, known: list[PastRun], values: list[float]) -> _Level:
    series = Series()
    for value in values:
        series.add(value)
    level = Level(
        measure=measured,
        leg=known[0].leg,
        median=median(values),
        values=series.statistic(),
        runs=len(known),
        lower_bounds=sum(measured in run.lower_bounds for run in known),
        first_run_uid=known[0].run_uid,
        began_at=known[0].began_at,
        last_began_at=known[-1].began_at,
    )
    return _Level(level, known, values)


def _changes(levels: Iterable[_Level]) -> Iterator[Change]:
    for old, new in pairwise(levels):
        if (old.told.measure, old.told.leg) == (new.told.measure, new.told.leg):
            run = new.known[0]
            yield Change(
                run_uid=run.run_uid,
                began_at=run.began_at,
                sha=run.sha,
                leg=run.leg,
                measure=new.told.measure,
                before=old.told.median,
                after=new.told.median,
            )


def _outliers(levels: Iterable[_Level]) -> Iterator[StandsOut]:
    """Within each level, so that a new level is not a row of outliers."""
    for level in levels:
        usual, far = high_outliers(level.values)
        for place in far:
            yield StandsOut(
                run_uid=level.known[place].run_uid,
                measure=level.told.measure,
                value=level.values[place],
                median=usual,
            )
