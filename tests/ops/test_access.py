"""Who is let in with what."""

from __future__ import annotations

import base64

import pytest

from jobmeter.ops.access import Tokens, warn_of_who_may
from jobmeter.ops.problems import Problem
from jobmeter.ops.routing import Route


async def nothing(scope, receive, send):
    """No test calls it."""


class Messages:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.warned: list[str] = []

    def warn(self, message: str, **fields: object) -> None:
        self.warned.append(message)


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def allowed(tokens: Tokens, access: str, authorization: str | None) -> bool:
    headers = [] if authorization is None else [(b"authorization", authorization.encode())]
    try:
        tokens.admit(Route("GET", "/", nothing, access, ""), {"headers": headers})  # type: ignore[arg-type]
    except Problem as problem:
        return (problem.status, problem.headers["WWW-Authenticate"]) != (401, 'Bearer realm="jobmeter"')
    return True


@pytest.mark.parametrize(
    "authorization, access",
    [
        (None, {"open"}),
        ("Bearer r", {"open", "read", "debug"}),
        ("bearer r", {"open", "read", "debug"}),
        ("Bearer p", {"open", "push"}),
        ("Bearer wrong", {"open"}),
        ("Bearer", {"open"}),
        ("Bearer é", {"open"}),
        (basic("anyone:r"), {"open", "read", "debug"}),
        (basic("anyone:p"), {"open", "push"}),
        (basic("r"), {"open"}),
        ("Basic ###", {"open"}),
        ("Digest r", {"open"}),
    ],
)
def test_a_token_opens_its_routes_and_no_others(authorization, access):
    """As Bearer, or as the password of Basic."""
    tokens = Tokens(read="r", push="p")
    assert {one for one in ("open", "read", "push", "debug") if allowed(tokens, one, authorization)} == access


def test_a_token_that_is_not_set_is_not_asked_for():
    """Each by itself, as in seed 000."""
    assert allowed(Tokens(push="p"), "read", None)
    assert not allowed(Tokens(push="p"), "push", None)


@pytest.mark.parametrize("loopback", [True, False])
def test_the_inside_of_a_process_is_for_this_machine_where_there_is_no_token(loopback):
    """With a token it is for who has it, wherever it listens."""
    route = Route("GET", "/debug/x", nothing, "debug", "")
    if loopback:
        Tokens(push="p", loopback=True).admit(route, {"headers": []})
    else:
        with pytest.raises(Problem, match="loopback") as raised:
            Tokens(push="p").admit(route, {"headers": [(b"authorization", b"Bearer p")]})
        assert raised.value.status == 403
    assert allowed(Tokens(read="r", loopback=loopback), "debug", "Bearer r")
    assert not allowed(Tokens(read="r", loopback=loopback), "debug", None)


def test_a_page_asks_by_basic():
    """So that a browser shows its window."""
    route = Route("GET", "/", nothing, "read", "", challenge="Basic")
    with pytest.raises(Problem) as raised:
        Tokens(read="r").admit(route, {"headers": []})
    assert raised.value.headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize(
    "tokens, said",
    [
        (
            {"ask": ("R", None), "store": ("P", None)},
            "may ask and store: set R and P, or listen on 127.0.0.1",
        ),
        ({"ask": ("R", "r"), "store": ("P", None)}, "may store: set P, or listen on 127.0.0.1"),
        ({"ask": ("R", "r"), "store": ("P", "p")}, None),
    ],
)
def test_what_is_open_to_everyone_is_said_loudly(tokens, said):
    """With what would close it, and without the tokens there are."""
    log = Messages()
    warn_of_who_may(tokens, log)
    assert log.warned == ([] if said is None else [f"ANYONE who reaches this address {said}"])
