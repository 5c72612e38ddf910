"""Lines of the audit."""

from __future__ import annotations

from typing import Any

import pytest

from jobmeter.ops.routing import Route
from jobmeter.receiver.access.audit import Audit


class Lines:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def info(self, message: str, **fields: object) -> None:
        self.lines.append({"message": message, **fields})


async def nothing(scope, receive, send):
    """No test calls it."""


ROUTE = Route("GET", "/x", nothing, "read", "")


def test_what_was_done_says_who_and_from_where():
    """Every time."""
    log = Lines()
    for _ in range(2):
        Audit(log).done("token minted", who="ci", at="10.0.0.1", job="o/r/w/j")
    assert (
        log.lines
        == [
            {
                "message": "audit",
                "action": "token minted",
                "who": "ci",
                "address": "10.0.0.1",
                "job": "o/r/w/j",
            }
        ]
        * 2
    )


def test_refusals_are_told_sparingly(monkeypatch: pytest.MonkeyPatch):
    """Once in ten seconds of an address, with how many were not told; of another one at once."""
    now = [0.0]
    monkeypatch.setattr("jobmeter.receiver.access.audit.time.monotonic", lambda: now[0])
    log = Lines()
    one = Audit(log)
    for address in ("a", "a", "b", "a"):
        one.refused(ROUTE, address, 401)
    now[0] = 10.0
    one.refused(ROUTE, "a", 429)
    assert [(line["address"], line["unsaid"], line["status"]) for line in log.lines] == [
        ("a", 0, 401), ("b", 0, 401), ("a", 2, 429),
    ]  # fmt: skip
    assert log.lines[0]["route"] == "GET /x"


@pytest.mark.parametrize(
    "pattern, lines",
    [("2001:db8::{:x}", 1), ("2001:db8::{:x}:1", 1), ("2001:db8:0:{:x}::1", 60), ("10.0.0.{}", 60),
     ("::ffff:10.0.0.{}", 60)],
)  # fmt: skip
def test_who_has_a_network_is_told_of_once(pattern, lines):
    """Over IPv6 one has all addresses of a /64; over IPv4 each may be somebody else."""
    log = Lines()
    one = Audit(log)
    for number in range(60):
        one.refused(ROUTE, pattern.format(number), 401)
    assert len(log.lines) == lines


def test_only_so_many_addresses_are_remembered():
    """However many come."""
    one = Audit(Lines())
    for number in range(3000):
        one.refused(ROUTE, str(number), 401)
    assert len(one._said_at) == 1024
