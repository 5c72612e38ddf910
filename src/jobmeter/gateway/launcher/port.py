"""What a launch is given by its forge's launcher, and what it wants of the one whose task it is."""

from dataclasses import dataclass
from typing import Any, Protocol

from jobmeter.gateway.figures.process import Machines
from jobmeter.gateway.forges.own import OwnDialect, Registration
from jobmeter.gateway.hooks import TaskHooks
from jobmeter.gateway.launcher.options import LaunchOptions, RunnerOptions
from jobmeter.gateway.launcher.passes import Passes
from jobmeter.gateway.launcher.removals import Removals
from jobmeter.gateway.launcher.site import Site
from jobmeter.gateway.relay.home import Home
from jobmeter.supervise.keeper.port import Keepers


@dataclass(frozen=True)
class Shared:
    """What the launches of one forge share; ``passes`` are theirs, ``version`` is the gateway's own."""

    home: Home
    own: OwnDialect
    keepers: Keepers
    site: Site
    removals: Removals
    options: LaunchOptions
    passes: Passes[Any]
    machines: Machines
    hooks: TaskHooks | None
    version: str


class Employer(Protocol):
    """Whose runner works on a task."""

    @property
    def options(self) -> RunnerOptions:
        """How it is started."""
        ...

    @property
    def registration(self) -> Registration:
        """Who it is to the forge."""
        ...
