"""`jobmeter receiver`: opens the database, listens, serves, and says when it starts and stops."""

import sys
from typing import TYPE_CHECKING

from jobmeter import __version__
from jobmeter.apps.extras import required
from jobmeter.apps.process_list import show_instead
from jobmeter.collector.log import Log
from jobmeter.config.receiver import ReceiverSettings
from jobmeter.linux.descriptors import raise_descriptor_limit

if TYPE_CHECKING:
    from jobmeter.receiver.access.rules import AccessRules


def receive(settings: ReceiverSettings) -> int:
    """Serve until SIGTERM; everything that was acknowledged is on disk."""
    with required("receiver"):
        from jobmeter.ops.access import warn_of_who_may
        from jobmeter.ops.serving import listening_socket, listens_beyond_loopback, place_of, serve
        from jobmeter.ops.tls import Certificate
        from jobmeter.receiver.service import Receiver
        from jobmeter.receiver.store.database import Database, in_use
        from jobmeter.receiver.store.place import is_address, shown
        from jobmeter.receiver.store.retention import Bound, Keep
    with required("postgresql" if is_address(settings.db) else "receiver"):
        show_instead(settings.db, shown(settings.db))
    # The writer needs the interpreter's lock for moments only; it shall not wait 5 ms for each of them.
    sys.setswitchinterval(0.001)
    raise_descriptor_limit()  # A connection is a descriptor.
    log = Log(settings.log_level, settings.log_format)
    certificate = None
    if settings.tls_cert is not None and settings.tls_key is not None:
        certificate = Certificate(settings.tls_cert, settings.tls_key, log)
    with listening_socket(settings.listen, settings.listen_place) as listening, in_use(settings.db) as shared:
        if shared:
            log.warn("another receiver uses the same database; one of them is enough", db=settings.db)
        with required("receiver"):
            database = Database.open(settings.db)
        with required("receiver" if settings.oidc_issuer is None else "oidc"):
            receiver = Receiver(
                database,
                _access_rules(settings, loopback=not listens_beyond_loopback(listening)),
                log,
                lost_after_seconds=settings.lost_after,
                prices=settings.prices,
                keep=Keep(
                    Bound(settings.keep_timelines, settings.keep_timelines_per_job),
                    Bound(settings.keep_runs, settings.keep_runs_per_job),
                ),
            )

        def started() -> None:
            log.info("receiver started", version=__version__, listen=place_of(listening), db=database.place)
            if listens_beyond_loopback(listening):
                tokens = {
                    "ask": ("RECEIVER_READ_TOKEN", "" if receiver.asks_for("read") else None),
                    "store": ("RECEIVER_PUSH_TOKEN", "" if receiver.asks_for("push") else None),
                }
                warn_of_who_may(tokens, log)

        serve(
            receiver.application, listening, receiver.life, started, log,
            certificate=certificate, stopping=receiver.stopping,
        )  # fmt: skip
    log.info("receiver stopped")
    return 0


def _access_rules(settings: ReceiverSettings, *, loopback: bool) -> "AccessRules":
    from jobmeter.receiver.access.rules import AccessRules, OidcRules

    oidc = None
    if settings.oidc_issuer and settings.oidc_client_id and settings.public_url:
        oidc = OidcRules(
            issuer=settings.oidc_issuer, client_id=settings.oidc_client_id, public_url=settings.public_url,
            client_secret=settings.oidc_client_secret, scope=settings.oidc_scope,
            organizations_claim=settings.oidc_organizations_claim, groups=dict(settings.oidc_group or ()),
        )  # fmt: skip
    return AccessRules(
        read_token=settings.read_token, push_token=settings.push_token, job_key=settings.hmac_key,
        job_token_seconds=settings.job_token_lifetime, read_token_mints=settings.read_token_mints,
        rate_limit=settings.rate_limit, trusted_proxies=settings.trusted_proxy or (),
        user_header=settings.user_header, organizations_header=settings.organizations_header,
        public_url=settings.public_url, oidc=oidc, loopback=loopback, tls=settings.tls_cert is not None,
    )  # fmt: skip
