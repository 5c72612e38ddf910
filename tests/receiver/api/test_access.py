"""Who may what: every route of the receiver has a rule here, and keeps it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from jobmeter.ops.access import Tokens
from jobmeter.receiver.service import Receiver
from jobmeter.receiver.store.database import Database
from tests.receiver.api.running import PUSH, READ, RunningReceiver

RULES = {
    "POST /api/v1/metrics": "push",
    "GET /api/v1/metrics/repo/{org}/{repo}/{workflow}/{job}": "read",
    "GET /api/v1/sizing/repo/{org}/{repo}/{workflow}/{job}": "read",
    "GET /api/v1/runs": "read",
    "GET /api/v1/runs/{run_uid}": "read",
    "GET /api/v1/runs/{run_uid}/timeline": "read",
    "GET /api/v1/runs/{run_uid}/records": "read",
    "POST /api/v1/runs/{run_uid}/parts": "push",
    "GET /": "read",
    "GET /runs/{run_uid}": "read",
    "GET /healthz": "open",
    "GET /readyz": "open",
    "GET /metrics": "open",
    "GET /openapi.json": "open",
    "GET /debug/process/state": "debug",
    "GET /debug/jobs/list": "debug",
    "GET /debug/pprof": "debug",
    "GET /debug/pprof/": "debug",
    "GET /debug/pprof/profile": "debug",
    "GET /debug/pprof/trace": "debug",
    "GET /debug/pprof/heap": "debug",
    "GET /debug/pprof/allocs": "debug",
    "GET /debug/pprof/goroutine": "debug",
    "GET /debug/pprof/cmdline": "debug",
    "GET /debug/pprof/symbol": "debug",
    "POST /debug/pprof/symbol": "debug",
    "GET /debug/pprof/block": "debug",
    "GET /debug/pprof/mutex": "debug",
    "GET /debug/pprof/threadcreate": "debug",
}
ADMITTED = {
    "open": ("nobody", "wrong", "read", "push"), "read": ("read",), "push": ("push",), "debug": ("read",),
}  # fmt: skip
PAGES = ("GET /", "GET /runs/{run_uid}", "GET /debug/pprof/")
TIMED = tuple(f"GET /debug/pprof/{name}" for name in ("profile", "trace", "heap", "allocs"))


class Who(NamedTuple):
    """One who asks, and what is sent for it."""

    name: str
    header: str | None
    user_and_password: tuple[str, str] | None = None


EVERYBODY = (
    Who("nobody", None),
    Who("nobody", "Bearer"),
    Who("nobody", "Bearer "),
    Who("wrong", "Bearer wrong"),
    Who("wrong", f"Bearer {READ}x"),
    Who("wrong", f"Bearer {READ[:-1]}"),
    Who("wrong", f"Token {READ}"),
    Who("wrong", "Basic !!!"),
    Who("wrong", None, (READ, "")),
    Who("wrong", None, ("anyone", "wrong")),
    Who("read", f"Bearer {READ}"),
    Who("read", None, ("anyone", READ)),
    Who("push", f"Bearer {PUSH}"),
)


def ask(receiver: RunningReceiver, rule: str, who: Who) -> requests.Response:
    """The request of a rule, with nothing in it that would be stored."""
    method, path = rule.split(" ")
    if rule in TIMED:
        path += "?seconds=0.01"
    headers = {"Authorization": who.header} if who.header is not None else {}
    return requests.request(
        method, receiver.url + path, headers=headers, auth=who.user_and_password, timeout=30, data=b""
    )


class Quiet:
    """Takes messages."""

    def warn(self, message: str, **fields: object) -> None:
        raise AssertionError(message)


def test_every_route_has_a_rule(tmp_path: Path) -> None:
    """A new route without a line in the table fails here."""
    with closing(Database.open(str(tmp_path / "metrics.db"))) as database:
        table = Receiver(database, Tokens(), Quiet(), lost_after_seconds=1.0).application.router.routes
    assert {f"{route.method} {route.path}": route.access for route in table} == RULES


def test_the_document_has_all_but_the_inside_of_the_process(receiver: RunningReceiver) -> None:
    """What clients may rely on."""
    paths = receiver.get("/openapi.json").json()["paths"]
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert routes == {rule for rule, access in RULES.items() if access != "debug"}


@pytest.mark.parametrize(
    "who", EVERYBODY, ids=lambda who: f"{who.name}-{who.header or who.user_and_password}"
)
@pytest.mark.parametrize("rule", RULES)
def test_only_who_may_gets_in(receiver: RunningReceiver, rule: str, who: Who) -> None:
    """All others get 401, the challenge of the route, and a sentence without a token in it."""
    answer = ask(receiver, rule, who)
    if who.name in ADMITTED[RULES[rule]]:
        assert answer.status_code != 401
        return
    assert answer.status_code == 401
    challenge = "Basic" if rule in PAGES else "Bearer"
    assert answer.headers["www-authenticate"].split()[0] == challenge
    assert answer.headers["content-type"] == "application/problem+json"
    assert READ not in answer.text
    assert PUSH not in answer.text


@pytest.mark.parametrize("rule", RULES)
def test_a_parameter_that_no_route_knows_is_refused(receiver: RunningReceiver, rule: str) -> None:
    """It was meant to change the answer; only who probes or scrapes may send any."""
    token = {"read": READ, "push": PUSH, "debug": READ}.get(RULES[rule], "")
    answer = ask(receiver, f"{rule}?limti=1", Who("", f"Bearer {token}"))
    if RULES[rule] == "open":
        assert answer.status_code == 200
    else:
        assert answer.status_code == 400
        assert "limti" in answer.text
