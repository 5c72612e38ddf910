"""Whom a proxy speaks for, and from where a request comes."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from jobmeter.receiver.access.proxies import Proxies
from jobmeter.receiver.access.rules import AccessRules

RULES = AccessRules(trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("fd00::/8")), user_header="X-User")


def scope(peer: str | None, *headers: tuple[str, str]):
    """A request from there."""
    told = [(name.lower().encode(), value.encode()) for name, value in headers]
    return {"client": None if peer is None else (peer, 1), "headers": told}


@pytest.mark.parametrize(
    "peer, forwarded, found",
    [
        ("1.2.3.4", [], "1.2.3.4"),
        ("1.2.3.4", ["5.6.7.8"], "1.2.3.4"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["5.6.7.8"], "5.6.7.8"),
        ("::ffff:10.0.0.1", ["5.6.7.8"], "5.6.7.8"),
        ("10.0.0.1", ["9.9.9.9, 5.6.7.8, 10.0.0.2"], "5.6.7.8"),
        ("10.0.0.1", ["9.9.9.9", "5.6.7.8"], "5.6.7.8"),
        ("10.0.0.1", ["9.9.9.9, nonsense, 10.0.0.2"], "10.0.0.2"),
        ("fd00::1", ["2001:db8::1"], "2001:db8::1"),
        ("10.0.0.1", ["10.0.0.3"], "10.0.0.3"),
        (None, ["5.6.7.8"], ""),
    ],
)
def test_the_address_is_the_last_one_that_is_believed(peer, forwarded, found):
    """What comes before it may have been made up."""
    assert Proxies(RULES).address_of(scope(peer, *(("X-Forwarded-For", one) for one in forwarded))) == found


@pytest.mark.parametrize(
    "peer, headers, who",
    [
        ("10.0.0.1", [("X-User", "ann")], "ann"),
        ("::ffff:10.0.0.1", [("x-user", " ann ")], "ann"),
        ("1.2.3.4", [("X-User", "ann")], None),
        (None, [("X-User", "ann")], None),
        ("unix", [("X-User", "ann")], None),
        ("10.0.0.1", [], None),
        ("10.0.0.1", [("X-User", "ann"), ("X-User", "eve")], None),
        ("10.0.0.1", [("X-User", "x" * 1000)], "x" * 200),
    ],
)
def test_only_a_trusted_proxy_names_people(peer, headers, who):
    """And only one of them."""
    found = Proxies(RULES).person(scope(peer, *headers))
    assert (None if found is None else found.grant.who) == who
    assert found is None or found.grant.scopes is None
