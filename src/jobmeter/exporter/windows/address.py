"""Where an engine is asked, as an operator writes it: `NAME=tcp://HOST:PORT`, and `;key=value` where one needs more."""

import re
import ssl
from typing import NamedTuple
from urllib.parse import urlsplit

from jobmeter.exporter.machine_address import Form, parse_machine
from jobmeter.identity.variables import shorten
from jobmeter.model.errors import UsageError

PLAIN_PORT = 2375
TLS_PORT = 2376
_HOST = re.compile(r"[A-Za-z0-9_.:%-]+")
_FORM = Form(
    "accepted is NAME=tcp://HOST:PORT, with ;ca=, ;cert=, ;key=, ;server_name= or ;runtime= behind it, as "
    "build-3=tcp://10.0.0.7:2376;ca=ca.pem",
    frozenset({"ca", "cert", "key", "server_name", "runtime"}),
    "windows-hyperv",
)


class Engine(NamedTuple):
    """An engine by the name that its machine is shown with; without a port it is Docker's, with or without TLS.

    With ``ca``, a file of certificates, TLS is spoken; ``cert`` and ``key`` are what we show of us, ``server_name`` is
    the name in the engine's certificate where it is not its host. ``runtime`` is that of all its containers, None for
    what it tells of each.
    """

    name: str
    host: str
    port: int | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    server_name: str | None = None
    runtime: str | None = None

    @property
    def url(self) -> str:
        """Where it is asked over HTTP."""
        return f"{'http' if self.ca is None else 'https'}://{self._place}"

    @property
    def address(self) -> str:
        """In the words of Docker's clients."""
        return f"tcp://{self._place}"

    @property
    def _place(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port or (PLAIN_PORT if self.ca is None else TLS_PORT)}"


def parse_engine(text: str) -> Engine:
    """The engine that is meant. Raises UsageError."""
    name, address, values = parse_machine(text, _FORM)
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _refused(name, address) from None
    beyond = parts.username is not None or parts.path.strip("/") or parts.query or parts.fragment
    if parts.scheme != "tcp" or not _HOST.fullmatch(host) or port == 0 or beyond:
        raise _refused(name, address)
    return Engine(name, host, port, **values)


def _refused(name: str, address: str) -> UsageError:
    return UsageError(f"{name}: {shorten(address)} is no address of an engine; {_FORM.accepted}")


def client_context(engine: Engine) -> ssl.SSLContext | None:
    """TLS 1.2 or newer with the certificates of the engine; None without TLS. Raises UsageError."""
    if engine.ca is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    file = engine.ca
    try:
        context.load_verify_locations(engine.ca)
        if engine.cert is not None:
            file = engine.cert
            context.load_cert_chain(engine.cert, engine.key, password=_no_password)
    except (OSError, ValueError) as error:
        raise UsageError(f"{engine.name}: {file} cannot be used: {_reason(error)}") from None
    return context


def _no_password() -> str:
    raise ValueError("its key needs a passphrase, and nobody is there to type it")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"OpenSSL says {error.reason or 'it is not PEM'}"
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)
