"""What both ends of the stream show of themselves: tokens and certificates, read anew for each connection."""

from collections.abc import Callable
from typing import Any

import grpc
from msgspec import Struct

from jobmeter.exporter.vm.target import Target
from jobmeter.model.errors import UsageError
from jobmeter.ops.log import Log
from jobmeter.ops.tls import Certificate, check_authorities


class Keys(Struct, frozen=True, kw_only=True):
    """What a machine is shown, and what its certificate is held against, as PEM; without ``ca`` there is no TLS."""

    token: str | None = None
    ca: bytes | None = None
    cert: bytes | None = None
    key: bytes | None = None


def keys_of(target: Target, token: str | None, read_token: Callable[[str], str], log: Log) -> Keys:
    """The keys for a machine, out of their files; ``token`` is for those that have none of their own.

    Raises UsageError.
    """
    where = f"--subscribe: {target.name}"
    if target.token_file is not None:
        try:
            token = read_token(target.token_file)
        except UsageError as error:
            raise UsageError(f"{where}: token_file: {error}") from None
    if target.ca is None:
        return Keys(token=token)
    ca = check_authorities(target.ca, f"{where}: ca")
    if target.cert is None or target.key is None:
        return Keys(token=token, ca=ca)
    pair = Certificate(target.cert, target.key, log, (f"{where}: cert", f"{where}: key"))
    cert, key = pair.pem()
    return Keys(token=token, ca=ca, cert=cert, key=key)


def channel_credentials(keys: Keys) -> Any:
    """Of a client; None without TLS."""
    return grpc.ssl_channel_credentials(keys.ca, keys.key, keys.cert) if keys.ca is not None else None


def server_credentials(certificate: Certificate, client_ca: str | None) -> Any:
    """Of a server: its certificate is taken anew when it changes. Clients need one of ``client_ca`` where that is set.

    Raises UsageError.
    """
    authorities = check_authorities(client_ca, "--stats-client-ca") if client_ca is not None else None

    def configuration() -> Any:
        cert, key = certificate.pem()
        return grpc.ssl_server_certificate_configuration([(key, cert)], root_certificates=authorities)

    return grpc.dynamic_ssl_server_credentials(
        configuration(), configuration, require_client_authentication=authorities is not None
    )
