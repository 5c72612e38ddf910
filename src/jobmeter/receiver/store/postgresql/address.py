"""The address of a PostgreSQL database: what libpq is given, and what of it may be shown."""

import os
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from jobmeter.model.errors import UsageError

# What the address does not say, nor a variable that libpq takes it from. A server that is gone without a word, as when
# a network is cut, is noticed after some 15 s.
_DEFAULTS = (
    ("application_name", "PGAPPNAME", "jobmeter"),
    ("connect_timeout", "PGCONNECT_TIMEOUT", "4"),
    ("keepalives_idle", "", "5"),
    ("keepalives_interval", "", "3"),
    ("keepalives_count", "", "3"),
    ("tcp_user_timeout", "", "15000"),
)
_FORM = (
    "accepted is postgresql://USER@HOST:PORT/DATABASE with parameters of libpq behind a question mark; "
    "in a password %25 %2F %3A %3F %40 stand for % / : ? @"
)


class Address(NamedTuple):
    """``conninfo`` is for libpq and may have a password in it; ``shown`` never has."""

    conninfo: str
    shown: str


def parse_address(url: str) -> Address:
    """The address in a URL, which libpq reads itself. Raises UsageError, which repeats nothing that may be secret."""
    try:
        said = conninfo_to_dict(url)
    except psycopg.Error as error:
        raise _refused(_reason(error)) from None
    hosts, ports, database = (str(said.get(name, "")) for name in ("host", "port", "dbname"))
    # Where the rest of a password is that has these characters in it.
    if "@" in hosts + database:
        raise _refused("there is an @ behind the one before the host")
    if not ports.replace(",", "").isdecimal() and ports:
        raise _refused("the port is no number")
    defaults = {
        name: value for name, variable, value in _DEFAULTS if name not in said and variable not in os.environ
    }
    return Address(make_conninfo("", **(said | defaults | {"client_encoding": "utf8"})), _shown(said))


def _refused(reason: str) -> UsageError:
    return UsageError(f"--db: the address of the database is not accepted: {reason}; {_FORM}")


def _reason(error: Exception) -> str:
    """What libpq says before it quotes: the quotation may be a password."""
    return " ".join(str(error).split()).partition('"')[0].rstrip(" :(") or "it is no URL"


def _shown(said: Mapping[str, object]) -> str:
    """User, host, port and database, as far as they are told; several hosts as libpq takes them."""
    hosts = str(said.get("host") or said.get("hostaddr") or "").split(",")
    ports = str(said.get("port") or "").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    places = [
        f"{_host(host)}:{port}" if port else _host(host) for host, port in zip(hosts, ports, strict=False)
    ]
    user = f"{said['user']}@" if said.get("user") else ""
    database = f"/{said['dbname']}" if said.get("dbname") else ""
    return f"postgresql://{user}{','.join(places)}{database}"


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else quote(host, safe="")
