"""`jobmeter receiver`: opens the database, listens, serves, and says when it starts and stops."""

import sys

from jobmeter import __version__
from jobmeter.apps.extras import required
from jobmeter.apps.process_list import show_instead
from jobmeter.collector.log import Log
from jobmeter.config.receiver import ReceiverSettings
from jobmeter.linux.descriptors import raise_descriptor_limit


def receive(settings: ReceiverSettings) -> int:
    """Serve until SIGTERM; everything that was acknowledged is on disk."""
    with required("receiver"):
        from jobmeter.ops.access import Tokens, warn_of_who_may
        from jobmeter.ops.serving import listening_socket, listens_beyond_loopback, place_of, serve
        from jobmeter.receiver.service import Receiver
        from jobmeter.receiver.store.database import Database, in_use
        from jobmeter.receiver.store.place import is_address, shown
    with required("postgresql" if is_address(settings.db) else "receiver"):
        show_instead(settings.db, shown(settings.db))
    # The writer needs the interpreter's lock for moments only; it shall not wait 5 ms for each of them.
    sys.setswitchinterval(0.001)
    raise_descriptor_limit()  # A connection is a descriptor.
    log = Log(settings.log_level, settings.log_format)
    with listening_socket(settings.listen, settings.listen_place) as listening, in_use(settings.db) as shared:
        if shared:
            log.warn("another receiver uses the same database; one of them is enough", db=settings.db)
        with required("receiver"):
            database = Database.open(settings.db)
        receiver = Receiver(
            database,
            Tokens(settings.read_token, settings.push_token, loopback=not listens_beyond_loopback(listening)),
            log,
            lost_after_seconds=settings.lost_after,
        )

        def started() -> None:
            log.info("receiver started", version=__version__, listen=place_of(listening), db=database.place)
            if listens_beyond_loopback(listening):
                tokens = {
                    "ask": ("RECEIVER_READ_TOKEN", settings.read_token),
                    "store": ("RECEIVER_PUSH_TOKEN", settings.push_token),
                }
                warn_of_who_may(tokens, log)

        serve(receiver.application, listening, receiver.life, started, log, stopping=receiver.stopping)
    log.info("receiver stopped")
    return 0
