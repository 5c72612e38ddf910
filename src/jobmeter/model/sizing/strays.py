"""Containers that are not part of the job as it usually runs, as that of a run on a developer's machine."""

from collections.abc import Iterable

from jobmeter.model.sizing.figure import CONFIDENT_RUNS


def strays(together: Iterable[Iterable[str]]) -> frozenset[str]:
    """Of the containers of each run those seldom seen, and never beside any that is seen more often.

    Containers of one run are of one kind, and so are all that share one. A kind that fewer than three runs had is
    strange where another is known by three: a new service is not, since it runs beside those that are known.
    """
    kinds: list[tuple[set[str], int]] = []
    for names in together:
        kind, runs = set(names), 1
        if not kind:
            continue
        apart = []
        for other, count in kinds:
            if kind.isdisjoint(other):
                apart.append((other, count))
            else:
                kind |= other
                runs += count
        kinds = [*apart, (kind, runs)]
    if all(runs < CONFIDENT_RUNS for _, runs in kinds):
        return frozenset()
    return frozenset(name for kind, runs in kinds if runs < CONFIDENT_RUNS for name in kind)


def told(name: str, runs: int) -> str:
    """The sentence about one of them, that so many runs had."""
    return f"{name} was in {'one run' if runs == 1 else f'{runs} runs'} only, and is not in the total."
