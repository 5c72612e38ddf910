"""How often one may come: a bucket of tokens for each, that fills again with time, in bounded memory."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from ipaddress import IPv6Address, ip_address

from jobmeter.ops.problems import Problem

_MOST = 10_000


class Buckets:
    """``per_second`` for each key, and so many at once as come in ``burst_seconds``; 0 is no limit.

    Whoever has not come for longest is forgotten when there are too many, and begins anew.
    """

    def __init__(
        self,
        per_second: float,
        burst_seconds: float = 10.0,
        *,
        most: int = _MOST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_second = per_second
        self._size = max(1.0, per_second * burst_seconds)
        self._most = most
        self._clock = clock
        self._left: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def take(self, key: Hashable) -> float:
        """Take one: 0 when there was one, else the seconds until there is."""
        if not self._per_second:
            return 0.0
        now = self._clock()
        left, at = self._left.pop(key, (self._size, now))
        left = min(self._size, left + (now - at) * self._per_second)
        wait = 0.0 if left >= 1 else (1 - left) / self._per_second
        self._left[key] = (left if wait else left - 1, now)
        if len(self._left) > self._most:
            self._left.popitem(last=False)
        return wait

    def give_back(self, key: Hashable) -> None:
        """Undo one that was taken."""
        if key in self._left:
            left, at = self._left[key]
            self._left[key] = (min(self._size, left + 1), at)


def too_many(what: str, wait: float) -> Problem:
    """The problem 429 of who has to wait so many seconds."""
    return Problem(429, f"{what}; come more slowly.", headers={"Retry-After": str(math.ceil(wait))})


def neighbourhood(address: str) -> str:
    """The address, or the network of one over IPv6: who has one of them has all of them."""
    try:
        known = ip_address(address)
    except ValueError:
        return address
    if not isinstance(known, IPv6Address) or known.ipv4_mapped is not None:
        return address
    return known.exploded[:19]
