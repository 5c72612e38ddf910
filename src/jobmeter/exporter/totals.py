"""Totals per repository, workflow and job that live as long as the daemon, so that short jobs stay visible.

Prometheus takes the first value of a new series as where it begins: what a row holds when it is first scraped would
never be in an `increase()`. So a scraper that was here before a row was is shown it at 0 first.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from jobmeter.exporter.render import shown
from jobmeter.exporter.scrapers import Asking, Scrapers
from jobmeter.model.account import Account
from jobmeter.model.job import Job

MAX_ROWS = 1000
_MAX_JOBS = 10_000


class Of(NamedTuple):
    """Whose total it is; all three empty for what belongs to no job that is known."""

    repo: str = ""
    workflow: str = ""
    job: str = ""


OTHER = Of("other", "other", "other")
"""Takes what has no row of its own any more."""


class Sums(Struct, frozen=True, gc=False):
    """CPU time in seconds, network traffic in bytes, OOM kills and jobs."""

    cpu_seconds: float = 0.0
    network_received_bytes: int = 0
    network_sent_bytes: int = 0
    oom_kills: int = 0
    jobs: int = 0

    def plus(self, other: "Sums") -> "Sums":
        """Both together."""
        return Sums(
            self.cpu_seconds + other.cpu_seconds,
            self.network_received_bytes + other.network_received_bytes,
            self.network_sent_bytes + other.network_sent_bytes,
            self.oom_kills + other.oom_kills,
            self.jobs + other.jobs,
        )

    @classmethod
    def of(cls, account: Account) -> "Sums":
        """What a container has used since its beginning; what could not be read counts as nothing."""
        return cls(
            account.cpu_seconds or 0.0,
            account.network_received_bytes or 0,
            account.network_sent_bytes or 0,
            account.oom_kills or 0,
        )

    def beyond(self, before: "Sums") -> "Sums":
        """What has grown; a counter that fell has not."""
        return Sums(
            max(0.0, self.cpu_seconds - before.cpu_seconds),
            max(0, self.network_received_bytes - before.network_received_bytes),
            max(0, self.network_sent_bytes - before.network_sent_bytes),
            max(0, self.oom_kills - before.oom_kills),
        )


class Totals:
    """Adds up what containers use; at most ``max_rows`` rows and one for all others."""

    def __init__(self, max_rows: int = MAX_ROWS, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._max_rows = max_rows
        self._sums: dict[Of, Sums] = {}
        self._born: dict[Of, int] = {}
        self._births = 0
        self._credited: dict[str, Sums] = {}
        self._executions: OrderedDict[Job | str, None] = OrderedDict()
        self._scrapers = Scrapers(monotonic)

    def start(self, container: str, account: Account) -> None:
        """What it has used by now is never added."""
        self._credited[container] = Sums.of(account).beyond(Sums())

    def credit(
        self,
        container: str,
        job: Job | None,
        account: Account,
        execution: str | None = None,
        *,
        begun: bool = True,
    ) -> None:
        """Add what a container used since it was last credited; a counter that fell adds nothing.

        A job is counted once for each ``execution``; without one, for all that is known of it; and not at all if it
        has not ``begun`` since anyone counts.
        What is beyond those within dips when they are read a moment later: only what exceeds the highest value counts.
        """
        before = self._credited.get(container, Sums())
        grown = Sums.of(account).beyond(before)
        self._credited[container] = before.plus(grown)
        new = self._is_new(job, execution)
        self._add(job, replace(grown, jobs=1) if new and begun else grown)

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self._sums)

    def forget(self, container: str) -> None:
        """It is gone; another one of its name starts anew."""
        self._credited.pop(container, None)

    def shown_to(self, scraper: Asking) -> Iterator[tuple[Of, Sums]]:
        """All rows as this scraper is to see them now; for several threads at once."""
        whole = self._scrapers.scrape(scraper, self._births)
        for of, sums in list(self._sums.items()):
            yield of, sums if self._born[of] <= whole else Sums()

    def _add(self, job: Job | None, grown: Sums) -> None:
        of = _of(job) if job is not None else Of()
        if of not in self._sums and len(self._sums) >= self._max_rows:
            of = OTHER
        born = self._born.setdefault(of, self._births + 1)
        self._sums[of] = self._sums.get(of, Sums()).plus(grown)
        self._births = max(self._births, born)  # Last: a scraper has seen no row that is not there yet.

    def _is_new(self, job: Job | None, execution: str | None) -> bool:
        if job is None:
            return False
        key = job if execution is None else execution
        known = key in self._executions
        self._executions[key] = None
        self._executions.move_to_end(key)
        if len(self._executions) > _MAX_JOBS:
            self._executions.popitem(last=False)
        return not known


def _of(job: Job) -> Of:
    """By what labels say of it, so that no two rows have the same; one that calls itself OTHER is not in that row."""
    of = Of(shown(job.repository or ""), shown(job.workflow or ""), shown(job.job or ""))
    return of if of != OTHER else of._replace(job="")
