"""The launching part of the gateway put together over its settings."""

from pathlib import Path

from jobmeter import __version__
from jobmeter.apps.keeper import starter_command
from jobmeter.config.forges import ForgeSettings
from jobmeter.config.gateway import GatewaySettings
from jobmeter.gateway.evidence import Referee
from jobmeter.gateway.figures.process import Machines
from jobmeter.gateway.hooks import TaskHooks
from jobmeter.gateway.launcher.launcher import Launcher
from jobmeter.gateway.launcher.options import LaunchOptions
from jobmeter.gateway.relay.home import Tell
from jobmeter.gateway.relay.options import ForgeOptions
from jobmeter.ops.log import FullLog
from jobmeter.supervise.keeper import grounds
from jobmeter.supervise.keeper.keepers import RealKeepers
from jobmeter.supervise.keeper.spec import Limits
from jobmeter.supervise.keeper.task_cgroup import probe


def make_ground(settings: GatewaySettings) -> None:
    """See that tasks can have the limits that they are to have, before anything is started. Raises LaunchError."""
    limits = [runner.limits for forge in settings.forges for runner in forge.runners]
    if not limits:
        return
    wanted = {
        name: next((value for one in limits if (value := getattr(one, name)) is not None), None)
        for name in Limits.__struct_fields__
    }
    grounds.prepare(Limits(**wanted))
    for one in limits:
        probe(one)


def launcher_of(
    forge: ForgeSettings,
    options: ForgeOptions,
    settings: GatewaySettings,
    log: FullLog,
    tell: Tell,
    machines: Machines,
    hooks: TaskHooks,
    referee: Referee | None,
) -> Launcher:
    """The front of a forge for whose tasks runners are started."""
    launch = LaunchOptions(
        address=forge.given_url,
        runners=forge.runners,
        receiver=settings.receiver,
        receiver_token=settings.receiver_token,
    )
    keepers = RealKeepers(starter_command())
    state_dir = Path(settings.state_dir)
    return Launcher(
        options, launch, keepers, state_dir, log, tell, machines, __version__, hooks=hooks, referee=referee
    )
