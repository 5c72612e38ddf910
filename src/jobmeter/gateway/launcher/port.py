"""What a launch is given by its forge's launcher, and what it wants of the one whose task it is."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from jobmeter.gateway.figures.process import Machines
from jobmeter.gateway.forges.own import OwnDialect, Registration
from jobmeter.gateway.hooks import TaskHooks
from jobmeter.gateway.launcher.options import LaunchOptions, RunnerOptions
from jobmeter.gateway.launcher.passes import Passes
from jobmeter.gateway.launcher.removals import Removals
from jobmeter.gateway.launcher.site import Site
from jobmeter.gateway.relay.home import Home
from jobmeter.supervise.keeper.port import Keepers

if TYPE_CHECKING:
    from jobmeter.gateway.launcher.launch import Launch


@dataclass(frozen=True)
class Shared:
    """What the launches of one forge share; ``version`` is the gateway's own."""

    home: Home
    own: OwnDialect
    keepers: Keepers
    site: Site
    removals: Removals
    options: LaunchOptions
    passes: "Passes[Launch]"
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

    def over(self, launch: "Launch") -> None:
        """Its runner has ended, and the forge has been told how, or will be."""
        ...

    def removed(self, launch: "Launch") -> None:
        """Nothing is left of it."""
        ...
