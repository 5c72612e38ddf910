"""`jobmeter exporter`: watches the containers of the host, serves their series, says when it starts and stops."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from jobmeter import __version__
from jobmeter.apps.exporter_hooks import hooked
from jobmeter.apps.exporter_streams import following, machines, serving
from jobmeter.apps.exporter_windows import engine_states, windows_hosts, windows_machines, with_windows
from jobmeter.apps.extras import required
from jobmeter.collector.log import Log
from jobmeter.config.exporter import ExporterSettings
from jobmeter.linux.cgroup_mounts import hierarchies_below
from jobmeter.linux.descriptors import Descriptors
from jobmeter.model.errors import SourceUnavailable, UsageError

if TYPE_CHECKING:
    from jobmeter.containers.catalog.catalog import Catalog
    from jobmeter.containers.catalog.sockets import EngineSocket
    from jobmeter.exporter.announced import Announcements
    from jobmeter.exporter.container import Row
    from jobmeter.exporter.elsewhere import Elsewhere
    from jobmeter.exporter.figures import EngineState, Figures
    from jobmeter.exporter.fleet import Fleet
    from jobmeter.exporter.host import Host
    from jobmeter.exporter.sampler import Sampler
    from jobmeter.exporter.service import Exporter
    from jobmeter.exporter.windows.host import WindowsHost
    from jobmeter.ops.access import Tokens

DEFAULT_PORT = 9925


class _Parts(NamedTuple):
    """The exporter, and what of it those need who tell it of other machines, or are told of this one."""

    exporter: "Exporter"
    fleet: "Fleet"
    sampler: "Sampler"
    figures: "Figures"
    machines: "dict[str, Elsewhere]"
    rows: "Callable[[], Sequence[Row]]"
    announced: "Announcements"
    windows: "Sequence[WindowsHost]"


def export(settings: ExporterSettings, environ: Mapping[str, str]) -> int:
    """Serve until SIGTERM."""
    # Any client can make gRPC write to stderr, which is our log; it looks there when it is used first.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    with required("exporter"):
        from jobmeter.ops.access import Tokens, warn_of_who_may
        from jobmeter.ops.serving import listening_socket, listens_beyond_loopback, place_of, serve
        from jobmeter.ops.tls import Certificate
    log = Log(settings.log_level, settings.log_format)
    sockets = engine_sockets(settings, environ)
    certificate = None
    if settings.tls_cert is not None and settings.tls_key is not None:
        certificate = Certificate(settings.tls_cert, settings.tls_key, log)
    with listening_socket(settings.listen, settings.listen_place, default_port=DEFAULT_PORT) as listening:
        beyond = listens_beyond_loopback(listening)
        with required("exporter"):
            parts = _parts(settings, sockets, Tokens(settings.read_token, loopback=not beyond), log)
        exporter = parts.exporter

        def started() -> None:
            log.info("exporter started", version=__version__, listen=place_of(listening))
            if beyond:
                warn_of_who_may({"ask": ("JOBMETER_READ_TOKEN", settings.read_token)}, log)
            if os.geteuid() != 0:
                log.warn(
                    "without root the network and the environment of others' containers cannot be read: there are no "
                    "network series, and jobs are known by labels and names alone"
                )

        whole = with_windows(exporter.life, parts.windows)
        with (
            hooked(whole, settings, parts.rows, parts.sampler, parts.announced, log) as life,
            serving(settings, parts.fleet, parts.sampler, certificate, parts.figures, log),
            following(settings, parts.machines, parts.figures, log),
        ):
            serve(
                exporter.application, listening, life, started, log,
                certificate=certificate, stopping=exporter.health.stopping,
            )  # fmt: skip
    log.info("exporter stopped")
    return 0


def engine_sockets(settings: ExporterSettings, environ: Mapping[str, str]) -> "list[EngineSocket]":
    """Where engines are asked: what was said, else the usual places. Raises UsageError."""
    from jobmeter.containers.catalog.sockets import default_sockets, parse_socket

    if settings.engine_socket is None:
        return default_sockets(environ)
    try:
        return [parse_socket(text) for text in settings.engine_socket]
    except UsageError as error:
        raise UsageError(f"--engine-socket: {error}") from None


def _parts(settings: ExporterSettings, sockets: "list[EngineSocket]", tokens: "Tokens", log: Log) -> _Parts:
    """The exporter over this host. Raises SourceUnavailable where there is nothing to read."""
    from jobmeter.containers.catalog.catalog import Catalog
    from jobmeter.exporter.announced import Announcements
    from jobmeter.exporter.figures import Figures
    from jobmeter.exporter.fleet import MAX_CONTAINERS
    from jobmeter.exporter.jobs import RunningJobs
    from jobmeter.exporter.sampler import Sampler
    from jobmeter.exporter.service import Exporter
    from jobmeter.exporter.totals import MAX_ROWS
    from jobmeter.exporter.windows.figures import WindowsCollector
    from jobmeter.ops.metrics import daemon_registry

    catalog = Catalog(sockets, log)
    figures = Figures(daemon_registry(), __version__)
    announced = Announcements()
    fleet, host, others = _host(settings, catalog, announced, figures)
    windows = windows_hosts(settings, others, announced, log)
    catalog.start()
    figures.watch(
        host, lambda: (*_engines(catalog, sockets), *engine_states(windows)), max_containers=MAX_CONTAINERS,
        max_total_rows=MAX_ROWS,
    )  # fmt: skip
    if windows:
        figures.registry.register(WindowsCollector(windows))
    sampler = Sampler(host, settings.interval, figures, log)
    jobs = RunningJobs(lambda: host.rows)
    exporter = Exporter(sampler, host.page, figures, tokens, log, jobs, held=(host, catalog))
    return _Parts(exporter, fleet, sampler, figures, others, lambda: host.rows, announced, windows)


def _host(
    settings: ExporterSettings, catalog: "Catalog", announced: "Announcements", figures: "Figures"
) -> "tuple[Fleet, Host, dict[str, Elsewhere]]":
    """The host with its fleet, and what is shown of other machines."""
    from jobmeter.exporter.directory import Identities
    from jobmeter.exporter.exposition import Exposition
    from jobmeter.exporter.fleet import Fleet
    from jobmeter.exporter.groups import MAX_GROUPS, Groups
    from jobmeter.exporter.host import Host
    from jobmeter.exporter.machine import MachineReader, read_machine

    try:
        os.stat(f"{settings.proc_path}/stat")
    except OSError as error:
        raise SourceUnavailable(
            f"cannot read the processes in {settings.proc_path}: {error.strerror}"
        ) from None
    machine = read_machine(settings.proc_path)
    exposition = Exposition(settings.dialect, machine=machine)
    hierarchies = hierarchies_below(settings.cgroup_path)
    descriptors = Descriptors.of_process()
    fleet = Fleet(
        hierarchies, Identities(catalog, announced, root=settings.proc_path), linger_seconds=settings.linger,
        descriptors=descriptors, detailed=exposition.detailed or settings.serve_stats is not None,
        runtime=settings.runtime, root=settings.proc_path,
    )  # fmt: skip
    groups = None
    if exposition.with_groups:
        groups = Groups(
            hierarchies, machine, descriptors=descriptors, errors=fleet.errors, root=settings.proc_path
        )
    figures.watch_bounds(descriptors, groups, max_groups=MAX_GROUPS)
    others = {**machines(settings, fleet.totals), **windows_machines(settings, fleet.totals)}
    reader = MachineReader(settings.proc_path, fleet.errors)
    return fleet, Host(fleet, groups, reader, exposition, tuple(others.values())), others


def _engines(catalog: "Catalog", sockets: "list[EngineSocket]") -> "Iterator[EngineState]":
    """Those that are there or were asked for."""
    from jobmeter.exporter.figures import EngineState

    named = {socket.path for socket in sockets if socket.named}
    for state in catalog.states():
        if state.status != "absent" or state.path in named:
            yield EngineState(state.engine, state.path, state.status == "connected")
