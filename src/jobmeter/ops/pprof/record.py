"""What sampling adds up: a total of each stack, or each thread's way from stack to stack."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from jobmeter.ops.pprof.profile import Label, Quantity, Sample
from jobmeter.ops.pprof.stacks import Stack, Stacks
from jobmeter.ops.pprof.threads import SampledThread

QUANTITIES = (Quantity("samples", "count"), Quantity("cpu", "nanoseconds"), Quantity("wall", "nanoseconds"))


class Record(ABC):
    """Takes what a thread did at a stack; all times in nanoseconds, ``at_ns`` since the sampling began."""

    @abstractmethod
    def add(
        self, thread: SampledThread, stack: Stack, at_ns: int, *, cpu_ns: int = 0, wall_ns: int = 0
    ) -> None:
        """It used so much CPU there, or was there so long; CPU time comes with a sample to be counted."""

    @abstractmethod
    def samples(self, stacks: Stacks) -> Sequence[Sample]:
        """What was added, with `QUANTITIES`."""


class Totals(Record):
    """One sample for each stack of each name of a thread."""

    def __init__(self) -> None:
        self._totals: dict[tuple[str, Stack], list[int]] = {}

    def add(
        self, thread: SampledThread, stack: Stack, at_ns: int, *, cpu_ns: int = 0, wall_ns: int = 0
    ) -> None:
        """As `Record.add`."""
        total = self._totals.setdefault((thread.name, stack), [0, 0, 0])
        total[0] += cpu_ns > 0
        total[1] += cpu_ns
        total[2] += wall_ns

    def samples(self, stacks: Stacks) -> Sequence[Sample]:
        """As `Record.samples`; the label `thread` is the name."""
        return [
            Sample(stacks.frames(stack), tuple(total), (Label("thread", name),))
            for (name, stack), total in self._totals.items()
        ]


class _Stay:
    """What a thread did at one stack from ``start_ns`` on."""

    __slots__ = ("name", "stack", "start_ns", "total")

    def __init__(self, name: str, stack: Stack, start_ns: int) -> None:
        self.name = name
        self.stack = stack
        self.start_ns = start_ns
        self.total = [0, 0, 0]


class Timeline(Record):
    """One sample for each time a thread was seen at the same stack without being seen elsewhere."""

    def __init__(self) -> None:
        self._stays: list[_Stay] = []
        self._last: dict[SampledThread, _Stay] = {}

    def add(
        self, thread: SampledThread, stack: Stack, at_ns: int, *, cpu_ns: int = 0, wall_ns: int = 0
    ) -> None:
        """As `Record.add`; a look may tell of the time before it."""
        stay = self._last.get(thread)
        if stay is None or stay.stack != stack:
            stay = self._last[thread] = _Stay(thread.name, stack, at_ns)
            self._stays.append(stay)
        stay.start_ns = min(stay.start_ns, at_ns)
        stay.total[0] += cpu_ns > 0
        stay.total[1] += cpu_ns
        stay.total[2] += wall_ns

    def samples(self, stacks: Stacks) -> Sequence[Sample]:
        """As `Record.samples`, in the order of their beginnings, which are in the label `start`."""
        return [
            Sample(
                stacks.frames(stay.stack),
                tuple(stay.total),
                (Label("thread", stay.name), Label("start", number=stay.start_ns, unit="nanoseconds")),
            )
            for stay in sorted(self._stays, key=lambda one: one.start_ns)
        ]
