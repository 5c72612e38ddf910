"""The container part of a scrape, in the dialects that were chosen.

A whole answer is what ``Exposition.render`` gives, and after it the daemon's own metrics as prometheus_client writes
them: in OpenMetrics they end with the one `# EOF`, so they come last. No name is in both.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from jobmeter.exporter.container import Row
from jobmeter.exporter.dialects import DIALECTS
from jobmeter.exporter.dialects.cadvisor import CadvisorDialect
from jobmeter.exporter.dialects.dialect import Dialect, Snapshot
from jobmeter.exporter.dialects.ephemerd import EphemerdDialect
from jobmeter.exporter.dialects.jobmeter import JobmeterDialect
from jobmeter.exporter.machine import Machine, MachineUse
from jobmeter.exporter.totals import Of, Sums
from jobmeter.linux.block_devices import BlockDevices
from jobmeter.model.errors import UsageError

_NOT_READ = MachineUse()


class Exposition:
    """Writes series; for several threads at once.

    Where ``detailed``, the Fleet must be made so too; where ``with_groups``, someone must read Groups.
    """

    def __init__(
        self,
        dialects: Sequence[str] = ("jobmeter",),
        *,
        machine: Machine | None = None,
        sys_path: str = "/sys",
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``machine``, and names of devices from ``sys_path``, are told by the dialect `cadvisor` alone.

        Raises UsageError for a dialect that is not known.
        """
        makers: Mapping[str, Callable[[], Dialect]] = {
            "jobmeter": JobmeterDialect,
            "ephemerd": EphemerdDialect,
            "cadvisor": lambda: CadvisorDialect(machine or Machine(), BlockDevices(sys_path).name, clock),
        }
        for name in dialects:
            if name not in makers:
                raise UsageError(f"there is no dialect {name!r}; there are {', '.join(DIALECTS)}")
        self._dialects = [makers[name]() for name in dict.fromkeys(dialects)]
        self.detailed = any(one.detailed for one in self._dialects)
        self.with_groups = any(one.with_groups for one in self._dialects)

    def render(
        self,
        rows: Sequence[Row],
        groups: Sequence[Row],
        totals: Iterable[tuple[Of, Sums]],
        *,
        openmetrics: bool,
        machine: MachineUse = _NOT_READ,
    ) -> Iterator[str]:
        """The text of each family: of all containers, of ``groups`` where a dialect shows them, of totals of jobs.

        And of what the ``machine`` uses.
        """
        snapshot = Snapshot(rows, groups, totals, machine)
        for one in self._dialects:
            yield from one.render(snapshot, openmetrics=openmetrics)
