"""Runners that the forge does not know: a line for each, not one for each of its requests."""

import math
from collections import OrderedDict
from collections.abc import Callable

from jobmeter.ops.log import Log

_BETWEEN_SECONDS = 10.0
"""Strangers can make up as many runners as they like; who is passed over asks again, and then has its line."""
_MAX_REMEMBERED = 1000


class Refusals:
    """Tells of each runner, by its ``proof``, once that the forge refuses it, until it is taken again."""

    def __init__(self, log: Log, clock: Callable[[], float]) -> None:
        self._log = log
        self._clock = clock
        self._told = OrderedDict[str, None]()
        self._told_at = -math.inf

    def refused(self, proof: str, runner: str, client: str | None, sentence: str) -> None:
        """The forge has answered it so; ``client`` is its address."""
        now = self._clock()
        if proof in self._told or now - self._told_at < _BETWEEN_SECONDS:
            return
        self._told_at = now
        self._told[proof] = None
        if len(self._told) > _MAX_REMEMBERED:
            self._told.popitem(last=False)
        self._log.warn("the forge refuses a runner", runner=runner, client=client, error=sentence)

    def taken(self, proof: str) -> None:
        """The forge knows it."""
        self._told.pop(proof, None)
