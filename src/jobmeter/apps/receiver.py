"""`jobmeter receiver`: opens the database, listens, serves, and says when it starts and stops."""

import sys

from jobmeter import __version__
from jobmeter.apps.extras import required
from jobmeter.collector.log import Log
from jobmeter.config.settings import ReceiverSettings
from jobmeter.linux.descriptors import raise_descriptor_limit


def receive(settings: ReceiverSettings) -> int:
    """Serve until SIGTERM; everything that was acknowledged is on disk."""
    with required("receiver"):
        from jobmeter.ops.access import Tokens
        from jobmeter.ops.serving import listening_socket, listens_beyond_loopback, serve
        from jobmeter.receiver.service import Receiver
        from jobmeter.receiver.store.database import Database
        from jobmeter.receiver.store.file import in_use
    # The writer needs the interpreter's lock for moments only; it shall not wait 5 ms for each of them.
    sys.setswitchinterval(0.001)
    raise_descriptor_limit()  # A connection is a descriptor.
    log = Log(settings.log_level, settings.log_format)
    with listening_socket(settings.listen, settings.listen_place) as listening, in_use(settings.db) as shared:
        if shared:
            log.warn("another receiver uses the same database; one of them is enough", db=settings.db)
        receiver = Receiver(
            Database.open(settings.db),
            Tokens(settings.read_token, settings.push_token, loopback=not listens_beyond_loopback(listening)),
            log,
            lost_after_seconds=settings.lost_after,
        )

        def started() -> None:
            host, port = listening.getsockname()[:2]
            log.info("receiver started", version=__version__, listen=f"{host}:{port}", db=settings.db)
            if listens_beyond_loopback(listening):
                _warn_of_who_may(settings, log)

        serve(receiver.application, listening, receiver.life, started, log)
    log.info("receiver stopped")
    return 0


def _warn_of_who_may(settings: ReceiverSettings, log: Log) -> None:
    """Say loudly what is open to everyone."""
    tokens = {
        "ask": ("RECEIVER_READ_TOKEN", settings.read_token),
        "store": ("RECEIVER_PUSH_TOKEN", settings.push_token),
    }
    missing = {what: variable for what, (variable, token) in tokens.items() if token is None}
    if missing:
        log.warn(
            f"ANYONE who reaches this address may {' and '.join(missing)}: set {' and '.join(missing.values())}, "
            f"or listen on 127.0.0.1"
        )
