"""The last N runs of a job, kept so that one more run costs the same however many there were.

Advice depends on counts and maxima alone; the maximum of a sliding window is the head of a queue of falling values.
"""

from collections import deque
from typing import Generic, TypeVar

from jobmeter.model.sizing.figure import Aggregate, Figure, figure, largest
from jobmeter.model.sizing.observation import ContainerUse, Observation
from jobmeter.model.sizing.parameters import CpuPercentile, Parameters

Number = TypeVar("Number", int, float)


class SlidingMax(Generic[Number]):
    """The largest of the values whose place is within the window; None values are not there."""

    __slots__ = ("_falling",)

    def __init__(self) -> None:
        self._falling: deque[tuple[int, Number]] = deque()

    def push(self, place: int, value: Number | None) -> None:
        """Add the value of a place; places only grow."""
        if value is None:
            return
        falling = self._falling
        while falling and falling[-1][1] <= value:
            falling.pop()
        falling.append((place, value))

    def since(self, place: int) -> Number | None:
        """The largest value of this place and later ones, None where there is none; earlier ones are forgotten."""
        falling = self._falling
        while falling and falling[0][0] < place:
            falling.popleft()
        return falling[0][1] if falling else None


class ContainerWindow:
    """One container in the last N runs of one leg."""

    def __init__(self, percentile: CpuPercentile) -> None:
        self._percentile: CpuPercentile = percentile
        self._seen: deque[tuple[int, bool]] = deque()
        self._clean_runs = 0
        self._need: SlidingMax[int] = SlidingMax()
        self._killed_at: SlidingMax[int] = SlidingMax()
        self._cores: SlidingMax[float] = SlidingMax()
        self._peak_cores: SlidingMax[float] = SlidingMax()
        self._host_cpus: SlidingMax[int] = SlidingMax()
        self._host_memory: SlidingMax[int] = SlidingMax()

    def add(self, place: int, run: Observation, use: ContainerUse) -> None:
        """Take in what a run tells of it."""
        clean = is_clean(run, use)
        self._seen.append((place, clean))
        self._clean_runs += clean
        need, killed_at = need_and_kill(use)
        self._need.push(place, need)
        self._killed_at.push(place, killed_at)
        self._cores.push(place, cores_needed(run, use, self._percentile))
        self._peak_cores.push(place, cores_needed(run, use, "peak"))
        self._host_cpus.push(place, run.host_cpus)
        self._host_memory.push(place, run.host_memory_bytes)

    def since(self, place: int) -> Aggregate | None:
        """What the runs of this place and later ones tell together; None where none of them had it."""
        seen = self._seen
        while seen and seen[0][0] < place:
            self._clean_runs -= seen.popleft()[1]
        if not seen:
            return None
        return Aggregate(
            self._clean_runs,
            self._need.since(place),
            self._killed_at.since(place),
            self._cores.since(place),
            self._peak_cores.since(place),
            self._host_cpus.since(place),
            self._host_memory.since(place),
        )


class Walk:
    """Runs taken in from the oldest to the newest, and the advice as it stands after each.

    The legs of a matrix have windows of their own; a job's advice is the highest of them.
    """

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self._places: dict[str, int] = {}
        self._windows: dict[str, dict[str, ContainerWindow]] = {}
        self._figures: dict[str, dict[str, tuple[Aggregate, Figure]]] = {}
        self._advised: dict[str, Figure] = {}
        self._proven: dict[str, bool] = {}

    def add(self, run: Observation) -> None:
        """Take in the next run."""
        place = self._places.get(run.leg, 0)
        self._places[run.leg] = place + 1
        windows = self._windows.setdefault(run.leg, {})
        for use in run.containers:
            if use.name not in windows:
                windows[use.name] = ContainerWindow(self._parameters.cpu_percentile)
            windows[use.name].add(place, run, use)
        for name in list(windows):
            self._refresh(run.leg, name, windows, place + 1 - self._parameters.runs)

    def _refresh(self, leg: str, name: str, windows: dict[str, ContainerWindow], first: int) -> None:
        known = windows[name].since(first)
        figures = self._figures.setdefault(name, {})
        if known is None:
            del windows[name], figures[leg]
        elif leg in figures and figures[leg][0] == known:
            return
        else:
            figures[leg] = known, figure(known, self._parameters)
        if figures:
            self._advised[name] = highest([found for _, found in figures.values()])
            self._proven[name] = any(each.clean_runs for each, _ in figures.values())
        else:
            del self._figures[name], self._advised[name], self._proven[name]

    def known(self, name: str) -> dict[str, Aggregate]:
        """What is known of a container in each leg that has it."""
        return {leg: known for leg, (known, _) in self._figures.get(name, {}).items()}

    def advised(self, name: str) -> Figure | None:
        """What a container should request in any leg; None where no run had it."""
        return self._advised.get(name)

    def proven(self, name: str) -> Figure | None:
        """The same, where it rests on one clean run at least."""
        return self._advised[name] if self._proven.get(name) else None


def highest(figures: list[Figure]) -> Figure:
    """For each part the highest of what is known."""
    if len(figures) == 1:
        return figures[0]
    columns = zip(*figures, strict=True)
    return Figure(*(max((each for each in column if each is not None), default=None) for column in columns))


def need_and_kill(use: ContainerUse) -> tuple[int | None, int | None]:
    """The need of one that lived, or what was not enough for one that was killed."""
    if use.killed_at_bytes is None:
        return use.memory_need_bytes, None
    return None, largest(use.killed_at_bytes, use.memory_need_bytes)


def is_clean(run: Observation, use: ContainerUse) -> bool:
    """The run went to its end and nothing was killed in the container: its need is whole, where it could be read."""
    read = use.memory_need_bytes is not None or use.cpu_cores.avg is not None
    return read and run.outcome == "ok" and use.killed_at_bytes is None


def cores_needed(run: Observation, use: ContainerUse, percentile: CpuPercentile) -> float | None:
    """The statistic of a run and what its limit withheld, at most what the machine has.

    A run too short for percentiles has its peak. With a limit of one core, two busy threads use 1.0 and are held
    back for another 1.0 core.
    """
    cores: float | None = getattr(use.cpu_cores, percentile)
    if cores is None:
        cores = use.cpu_cores.avg if use.cpu_cores.peak is None else use.cpu_cores.peak
    if cores is None:
        return None
    wanted = cores + (use.throttled_cores or 0.0)
    return wanted if run.host_cpus is None else min(wanted, run.host_cpus)
