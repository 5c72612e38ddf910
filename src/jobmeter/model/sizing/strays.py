"""Containers that are not part of the job as it usually runs, as that of a run on a developer's machine."""

from collections.abc import Sequence

from jobmeter.model.sizing.figure import CONFIDENT_RUNS
from jobmeter.model.sizing.observation import Observation


def strays(runs: Sequence[Observation]) -> frozenset[str]:
    """Of the containers of runs, oldest first, those seldom seen, and never beside any that is seen more often.

    Containers of one run are of one kind, and so are all that share one. A kind that fewer than three runs had is a
    stray where another is known by three, unless the newest run of a leg is of it, which may be what runs next, or
    one of it was killed for want of memory. A new service is none, since it runs beside those that are known.
    """
    kinds: list[tuple[set[str], int]] = []
    for run in runs:
        kind, count = {use.name for use in run.containers}, 1
        if not kind:
            continue
        apart = []
        for other, seen in kinds:
            if kind.isdisjoint(other):
                apart.append((other, seen))
            else:
                kind |= other
                count += seen
        kinds = [*apart, (kind, count)]
    if all(count < CONFIDENT_RUNS for _, count in kinds):
        return frozenset()
    kept = _kept(runs)
    return frozenset(
        name for kind, count in kinds if count < CONFIDENT_RUNS and kept.isdisjoint(kind) for name in kind
    )


def _kept(runs: Sequence[Observation]) -> set[str]:
    """The containers of the newest run of each leg that had any, and those that were killed."""
    newest = {run.leg: {use.name for use in run.containers} for run in runs if run.containers}
    killed = {use.name for run in runs for use in run.containers if use.killed_at_bytes is not None}
    return killed.union(*newest.values())


def about_stray(name: str, runs: int) -> str:
    """The sentence about one of them, that so many runs had."""
    return f"{name} was in {'one run' if runs == 1 else f'{runs} runs'} only, and is not in the total."
