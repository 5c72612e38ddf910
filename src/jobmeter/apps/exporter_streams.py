"""Streams between machines, for `jobmeter exporter`: what is served to a host, and machines that are subscribed to."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jobmeter.apps.extras import required
from jobmeter.collector.log import Log
from jobmeter.config.exporter import ExporterSettings
from jobmeter.config.options import secret_file

if TYPE_CHECKING:
    from jobmeter.exporter.elsewhere import Elsewhere
    from jobmeter.exporter.figures import Figures
    from jobmeter.exporter.fleet import Fleet
    from jobmeter.exporter.sampler import Sampler
    from jobmeter.exporter.totals import Totals
    from jobmeter.ops.tls import Certificate


def machines(settings: ExporterSettings, totals: "Totals") -> "dict[str, Elsewhere]":
    """What is shown of each machine that is subscribed to, by its name."""
    from jobmeter.exporter.elsewhere import Elsewhere

    return {
        target.name: Elsewhere(totals, linger_seconds=settings.linger, grace_seconds=settings.subscribe_grace)
        for target in settings.subscribe
    }


@contextmanager
def following(
    settings: ExporterSettings, shown: "dict[str, Elsewhere]", figures: "Figures", log: Log
) -> Iterator[None]:
    """Follow what the machines tell. Raises UsageError where a file of theirs cannot be used, MissingExtra."""
    if not settings.subscribe:
        yield
        return
    with required("grpc"):
        from jobmeter.exporter.vm.credentials import Keys, keys_of
        from jobmeter.exporter.vm.figures import StreamsCollector
        from jobmeter.exporter.vm.subscription import Subscription, Subscriptions
        from jobmeter.exporter.vm.target import Target

    def keys_for(target: Target) -> Callable[[], Keys]:
        return lambda: keys_of(target, settings.stats_token, secret_file, log)

    for target in settings.subscribe:
        keys_for(target)()
    each = [
        Subscription(
            target, shown[target.name], keys_for(target), log, interval_seconds=round(settings.subscribe_interval)
        )
        for target in settings.subscribe
    ]  # fmt: skip
    figures.registry.register(StreamsCollector(each))
    subscriptions = Subscriptions(each)
    subscriptions.start()
    try:
        yield
    finally:
        subscriptions.close()


@contextmanager
def serving(
    settings: ExporterSettings,
    fleet: "Fleet",
    sampler: "Sampler",
    certificate: "Certificate | None",
    figures: "Figures",
    log: Log,
) -> Iterator[None]:
    """Serve the statistics of this machine where that was asked for. Raises JobmeterError."""
    if settings.serve_stats is None:
        yield
        return
    from jobmeter.ops.serving import listening_socket, listens_beyond_loopback, place_of

    with required("grpc"):
        from jobmeter.exporter.vm.credentials import server_credentials
        from jobmeter.exporter.vm.figures import ServingCollector
        from jobmeter.exporter.vm.server import StatsServer
        from jobmeter.exporter.vm.target import DEFAULT_PORT
    credentials = None
    if certificate is not None:
        credentials = server_credentials(certificate, settings.stats_client_ca)
    # gRPC says of an address only that it cannot be listened on.
    with listening_socket(settings.serve_stats, "--serve-stats", default_port=DEFAULT_PORT) as probe:
        beyond, place = listens_beyond_loopback(probe), place_of(probe)
    server = StatsServer(
        lambda: fleet.rows, sampler.wait_fresh, log, token=settings.stats_token, interval_seconds=settings.interval
    )  # fmt: skip
    port = server.open(place, credentials)
    log.info(
        "statistics are served", address=f"{place.rpartition(':')[0]}:{port}", tls=certificate is not None
    )
    if beyond and settings.stats_token is None and settings.stats_client_ca is None:
        log.warn(
            "ANYONE who reaches this address may subscribe to the statistics: set --stats-token-file "
            "or JOBMETER_STATS_TOKEN"
        )
    figures.registry.register(ServingCollector(server))
    try:
        yield
    finally:
        server.close()
