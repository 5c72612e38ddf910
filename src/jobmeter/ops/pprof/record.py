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


class Timeline(Record):
    """One sample for each time a thread was seen at the same stack without being seen elsewhere."""

    def __init__(self) -> None:
        self._stays: list[tuple[str, Stack, int, list[int]]] = []
        self._last: dict[SampledThread, tuple[Stack, list[int]]] = {}

    def add(
        self, thread: SampledThread, stack: Stack, at_ns: int, *, cpu_ns: int = 0, wall_ns: int = 0
    ) -> None:
        """As `Record.add`."""
        last = self._last.get(thread)
        if last is not None and last[0] == stack:
            total = last[1]
        else:
            total = [0, 0, 0]
            self._last[thread] = stack, total
            self._stays.append((thread.name, stack, at_ns, total))
        total[0] += cpu_ns > 0
        total[1] += cpu_ns
        total[2] += wall_ns

    def samples(self, stacks: Stacks) -> Sequence[Sample]:
        """As `Record.samples`, in the order of their beginnings, which are in the label `start`."""
        return [
            Sample(
                stacks.frames(stack),
                tuple(total),
                (Label("thread", name), Label("start", number=at_ns, unit="nanoseconds")),
            )
            for name, stack, at_ns, total in self._stays
        ]
