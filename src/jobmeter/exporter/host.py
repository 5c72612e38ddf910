"""A host as the exporter sees it: the machine, its containers, its other cgroups where they are shown, their page.

And the containers of other machines that someone tells it of.
"""

from collections.abc import Iterator, Mapping, Sequence

from jobmeter.exporter.container import Row
from jobmeter.exporter.elsewhere import RowSource
from jobmeter.exporter.exposition import Exposition
from jobmeter.exporter.fleet import Fleet
from jobmeter.exporter.groups import Groups
from jobmeter.exporter.machine import MachineReader, MachineUse
from jobmeter.exporter.scrapers import Asking


class Host:
    """Reads in one thread, and writes pages in others."""

    def __init__(
        self,
        fleet: Fleet,
        groups: Groups | None,
        machine: MachineReader,
        exposition: Exposition,
        sources: Sequence[RowSource] = (),
    ) -> None:
        """``sources`` credit to the totals of the fleet."""
        self._fleet = fleet
        self._sources = sources
        self._groups = groups
        self._machine = machine
        self._exposition = exposition
        self._use = MachineUse()

    @property
    def rows(self) -> Sequence[Row]:
        """The containers that are shown, those of the host itself first."""
        others = [row for source in self._sources for row in source.rows]
        return (*self._fleet.rows, *others) if others else self._fleet.rows

    @property
    def errors(self) -> Mapping[str, int]:
        """Readings that failed, by kind."""
        return self._fleet.errors

    @property
    def refused(self) -> int:
        """Containers beyond what is watched at most."""
        return self._fleet.refused

    @property
    def unwatched(self) -> int:
        """Cgroups whose coming and going is not told at once."""
        return self._fleet.unwatched

    @property
    def shown(self) -> int:
        """How many containers are shown."""
        return len(self.rows)

    @property
    def total_rows(self) -> int:
        """Rows of the totals of repositories."""
        return len(self._fleet.totals)

    def tick(self) -> None:
        """Read everything and publish it: the machine beside its containers, so that they can be compared."""
        self._fleet.tick()
        self._use = self._machine.read()
        for source in self._sources:
            source.tick()
        if self._groups is not None:
            self._groups.tick()

    def wait(self, seconds: float) -> None:
        """Follow who comes and ends until the time has passed or someone wakes it."""
        self._fleet.wait(seconds)

    def wake(self) -> None:
        """End the waiting that is under way, or the next one; from any thread."""
        self._fleet.wake()

    def page(self, scraper: Asking, openmetrics: bool) -> Iterator[str]:
        """The series as this scraper is to see them now."""
        groups = self._groups.rows if self._groups is not None else ()
        totals = self._fleet.totals.shown_to(scraper)
        return self._exposition.render(self.rows, groups, totals, machine=self._use, openmetrics=openmetrics)

    def close(self) -> None:
        """Give all descriptors back."""
        self._fleet.close()
        if self._groups is not None:
            self._groups.close()
