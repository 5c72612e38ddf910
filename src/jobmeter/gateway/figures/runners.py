"""The runners that are known, by their forge and what they are called there."""

import time
from collections.abc import Callable, Iterator

from jobmeter.gateway.figures.events import Event, Fetched, Identity
from jobmeter.gateway.figures.runner import RunnerFigures
from jobmeter.gateway.figures.totals import Totals
from jobmeter.gateway.figures.words import MAX_CHARACTERS, shown

MAX_RUNNERS = 1000
SILENT_SECONDS = 3600.0
"""A runner that has nothing to do asks every few seconds; one that is silent for so long and runs nothing is gone.

Of one that is drained nothing is told, since the forge is not asked for it: it stays.
"""
_SHORT = 8
_UUID = 36
"""Characters of a uuid as text."""


Key = tuple[str, str]
"""A forge's name and the key of a runner there: a registration may be copied from one forge to another."""


class Runners:
    """Takes what is told of runners; at most ``max_runners`` are kept."""

    def __init__(
        self,
        totals: Totals | None = None,
        *,
        max_runners: int = MAX_RUNNERS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.totals = totals or Totals()
        self.clock = clock
        self._max_runners = max_runners
        self._known: dict[Key, RunnerFigures] = {}
        self._names: dict[Key, str] = {}
        self._told_at: dict[Key, float] = {}

    def tell(self, identity: Identity, event: Event, forge: str = "") -> None:
        """Something happened to a runner of this forge. One that the forge does not know is not taken for a new one."""
        key = (forge, identity.key)
        if key not in self._known:
            if isinstance(event, Fetched) and event.outcome == "unauthenticated":
                return
            if len(self._known) >= self._max_runners:
                self._forget(min(self._known, key=self._importance))
            self._known[key] = RunnerFigures(identity.key, self.clock(), self.totals, forge)
        self._told_at[key] = self.clock()
        self._names[key] = shown(identity.name) or _short(identity.key)
        self._known[key].apply(event)

    def shown(self) -> dict[str, RunnerFigures]:
        """All by their names, the longest known first; one whose name is taken has a part of its key behind it."""
        gone = self.clock() - SILENT_SECONDS
        for key in [key for key, told in self._told_at.items() if told < gone]:
            if not (self._known[key].running or self._known[key].draining):
                self._forget(key)
        every: dict[str, RunnerFigures] = {}
        for key, figures in self._known.items():
            name = next(name for name in self._names_for(key) if name not in every)
            every[name] = figures
        return every

    def _names_for(self, key: Key) -> Iterator[str]:
        """More than there are runners; none too long for a label."""
        name = self._names[key]
        yield name
        for end in (_short(key[1]), shown(key[1])[:_UUID], *range(2, len(self._known) + 2)):
            yield f"{name[: MAX_CHARACTERS - _UUID - 1]}-{end}"

    def _importance(self, key: Key) -> tuple[bool, float]:
        known = self._known[key]
        return bool(known.running) or known.draining, self._told_at[key]

    def _forget(self, key: Key) -> None:
        del self._known[key], self._names[key], self._told_at[key]


def _short(key: str) -> str:
    return short_name(key) or "unnamed"


def short_name(key: str) -> str:
    """The beginning of a uuid, or of a token, as AlloyCI's runner shows its own."""
    return shown(key.removeprefix("token:"))[:_SHORT]
