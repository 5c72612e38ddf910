"""Who scrapes, and which rows each has seen begin."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

MAX_SCRAPERS = 64
YOUNG_SECONDS = 300.0
"""So long after our start a server may have scraped the one that was here before us."""
HELD_GAPS = 2.5
"""For so many of the longest gaps between its scrapes a row is held at 0.

Behind one name may be two or three servers, as behind the one address of a network: they ask at the same interval, each
at its own moment. From the scrape of the first to that of the last there are at most two gaps.
"""
HELD_SCRAPES = 8
"""A row is held for no more scrapes than that: a server that was away for an hour has a gap of an hour."""


class Asking(NamedTuple):
    """Who asks: a ``name``, and whether it is a server that keeps series, as Prometheus, rather than a person."""

    name: str
    keeps: bool = False


class _Scrape(NamedTuple):
    moment: float
    births: int


class _Scraper:
    """One name. ``whole`` is the number of the last row that it sees as it is."""

    def __init__(self, whole: int) -> None:
        self.whole = whole
        self._scrapes: deque[_Scrape] = deque()

    def scrapes(self, now: float, births: int) -> None:
        self._scrapes.append(_Scrape(now, births))
        if len(self._scrapes) > HELD_SCRAPES:
            self.whole = max(self.whole, self._scrapes.popleft().births)
        pairs = pairwise(one.moment for one in self._scrapes)
        longest = max((after - before for before, after in pairs), default=0.0)
        held = now - HELD_GAPS * longest
        # What was shown whole stays so, also when the gaps grow.
        self.whole = max([self.whole, *(one.births for one in self._scrapes if one.moment < held)])


class Scrapers:
    """The last MAX_SCRAPERS that asked, by name; for several threads at once.

    Rows are known by their number, in the order of their birth.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._young_until = monotonic() + YOUNG_SECONDS
        self._known: OrderedDict[str, _Scraper] = OrderedDict()
        self._lock = threading.Lock()

    def scrape(self, asking: Asking, births: int) -> int:
        """It asks now, when so many rows were born: up to which one it is shown what there is, and of the rest 0.

        To one that is new everything: the whole would otherwise look like growth of a moment; but not while what it
        knows may be of our predecessor. To any other each row is shown at 0 until all that may be behind the name have
        seen it.
        """
        now = self._monotonic()
        with self._lock:
            is_ours = not asking.keeps or now >= self._young_until
            scraper = self._known.setdefault(asking.name, _Scraper(births if is_ours else 0))
            self._known.move_to_end(asking.name)
            if len(self._known) > MAX_SCRAPERS:
                self._known.popitem(last=False)
            scraper.scrapes(now, births)
            return scraper.whole
