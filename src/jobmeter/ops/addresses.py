"""Where a daemon listens, in the grammar of the runners' metrics servers: `[host]:<port>`.

Text is first given the default port (``with_default_port``, literally as those servers do it), then split into host and
port number (``address_of``). Some forms pass the first and fail in the second: `localhost:`, `:`, `9252`, ports that
do not exist. Of our own daemons all of them are one mistake of who wrote the address.
"""

import socket
from typing import NamedTuple

from jobmeter.model.errors import UsageError

_MOST_DIGITS = 9
_SERVICES = {"http": 80, "https": 443}
"""Known without a list of services, which small container images do not have."""


class AddressError(UsageError):
    """This is no address; the message says why, and what is one."""


class Address(NamedTuple):
    """A host, which is empty for all addresses of the machine, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def with_default_port(text: str, default_port: int) -> str:
    """The text with its port; empty when it is empty, which means that nothing shall listen.

    The default port is added to the text as it is, also behind a colon (`localhost:` becomes `localhost::9252`, which
    nobody can listen on). Raises AddressError for too many colons and for brackets that do not fit.
    """
    if not text:
        return ""
    try:
        _, port = _split(text)
    except ValueError as error:
        raise _refused(text, error, default_port) from None
    return text if port else f"{text}:{default_port}"


def address_of(text: str, default_port: int) -> Address:
    """The address that is meant. Raises AddressError for what is none, whatever the host may turn out to be."""
    try:
        if not text:
            raise ValueError("it is empty")
        host, port = _split(text)
        if text.endswith(":"):
            raise ValueError("there is no port behind the colon")
        if not port and _is_number(host):
            raise ValueError(f"a port alone is written with a colon, :{host}")
        if host == "*":
            raise ValueError("all addresses are written without a host")
        if any(character.isspace() or not character.isprintable() for character in host):
            raise ValueError("a host has no blanks and no control characters")
        return Address(host, _port_number(port) if port else default_port)
    except ValueError as error:
        raise _refused(text, error, default_port) from None


def _refused(text: str, why: ValueError, default_port: int) -> AddressError:
    accepted = f"an address is HOST:PORT or :PORT, and HOST alone means port {default_port}"
    return AddressError(f"{text[:100]!r} is not accepted: {why}; {accepted}")


def _split(text: str) -> tuple[str, str]:
    """Host without its brackets, and port, which is empty where there is none. Raises ValueError."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or "[" in host or (rest and not rest.startswith(":")):
            raise ValueError("its brackets do not fit")
        port = rest[1:]
    else:
        host, _, port = text.partition(":")
    if ":" in port:
        raise ValueError("it has too many colons; an IPv6 address is written in brackets, as [::1]:80")
    if any(bracket in host + port for bracket in "[]"):
        raise ValueError("its brackets do not fit")
    return host, port


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _port_number(text: str) -> int:
    """The number of a port or of a service that the system knows. Raises ValueError."""
    if _is_number(text):
        if len(text) > _MOST_DIGITS or int(text) > 65535:
            raise ValueError("a port is at most 65535")
        return int(text)
    try:
        return _SERVICES.get(text) or socket.getservbyname(text, "tcp")
    except (OSError, ValueError):
        raise ValueError(f"the service {text[:40]!r} is not known here, a port is a number") from None
