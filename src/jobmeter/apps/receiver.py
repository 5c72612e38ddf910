"""`jobmeter receiver`: opens the database, listens, serves, and says when it starts and stops."""

import sys

from jobmeter import __version__
from jobmeter.apps.extras import required
from jobmeter.collector.log import Log
from jobmeter.config.settings import ReceiverSettings


def receive(settings: ReceiverSettings) -> int:
    """Serve until SIGTERM; everything that was acknowledged is on disk."""
    with required("receiver"):
        from jobmeter.ops.access import Tokens
        from jobmeter.ops.serving import listening_socket, listens_beyond_loopback, serve
        from jobmeter.receiver.service import Receiver
        from jobmeter.receiver.store.database import Database
    # The writer needs the interpreter's lock for moments only; it shall not wait 5 ms for each of them.
    sys.setswitchinterval(0.001)
    log = Log(settings.log_level, settings.log_format)
    with listening_socket(settings.listen, settings.listen_place) as listening:
        receiver = Receiver(
            Database.open(settings.db),
            Tokens(settings.read_token, settings.push_token),
            log,
            lost_after_seconds=settings.lost_after,
        )

        def started() -> None:
            host, port = listening.getsockname()[:2]
            log.info("receiver started", version=__version__, listen=f"{host}:{port}", db=settings.db)
            open_to = [
                what
                for what, token in (("ask", settings.read_token), ("store", settings.push_token))
                if token is None
            ]
            if open_to and listens_beyond_loopback(listening):
                log.warn(
                    f"ANYONE who reaches this address may {' and '.join(open_to)}: set RECEIVER_READ_TOKEN and "
                    f"RECEIVER_PUSH_TOKEN, or listen on 127.0.0.1"
                )

        serve(receiver.application, listening, receiver.life, started, log)
    log.info("receiver stopped")
    return 0
