"""What a dialect is given, and what it writes."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from jobmeter.exporter.container import Row
from jobmeter.exporter.machine import MachineUse
from jobmeter.exporter.render import outermost
from jobmeter.exporter.totals import Of, Sums


class Snapshot(NamedTuple):
    """What there is at a scrape: containers, cgroups that are none, totals as this scraper sees them, the machine."""

    rows: Sequence[Row]
    groups: Sequence[Row]
    totals: Iterable[tuple[Of, Sums]]
    machine: MachineUse


class Dialect(Protocol):
    """Writes a snapshot in someone's names; for several threads at once."""

    detailed: bool
    """Whether rows must tell of each interface, each device and what is set on the cgroup itself."""
    with_groups: bool
    """Whether it shows cgroups that are no containers."""

    def render(self, snapshot: Snapshot, *, openmetrics: bool) -> Iterator[str]:
        """The text of each of its families."""
        ...


def one_of_each_id(rows: Sequence[Row]) -> list[Row]:
    """No two with the same id on one machine."""
    return list(outermost((row.key, row) for row in rows).values())
