"""What belongs to the daemon rather than to one of its runners: what it logs, what it is, the machines it made."""

import platform
from collections.abc import Mapping
from typing import Literal, NamedTuple

from jobmeter.gateway.figures.histogram import Histogram
from jobmeter.ops.log import FullLog

Level = Literal["panic", "fatal", "error", "warning"]
LEVELS: tuple[Level, ...] = ("panic", "fatal", "error", "warning")
MachineAction = Literal["created", "removed", "used"]
MACHINE_ACTIONS: tuple[MachineAction, ...] = ("created", "removed", "used")
MachineState = Literal["acquired", "creating", "idle", "removing", "stuck-on-removing", "used"]
MACHINE_STATES: tuple[MachineState, ...] = (
    "acquired", "creating", "idle", "removing", "stuck-on-removing", "used",
)  # fmt: skip
CREATION_SECONDS = tuple(30 * 1.25**power for power in range(10))
_GO_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


class Build(NamedTuple):
    """Which program this is; the architecture as Go calls it."""

    version: str
    python: str
    architecture: str
    os: str

    @classmethod
    def here(cls, version: str) -> "Build":
        """Of the Python that runs now."""
        machine = platform.machine()
        return cls(
            version,
            platform.python_version(),
            _GO_ARCHITECTURES.get(machine, machine),
            platform.system().lower(),
        )


class Machines:
    """Machines of one kind that jobs run on; all numbers are 0 before the first."""

    def __init__(self) -> None:
        self.actions = dict.fromkeys(MACHINE_ACTIONS, 0)
        self.states: dict[str, int] = dict.fromkeys(MACHINE_STATES, 0)
        self.creation_seconds = Histogram(CREATION_SECONDS)

    def acted(self, action: MachineAction, seconds: float | None = None) -> None:
        """Something was done with one; making one took so many seconds."""
        self.actions[action] += 1
        if action == "created":
            self.creation_seconds.observe(seconds)

    def move(self, before: MachineState | None, after: MachineState | None) -> None:
        """One is in another state; None: it is not there."""
        if before is not None:
            self.states[before] -= 1
        if after is not None:
            self.states[after] += 1

    def now(self, states: Mapping[str, int]) -> None:
        """So many are in each state of MACHINE_STATES; what is not told of is 0."""
        self.states = {state: states.get(state, 0) for state in MACHINE_STATES}


class ProcessFigures:
    """Figures of the daemon."""

    def __init__(self, build: Build) -> None:
        self.build = build
        self.log_entries: dict[Level, int] = dict.fromkeys(LEVELS, 0)
        self.docker_machines = Machines()
        self.ssh_docker_machines = Machines()


class CountingLog:
    """A log whose warnings are counted."""

    def __init__(self, log: FullLog, figures: ProcessFigures) -> None:
        self._log = log
        self._figures = figures

    def warn(self, message: str, **fields: object) -> None:
        """Something that needs the operator."""
        self._figures.log_entries["warning"] += 1
        self._log.warn(message, **fields)

    def info(self, message: str, **fields: object) -> None:
        """Something a reader of the log wants to know."""
        self._log.info(message, **fields)
