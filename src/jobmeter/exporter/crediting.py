"""Gives what each container uses to its job, once.

What is nested in a container is in its account too, and may be another job's: so each is credited for what it used
beyond those directly within. As the totals never fall, what is read of those within a moment later is made up for
by the next reading.
"""

from collections.abc import Collection
from typing import Protocol

from msgspec.structs import replace

from jobmeter.exporter.container import Row
from jobmeter.exporter.totals import Sums, Totals
from jobmeter.model.account import Account

_LEARNING_SECONDS = 2.0
"""So long the first word on a container that lives may be followed by a better one."""
_UNNAMED_SECONDS = 30.0
_DEEPEST = 64


class Credited(Protocol):
    """A container that uses something: not another one that has its path later."""

    @property
    def row(self) -> Row:
        """As it was read last."""
        ...

    @property
    def seen(self) -> float:
        """When it was noticed, by the clock of crediting."""
        ...

    @property
    def around(self) -> "Credited | None":
        """The one that it lies in."""
        ...


class Crediting:
    """Adds to ``totals``. ``kills_are_nested`` where the kernel counts OOM kills for the cgroups above too."""

    def __init__(self, totals: Totals, *, kills_are_nested: bool) -> None:
        self._totals = totals
        self._kills_are_nested = kills_are_nested
        # By container, not by path: another one may have the path while those within the first are still shown.
        self._credited: dict[Credited, tuple[Row, Sums | None]] = {}
        self._used: dict[Credited, Sums] = {}
        self._within: dict[Credited, Sums] = {}
        self._gone_within: dict[Credited, Sums] = {}
        self._earlier: set[Credited] = set()

    def begin(self, containers: Collection[Credited]) -> None:
        """These were there before anyone watched: what they have used and their jobs were the last watcher's to count.

        Prometheus takes a total that begins anew as grown from 0, so a restart would count them twice.
        """
        self._gather(containers)
        for one in containers:
            self._totals.start(one.row.path, self._own(one))
            self._earlier.add(one)

    def take_over(self, container: Credited) -> None:
        """Its job was another's to count; its account tells only what is used from here on."""
        self._earlier.add(container)

    def credit(
        self, containers: Collection[Credited], now: float, held: Collection[Credited] = frozenset()
    ) -> None:
        """Add what these, as read last, have used since: all, or one and all that lie in it, however deep.

        Those around were read before those within; those that are ``held`` get theirs another time.
        """
        self._gather(containers)
        for one in containers:
            if one not in held and not _is_held(one, now):
                self._credit(one)

    def finish(self, container: Credited, *, within: bool) -> None:
        """It is shown no more, and was credited since it ended; ``within`` if the one around it still is."""
        self._credit(container)
        if within:
            self._add_within(self._gone_within, container)
            self._add_beyond(self._gone_within, container)
        self._totals.forget(container.row.path)
        self._credited.pop(container, None)
        self._earlier.discard(container)
        for kept in (self._used, self._within, self._gone_within):
            kept.pop(container, None)

    def _gather(self, containers: Collection[Credited]) -> None:
        self._within = dict(self._gone_within)
        for one in containers:
            self._add_within(self._within, one)
        middle = [one for one in containers if one.around is not None and one in self._within]
        for one in sorted(middle, key=_depth, reverse=True):
            self._add_beyond(self._within, one)

    def _add_within(self, sums: dict[Credited, Sums], container: Credited) -> None:
        around = container.around
        if around is None:
            return
        before = self._used.get(container, Sums())
        used = before.plus(
            Sums.of(container.row.account).beyond(before)
        )  # What cannot be read was still used.
        self._used[container] = used
        if not self._kills_are_nested:
            used = replace(used, oom_kills=0)
        sums[around] = sums.get(around, Sums()).plus(used)

    def _add_beyond(self, sums: dict[Credited, Sums], container: Credited) -> None:
        """What lies in those within has been used around it too, also where that could not be read between them."""
        around, within = container.around, self._within.get(container)
        if around is not None and within is not None:
            beyond = within.beyond(self._used.get(container, Sums()))
            sums[around] = sums.get(around, Sums()).plus(beyond)

    def _credit(self, container: Credited) -> None:
        row, within = container.row, self._within.get(container)
        last = self._credited.get(container)
        if last is not None and last[0] is row and last[1] == within:
            return
        self._credited[container] = row, within
        self._totals.credit(
            container.row.path, row.identity.job, self._own(container), row.identity.execution,
            begun=container not in self._earlier,
        )  # fmt: skip

    def _own(self, container: Credited) -> Account:
        within = self._within.get(container)
        return container.row.account if within is None else _beyond(container.row.account, within)


def _depth(container: Credited) -> int:
    """In how many it lies, as far as it matters: a machine may say that two lie in each other."""
    depth, around = 0, container.around
    while around is not None and depth < _DEEPEST:
        depth, around = depth + 1, around.around
    return depth


def _is_held(container: Credited, now: float) -> bool:
    """Whether it may soon be known better whose it is."""
    row, age = container.row, now - container.seen
    if not row.identity.resolved:
        return age < _UNNAMED_SECONDS
    return row.ended is None and age < _LEARNING_SECONDS


def _beyond(account: Account, within: Sums) -> Account:
    """Its own use. Of bytes from one of those within to another, less than nothing may be left."""
    return replace(
        account,
        cpu_seconds=(account.cpu_seconds or 0.0) - within.cpu_seconds,
        network_received_bytes=(account.network_received_bytes or 0) - within.network_received_bytes,
        network_sent_bytes=(account.network_sent_bytes or 0) - within.network_sent_bytes,
        oom_kills=(account.oom_kills or 0) - within.oom_kills,
    )
