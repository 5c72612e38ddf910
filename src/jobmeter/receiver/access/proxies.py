"""What a proxy in front of the receiver says of a request. Of anybody else nothing of that is believed."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from starlette.types import Scope as RequestScope

from jobmeter.receiver.access.credential import Credential
from jobmeter.receiver.access.grant import Grant, Right
from jobmeter.receiver.access.rules import AccessRules
from jobmeter.receiver.store.scopes import Scope, Scopes

_READ: frozenset[Right] = frozenset({"read"})
_MAX_TEXT = 200
EVERYTHING = "*"
"""For an organization: who is in it sees all of them."""


class Proxies:
    """Believes the headers of the proxies that were named."""

    def __init__(self, rules: AccessRules) -> None:
        self._trusted = rules.trusted_proxies
        self._user = _header(rules.user_header)
        self._organizations = _header(rules.organizations_header)

    def person(self, scope: RequestScope) -> Credential | None:
        """Who the proxy says it is, and what that one sees."""
        if self._user is None or not self._is_trusted(_peer(scope)):
            return None
        names = _values(scope, self._user)
        # Two of them: one may have come from outside.
        if len(names) != 1 or not names[0].strip():
            return None
        scopes: Scopes = None
        if self._organizations is not None:
            given = ",".join(_values(scope, self._organizations)).split(",")
            scopes = scopes_of([name.strip() for name in given if name.strip()])
        return Credential(rights=_READ, grant=Grant(who=names[0].strip()[:_MAX_TEXT], scopes=scopes))

    def address_of(self, scope: RequestScope) -> str:
        """Who asks: the last one that no trusted proxy is, of those that ``X-Forwarded-For`` names."""
        peer = _peer(scope)
        if not self._trusted or not self._is_trusted(peer):
            return peer
        for name in reversed(",".join(_values(scope, b"x-forwarded-for")).split(",")):
            address = name.strip()
            if _parsed(address) is None:
                break
            peer = address
            if not self._is_trusted(address):
                break
        return peer

    def _is_trusted(self, address: str) -> bool:
        parsed = _parsed(address)
        return parsed is not None and any(parsed in network for network in self._trusted)


def scopes_of(organizations: list[str]) -> Scopes:
    """What members of these organizations see."""
    if EVERYTHING in organizations:
        return None
    return tuple(Scope(organization=name) for name in dict.fromkeys(organizations))


def _header(name: str | None) -> bytes | None:
    return None if name is None else name.lower().encode()


def _values(scope: RequestScope, header: bytes) -> list[str]:
    return [value.decode("utf-8", "replace") for name, value in scope["headers"] if name == header]


def _peer(scope: RequestScope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


@lru_cache(maxsize=1024)
def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    """The address; of one of IPv4 that came over IPv6 the former."""
    try:
        found = ip_address(address)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found
