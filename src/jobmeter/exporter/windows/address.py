"""Where an engine is asked, and with which certificates, as Docker's own clients are told."""

import os
import re
import ssl
from typing import NamedTuple
from urllib.parse import urlsplit

from jobmeter.identity.variables import shorten
from jobmeter.model.errors import UsageError

PLAIN_PORT = 2375
TLS_PORT = 2376
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_HOST = re.compile(r"[A-Za-z0-9_.:%-]+")
_ACCEPTED = "accepted is NAME=tcp://HOST:PORT, as build-3=tcp://10.0.0.7:2376"


class Engine(NamedTuple):
    """An engine by the name that its machine is shown with. Without a port it is Docker's, with or without TLS."""

    name: str
    host: str
    port: int | None = None

    def url(self, *, tls: bool) -> str:
        """Where it is asked over HTTP."""
        return f"{'https' if tls else 'http'}://{self._place(TLS_PORT if tls else PLAIN_PORT)}"

    def shown(self, *, tls: bool) -> str:
        """Its address, in the words of Docker's clients."""
        return f"tcp://{self._place(TLS_PORT if tls else PLAIN_PORT)}"

    def _place(self, default_port: int) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port or default_port}"


def parse_engine(text: str) -> Engine:
    """An engine as a user writes it. Raises UsageError."""
    name, _, address = text.strip().partition("=")
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if not _NAME.fullmatch(name) or not _HOST.fullmatch(host) or port == 0:
        raise UsageError(f"{shorten(text)} is no engine; {_ACCEPTED}")
    if (
        parts.scheme != "tcp"
        or parts.username is not None
        or parts.path.strip("/")
        or parts.query
        or parts.fragment
    ):
        raise UsageError(f"{shorten(text)} is not the address of an engine; {_ACCEPTED}")
    return Engine(name, host, port)


def client_context(directory: str, name: str) -> ssl.SSLContext:
    """TLS 1.2 or newer with the ca.pem of the directory, and its cert.pem and key.pem where they are.

    Those in a directory below it of the engine's ``name`` are this engine's own. Raises UsageError.
    """
    own = os.path.join(directory, name)
    place = own if os.path.isdir(own) else directory
    authority, certificate, key = (os.path.join(place, f"{one}.pem") for one in ("ca", "cert", "key"))
    there = [os.path.exists(one) for one in (certificate, key)]
    if there[0] != there[1]:
        raise UsageError(f"{place} has only one of cert.pem and key.pem; both are needed, or none")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    file = authority
    try:
        context.load_verify_locations(authority)
        if all(there):
            file = certificate
            context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be used: {_reason(error)}") from None
    return context


def _no_password() -> str:
    raise ValueError("its key needs a passphrase, and nobody is there to type it")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"OpenSSL says {error.reason or 'it is not PEM'}"
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)
