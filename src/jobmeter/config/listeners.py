"""Where the gateway listens: no two at one address, no forge at one of its own, and what jobs can reach of it."""

from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from jobmeter.config.forges import FORGE_PORT, ForgeSettings
from jobmeter.gateway.launcher.templates import executor_of
from jobmeter.ops.addresses import Address, address_of

_PORTS = {"http": 80, "https": 443}
_EVERY = "*"
"""Stands for all addresses of this machine."""


class Listener(NamedTuple):
    """Where something of the gateway is reached, and what that is."""

    address: Address
    what: str


def address_mistakes(listeners: Sequence[Listener], forges: Sequence[ForgeSettings]) -> Iterator[str]:
    """No two listen at one address, and none is the forge; ``listeners`` are those beside the forges' own."""
    taken = list(listeners)
    for forge in forges:
        own = Listener(address_of(forge.listen, FORGE_PORT), _table_of(forge))
        for other in taken:
            if _is_one(own.address, other.address):
                yield f"{forge.place}: listen: {forge.listen!r} is taken by {other.what}; each has its own"
        taken.append(own)
    for forge in forges:
        for listener in taken:
            if _leads_to(forge.url, listener.address):
                yield (
                    f"{forge.place}: url: {forge.url!r} is the gateway itself, which listens there for "
                    f"{listener.what}; accepted is the address of the forge"
                )
        if _gives_the_forge(forge):
            yield (
                f"{forge.place}: public_url: it is url: the forge itself does not know the tokens of launched runners; "
                f"accepted is an address that leads to the gateway"
            )


def address_notes(forge: ForgeSettings) -> Iterator[str]:
    """What is seldom meant with the addresses of a forge."""
    if forge.public_url is None:
        host = address_of(forge.listen, FORGE_PORT).host
        if _is_loopback(host) and forge.mode == "launch":
            yield from _launched_notes(forge, host)
        elif _is_loopback(host):
            yield (
                f"{forge.place}: listen: jobs reach the forge at the address that their runner was given, and in a "
                f"container {host} is the container itself: let a reverse proxy of the forge pass its runners' paths "
                f"to the gateway, and say in public_url what runners are given"
            )
        return
    if _is_loopback(host := urlsplit(forge.public_url).hostname or ""):
        yield (
            f"{forge.place}: public_url: in a container {host} is the container itself: a job there reaches nothing "
            f"at this address"
        )
    if _server(forge.url) == _server(forge.public_url) and not _gives_the_forge(forge):
        yield (
            f"{forge.place}: url: it is the server of public_url too: if what runners ask there is passed to the "
            f"gateway, so is what the gateway asks, in a circle; the forge behind it has an address of its own"
        )


def _launched_notes(forge: ForgeSettings, host: str) -> Iterator[str]:
    """Of runners that are launched here: they reach this address, and only their containers do not."""
    for runner in forge.runners:
        labels = [label for label in runner.labels if ":docker" in label]
        if labels or executor_of(runner.command).startswith("docker"):
            yield (
                f"{forge.place}: listen: in a container {host} is the container itself, so that jobs of "
                f"{runner.name!r} do not reach the forge: let it be an address of this machine that they reach"
            )


def _gives_the_forge(forge: ForgeSettings) -> bool:
    """Runners that are launched would ask the forge, and not the gateway."""
    if forge.mode != "launch" or forge.public_url is None:
        return False
    one, other = ((_server(url), urlsplit(url).path.rstrip("/")) for url in (forge.url, forge.public_url))
    return one == other


def _table_of(forge: ForgeSettings) -> str:
    """The place without the file."""
    return forge.place.rpartition(": ")[2]


def _server(url: str) -> Address:
    parts = urlsplit(url)
    return Address((parts.hostname or "").rstrip("."), parts.port or _PORTS[parts.scheme])


def _is_one(one: Address, other: Address) -> bool:
    """Two sockets cannot listen at both."""
    if one.port != other.port or not one.port:
        return False
    mine, theirs = _hosts(one.host), _hosts(other.host)
    return _EVERY in mine | theirs or bool(mine & theirs)


def _leads_to(url: str, listening: Address) -> bool:
    """Who asks there comes to the gateway, as far as the addresses themselves tell."""
    asked = _server(url)
    if asked.port != listening.port:
        return False
    there = _hosts(asked.host)
    here = _hosts(listening.host)
    if _EVERY in there | here:
        return all(host == _EVERY or _is_loopback(host) for host in (there if _EVERY in here else here))
    return bool(there & here)


def _hosts(name: str) -> set[str]:
    """The addresses that a host stands for, without asking anybody."""
    host = name.lower().rstrip(".")
    if not host:
        return {_EVERY}
    if host == "localhost":
        return {"127.0.0.1", "::1"}
    try:
        address = ip_address(host)
    except ValueError:
        return {host}
    mapped = getattr(address, "ipv4_mapped", None)
    return {_EVERY} if address.is_unspecified else {str(mapped or address)}


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
