"""The parts of the gateway put together over its settings."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path

from jobmeter import __version__
from jobmeter.apps.gateway_launch import launcher_of, make_ground
from jobmeter.apps.gateway_referee import GatewayReferee
from jobmeter.collector.log import Log
from jobmeter.config.forges import FORGE_PORT, ForgeSettings, HealthSettings
from jobmeter.config.gateway import METRICS_PORT, GatewaySettings
from jobmeter.gateway.figures.events import Event, Identity
from jobmeter.gateway.figures.exposition import Exposition
from jobmeter.gateway.figures.process import Build, CountingLog, ProcessFigures
from jobmeter.gateway.figures.runners import Runners
from jobmeter.gateway.gate import AvailableMemory, Check, FreeDisk, MemoryPressure, Script
from jobmeter.gateway.hooks import Hooks, RelayedTasks
from jobmeter.gateway.keeping.keeping import Keeping
from jobmeter.gateway.own import OwnFigures
from jobmeter.gateway.pages import Drains, Pages
from jobmeter.gateway.port import Front
from jobmeter.gateway.queue import Queue, Supply
from jobmeter.gateway.relay.home import Tell
from jobmeter.gateway.relay.options import ForgeOptions
from jobmeter.gateway.relay.relay import Relay
from jobmeter.gateway.rest import Rest
from jobmeter.gateway.service import Gateway, Listener, Work
from jobmeter.gateway.supply import supply_of
from jobmeter.model.errors import JobmeterError
from jobmeter.ops.access import Tokens, warn_of_who_may
from jobmeter.ops.application import Application
from jobmeter.ops.connection import Bounds
from jobmeter.ops.hooks.door import hook_socket
from jobmeter.ops.log import FullLog
from jobmeter.ops.log import Log as Warns
from jobmeter.ops.metrics import daemon_registry
from jobmeter.ops.serving import listening_socket, listens_beyond_loopback, place_of, run_daemon
from jobmeter.ops.tls import Certificate
from jobmeter.referee.uploads.receiver import Receiver

_FOR_RUNNERS = Bounds(request_seconds=60.0, idle_seconds=120.0, connections=16_384, body_seconds=3600.0)
"""An artifact takes its time, and runners close unused connections after 90 s themselves."""


class _Parts:
    """What is put together, in the order in which one part needs another."""

    def __init__(self, settings: GatewaySettings, log: Log) -> None:
        self.process = ProcessFigures(Build.here(__version__))
        self.log = CountingLog(log, self.process)
        self.runners = Runners()
        self.hooks = Hooks(settings.announce, self.log)
        self.referee = _referee(settings, self.log)
        self._is_heard = settings.hooks is not None or bool(settings.announce)
        self.fronts = {forge.name: self._front(forge, settings) for forge in settings.forges}
        self.gateway = Gateway(
            self.fronts,
            list(_checks(settings.health_check)),
            self.log,
            check_seconds=settings.health_check.interval,
            patience_seconds=settings.shutdown_timeout,
            cancels=settings.shutdown_tasks == "cancel",
        )
        self.rests = {
            forge.name: Rest(options_of(forge), forge.api_token)
            for forge in settings.forges
            if forge.api_token is not None and forge.queue
        }
        self.queues = {
            forge.name: self._queue(forge) for forge in settings.forges if forge.name in self.rests
        }
        self.registry = daemon_registry()
        OwnFigures(self.registry, __version__, self.gateway.gate, self.fronts, list(self.queues.values()))
        if self.referee is not None:
            self.referee.count(self.registry)

    def _front(self, forge: ForgeSettings, settings: GatewaySettings) -> Front:
        """Who stands between a forge and its runners."""
        if forge.mode == "launch":
            machines = self.process.docker_machines
            tell = partial(self.runners.tell, forge=forge.name)
            options = options_of(forge)
            return launcher_of(forge, options, settings, self.log, tell, machines, self.hooks, self.referee)
        keeping = Keeping(Path(settings.state_dir), forge.name, self.log)
        return Relay(options_of(forge), self.log, self._tell(forge), keeping, referee=self.referee)

    def _queue(self, forge: ForgeSettings) -> Queue:
        def supply() -> Iterator[Supply]:
            held = self.gateway.gate.why is not None
            return supply_of(forge.name, self.fronts[forge.name], self.runners, held=held)

        return Queue(
            forge.name,
            forge.kind,
            forge.queue,
            self.rests[forge.name],
            supply,
            self.log,
            interval_seconds=forge.queue_interval,
        )

    def _tell(self, forge: ForgeSettings) -> Tell:
        """Who hears what happens to the runners of a forge."""
        if not self._is_heard:
            return partial(self.runners.tell, forge=forge.name)
        tasks = RelayedTasks(self.hooks, forge.kind, forge.public_url or forge.url)

        def tell(identity: Identity, event: Event) -> None:
            self.runners.tell(identity, event, forge.name)
            tasks.tell(identity, event)

        return tell

    def works(self) -> Iterator[Work]:
        """What goes on in the background."""
        for name, queue in self.queues.items():
            yield partial(_watched, queue, self.rests[name])

    def pages(self, settings: GatewaySettings, *, beyond: bool) -> Application:
        """What the metrics listener answers; ``beyond``: others than this machine reach it."""
        drains: Drains = "token" if settings.push_token else "nobody" if beyond else "machine"
        exposition = Exposition(self.runners, self.process, settings.dialect)
        pages = Pages(
            self.runners,
            exposition,
            self.registry,
            self.fronts,
            self.gateway.health,
            self.log,
            drains=drains,
        )
        tokens = Tokens(settings.read_token, settings.push_token, loopback=not beyond)
        return Application(pages.routes(), tokens, self.log, answered=lambda route, status: None)


def serve(settings: GatewaySettings, log: Log) -> None:
    """Answer until SIGTERM; the process is left at once if there is something that cannot be cancelled."""
    with ExitStack() as stack:
        stack.enter_context(_alone(Path(settings.state_dir)))
        make_ground(settings)
        parts = _Parts(settings, log)
        doors = {forge.name: _door(forge, parts, stack) for forge in settings.forges}
        metrics = _metrics(settings, parts, stack)
        hooks = None
        if settings.hooks is not None:
            hooks = stack.enter_context(hook_socket(settings.hooks, settings.hooks_place))

        def started() -> None:
            log.info(
                "gateway started",
                version=__version__,
                listen=place_of(metrics.socket) if metrics is not None else None,
                forges={name: place_of(door.socket) for name, door in doors.items()},
            )
            for sentence in settings.warnings:
                log.warn(sentence)
            if metrics is not None and listens_beyond_loopback(metrics.socket):
                warn_of_who_may({"ask": ("JOBMETER_READ_TOKEN", settings.read_token)}, log)

        async def work() -> None:
            listeners = [*doors.values(), *([metrics] if metrics is not None else [])]
            async with parts.hooks.life(hooks), parts.referee.life() if parts.referee else nullcontext():
                if not await parts.gateway.run(listeners, parts.registry, started, list(parts.works())):
                    log.warn("the gateway leaves jobs behind that could not be cancelled")
                    os._exit(1)

        run_daemon(work, log)
    log.info("gateway stopped")


@contextmanager
def _alone(state_dir: Path) -> Iterator[None]:
    """Keep any other gateway from the same state. Raises JobmeterError, also where nothing can be kept."""
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)  # One that is there is somebody's choice.
        lock = (state_dir / "lock").open("wb")
    except OSError as error:
        raise JobmeterError(
            f"nothing can be kept in {state_dir}: {error.strerror}; name another with --state-dir"
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise JobmeterError(
                f"another gateway keeps its state in {state_dir}, which may still be stopping; each has its own"
            ) from None
        yield


def options_of(forge: ForgeSettings) -> ForgeOptions:
    """What the relay is told of a forge: all that it has a name for."""
    names = set(ForgeOptions.__struct_fields__) & set(ForgeSettings.__struct_fields__)
    return ForgeOptions(**{name: getattr(forge, name) for name in names})


def certificate_of(settings: GatewaySettings | ForgeSettings, log: Warns) -> Certificate | None:
    """That of a listener. Raises UsageError if it cannot be used."""
    certificate, key = settings.tls_cert, settings.tls_key
    if certificate is None or key is None:
        return None
    return Certificate(certificate, key, log, settings.tls_places)


def _door(forge: ForgeSettings, parts: _Parts, stack: ExitStack) -> Listener:
    """Where the runners of a forge come."""
    listening = listening_socket(forge.listen, f"{forge.place}: listen", default_port=FORGE_PORT)
    certificate = certificate_of(forge, parts.log)
    application = parts.fronts[forge.name].application
    return Listener(application, stack.enter_context(listening), _FOR_RUNNERS, certificate)


def _metrics(settings: GatewaySettings, parts: _Parts, stack: ExitStack) -> Listener | None:
    """Where operators and Prometheus come; None for nowhere."""
    if not settings.listen:
        return None
    listening = listening_socket(settings.listen, settings.listen_place, default_port=METRICS_PORT)
    stack.enter_context(listening)
    pages = parts.pages(settings, beyond=listens_beyond_loopback(listening))
    certificate = certificate_of(settings, parts.log)
    return Listener(pages, listening, certificate=certificate)


def _referee(settings: GatewaySettings, log: FullLog) -> GatewayReferee | None:
    """Who is asked at the end of each job. Raises UsageError for files that cannot be used."""
    if settings.referee is None:
        return None
    receiver = settings.receiver and Receiver(settings.receiver, settings.receiver_token)
    return GatewayReferee(settings.referee, list(map(options_of, settings.forges)), receiver or None, log)


def _checks(health: HealthSettings) -> Iterator[Check]:
    """Those that are asked for."""
    if health.min_free_disk_space:
        yield FreeDisk(health.disk_paths, health.min_free_disk_space)
    if health.min_available_memory:
        yield AvailableMemory(health.min_available_memory)
    if health.max_memory_pressure is not None:
        yield MemoryPressure(health.max_memory_pressure)
    if health.script is not None:
        yield Script(health.script, health.timeout)


async def _watched(queue: Queue, rest: Rest) -> None:
    async with rest:
        await queue.watch()
