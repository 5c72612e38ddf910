"""Which machine is subscribed to, as an operator writes it: `NAME=HOST:PORT`, and `;key=value` where one needs more."""

import re

from msgspec import Struct

from jobmeter.model.errors import UsageError
from jobmeter.ops.addresses import AddressError, address_of

DEFAULT_PORT = 10001
"""Where ephemerd listens within its machine."""
LINUX_VM = "linux-vm"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_KEYS = ("runtime", "token_file", "ca", "cert", "key", "server_name")
_ACCEPTED = (
    "accepted is NAME=HOST:PORT, with ;runtime=, ;token_file=, ;ca=, ;cert=, ;key= or ;server_name= behind it"
)


class Target(Struct, frozen=True, kw_only=True):
    """One machine. With ``ca``, a file of certificates, TLS is spoken; ``cert`` and ``key`` are what we show of us.

    ``token_file`` holds what is sent instead of the token for all machines. ``server_name`` is the name in the
    machine's certificate where it is not its host.
    """

    name: str
    address: str
    runtime: str = LINUX_VM
    token_file: str | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    server_name: str | None = None


def parse_target(text: str) -> Target:
    """The machine that is meant. Raises UsageError."""
    first, *more = (part.strip() for part in text.split(";"))
    name, equals, address = (part.strip() for part in first.partition("="))
    if not equals:
        raise UsageError(f"{text[:100]!r} has no name and no address; {_ACCEPTED}")
    if not is_name(name):
        raise UsageError(
            f"{name[:100]!r} is no name of a machine: letters, digits, '.', '_' and '-', at most 63, "
            "a letter or digit first"
        )
    try:
        found = address_of(address, DEFAULT_PORT)
    except AddressError as error:
        raise UsageError(f"{name}: {error}") from None
    if not found.host:
        raise UsageError(f"{name}: {address!r} has no host; {_ACCEPTED}")
    values = _values(name, more)
    return Target(name=name, address=str(found), **values)


def _values(name: str, parts: list[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for part in filter(None, parts):
        key, equals, value = part.partition("=")
        key = key.strip().replace("-", "_")
        if key not in _KEYS or not equals or not value.strip():
            raise UsageError(f"{name}: {part[:100]!r} is not accepted; {_ACCEPTED}")
        values[key] = value.strip()
    if "runtime" in values and not is_name(values["runtime"]):
        raise UsageError(f"{name}: {values['runtime'][:100]!r} is no runtime; it is written as linux-vm")
    if ("cert" in values) != ("key" in values):
        raise UsageError(f"{name}: cert and key go together: what we show of us, and its key")
    for needing in ("cert", "server_name"):
        if needing in values and "ca" not in values:
            raise UsageError(f"{name}: {needing} needs ca: without it there is no TLS")
    return values


def is_name(text: str) -> bool:
    """Whether it may name a machine or a runtime."""
    return _NAME.fullmatch(text) is not None
