"""Which machine is subscribed to, as an operator writes it: `NAME=HOST:PORT`, and `;key=value` where one needs more."""

from msgspec import Struct

from jobmeter.exporter.machine_address import Form, parse_machine
from jobmeter.model.errors import UsageError
from jobmeter.ops.addresses import AddressError, address_of

DEFAULT_PORT = 10001
"""Where ephemerd listens within its machine."""
LINUX_VM = "linux-vm"
_FORM = Form(
    "accepted is NAME=HOST:PORT, with ;runtime=, ;token_file=, ;ca=, ;cert=, ;key= or ;server_name= behind it",
    frozenset({"runtime", "token_file", "ca", "cert", "key", "server_name"}),
    LINUX_VM,
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
    name, address, values = parse_machine(text, _FORM)
    try:
        found = address_of(address, DEFAULT_PORT)
    except AddressError as error:
        raise UsageError(f"{name}: {error}") from None
    if not found.host:
        raise UsageError(f"{name}: {address!r} has no host; {_FORM.accepted}")
    return Target(name=name, address=str(found), **values)
