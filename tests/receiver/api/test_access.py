"""Who may what: every route of the receiver has a row here, and keeps to it.

Rows are asked by everybody: nobody, tokens of the settings and of the database, of other organizations and jobs, those
that were revoked or have expired. What is not somebody's looks to them as if it were not there.
"""

from __future__ import annotations

import base64
import itertools
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import msgspec
import pytest
import requests

from jobmeter.model import wire
from jobmeter.model.evidence.document import encode
from jobmeter.model.exits import Exit
from jobmeter.receiver.access.job_tokens import JobTokens
from jobmeter.receiver.access.rules import AccessRules, OidcRules
from jobmeter.receiver.access.secrets import digest_of, fingerprint_of
from jobmeter.receiver.service import Receiver
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.scopes import Scope
from jobmeter.receiver.store.tokens import add_token, revoke_token
from tests.model.evidence.examples import evidence
from tests.receiver.api.running import PUSH, READ, RunningReceiver, running_receiver
from tests.receiver.api.test_runs import WHEN, records_of, summary_of, uid

ORGANIZATION, REPOSITORY, WORKFLOW, JOB = "hidden-org", "hidden-repo", "hidden.yml", "hidden-job"
NAMES = {
    "organization": ORGANIZATION, "repository": f"{ORGANIZATION}/{REPOSITORY}", "workflow": WORKFLOW, "job": JOB,
}  # fmt: skip
OWN = Scope(organization=ORGANIZATION, repository=REPOSITORY, workflow=WORKFLOW, job=JOB)
OTHER_JOB = Scope(organization=ORGANIZATION, repository=REPOSITORY, workflow=WORKFLOW, job="other")
ELSEWHERE = OidcRules(issuer="https://id.example", client_id="x", public_url="https://metrics.example")
KEY, OTHER_KEY = "a-key-of-the-tests", "another-key-of-the-tests"
FINISHED, RUNNING, PUSHED = uid(901), uid(902), uid(903)
DAY = "2026-11-21"


class Row(NamedTuple):
    """A route: who may ask, and what its answer is about: one run, all of a list, a job, or nothing of the kind."""

    access: str
    about: str = ""
    is_page: bool = False


ROUTES = {
    "POST /api/v1/metrics": Row("push"),
    "POST /api/v1/runs/{run_uid}/parts": Row("push"),
    "POST /api/v1/runs/{run_uid}/evidence": Row("push"),
    "POST /api/v1/evidence": Row("push"),
    "POST /api/v1/token": Row("mint"),
    "GET /api/v1/metrics/repo/{org}/{repo}/{workflow}/{job}": Row("read", "names"),
    "GET /api/v1/sizing/repo/{org}/{repo}/{workflow}/{job}": Row("read", "names"),
    "GET /api/v1/runs": Row("read", "list"),
    "GET /api/v1/runs/{run_uid}": Row("read", "run"),
    "GET /api/v1/runs/{run_uid}/timeline": Row("read", "run"),
    "GET /api/v1/runs/{run_uid}/timeline.csv": Row("read", "run"),
    "GET /api/v1/runs/{run_uid}/records": Row("read", "run"),
    "GET /api/v1/runs/{run_uid}/evidence": Row("read", "run"),
    "GET /api/v1/now": Row("read", "list"),
    "GET /api/v1/history/repo/{org}/{repo}/{workflow}/{job}": Row("read", "names"),
    "GET /api/v1/history": Row("read", "names"),
    "GET /api/v1/repositories": Row("read", "list"),
    "GET /api/v1/repositories/{org}/{repo}": Row("read", "repository"),
    "GET /api/v1/compare": Row("read", "run"),
    "GET /api/v1/compare/repo/{org}/{repo}/{workflow}/{job}": Row("read", "names"),
    "GET /api/v1/fleet": Row("read", "list"),
    "GET /": Row("read", "list", is_page=True),
    "GET /runs": Row("read", "list", is_page=True),
    "GET /runs/{run_uid}": Row("read", "run", is_page=True),
    "GET /repositories": Row("read", "list", is_page=True),
    "GET /repositories/{org}/{repo}": Row("read", "repository", is_page=True),
    "GET /jobs/{org}/{repo}/{workflow}/{job}": Row("read", "names", is_page=True),
    "GET /jobs/{org}/{repo}/{workflow}/{job}/sizing": Row("read", "names", is_page=True),
    "GET /jobs/{org}/{repo}/{workflow}/{job}/compare": Row("read", "names", is_page=True),
    "GET /jobs/{org}/{repo}/{workflow}/{job}/charts/{key}": Row("read", "names"),
    "GET /compare": Row("read", "run", is_page=True),
    "GET /fleet": Row("read", "list", is_page=True),
    "GET /fleet/charts/{key}": Row("read", "list"),
    "GET /runs/{run_uid}/charts/{key}": Row("read", "run"),
    "GET /runs/{run_uid}/events": Row("read", "run"),
    "GET /now/events": Row("read", "list"),
    "GET /assets/{name}": Row("open"),
    "GET /login": Row("open", is_page=True),
    "POST /login": Row("open", is_page=True),
    "POST /logout": Row("open", is_page=True),
    "GET /login/oidc": Row("open", is_page=True),
    "GET /login/oidc/back": Row("open", is_page=True),
    "GET /healthz": Row("open"),
    "GET /readyz": Row("open"),
    "GET /metrics": Row("open"),
    "GET /openapi.json": Row("open"),
    "GET /debug/process/state": Row("debug"),
    "GET /debug/jobs/list": Row("debug"),
    "GET /debug/pprof": Row("debug"),
    "GET /debug/pprof/": Row("debug", is_page=True),
    "GET /debug/pprof/profile": Row("debug"),
    "GET /debug/pprof/trace": Row("debug"),
    "GET /debug/pprof/heap": Row("debug"),
    "GET /debug/pprof/allocs": Row("debug"),
    "GET /debug/pprof/goroutine": Row("debug"),
    "GET /debug/pprof/cmdline": Row("debug"),
    "GET /debug/pprof/symbol": Row("debug"),
    "POST /debug/pprof/symbol": Row("debug"),
    "GET /debug/pprof/block": Row("debug"),
    "GET /debug/pprof/mutex": Row("debug"),
    "GET /debug/pprof/threadcreate": Row("debug"),
}
NOT_IN_THE_DOCUMENT = {
    "GET /login", "POST /login", "POST /logout", "GET /login/oidc", "GET /login/oidc/back", "GET /assets/{name}",
    "GET /jobs/{org}/{repo}/{workflow}/{job}/charts/{key}", "GET /fleet/charts/{key}",
    "GET /runs/{run_uid}/charts/{key}", "GET /runs/{run_uid}/events", "GET /now/events",
}  # fmt: skip
TIMED = tuple(f"GET /debug/pprof/{name}" for name in ("profile", "trace", "heap", "allocs"))
ENDLESS = ("GET /now/events", "GET /runs/{run_uid}/events")

# What each may do with any row of a kind; all else is 401.
READERS = {"read", "stored read", "read of the organization", "read of another organization"}
JOBS = {"the job", "another job", "a job of an earlier release"}
PUSHERS = {"push", "stored push", "push of the organization", *JOBS}
MINTERS = {"mint", "mint of another organization"}
MAY = {"read": READERS, "debug": {"read", "stored read"}, "push": PUSHERS, "mint": MINTERS}
STORED = {
    "stored read": ("read", None),
    "stored push": ("push", None),
    "mint": ("mint", None),
    "read of the organization": ("read", Scope(organization=ORGANIZATION)),
    "read of another organization": ("read", Scope(organization="hidden")),
    "push of the organization": ("push", Scope(organization=ORGANIZATION)),
    "mint of another organization": ("mint", Scope(organization="hidden")),
}
NOBODY = {
    "nothing": None,
    "an empty header": "",
    "a scheme alone": "Bearer",
    "no token": "Bearer ",
    "another token": "Bearer wrong",
    "one that goes on": f"Bearer {READ}x",
    "one cut short": f"Bearer {READ[:-1]}",
    "another scheme": f"Token {READ}",
    "a broken password": "Basic !!!",
    "a name for a password": "Basic " + base64.b64encode(f"{READ}:".encode()).decode(),
}


class Guarded(NamedTuple):
    """A receiver, and what each who asks sends."""

    receiver: RunningReceiver
    headers: dict[str, str | None]


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def guarded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """With runs of one organization, that stream, that are over, that were pushed."""
    directory = tmp_path_factory.mktemp("guarded")
    with ExitStack() as stack:
        place = str(directory / "metrics.db")
        if request.param == "postgresql":
            place = stack.enter_context(request.getfixturevalue("postgresql").database())
        headers = NOBODY | {who: f"Bearer {token}" for who, token in tokens(place).items()}
        headers |= {"read by password": "Basic " + base64.b64encode(f"anyone:{READ}".encode()).decode()}
        running = running_receiver(directory, f"--db={place}", f"--hmac-key={KEY}")
        receiver = stack.enter_context(running)
        receiver.stream(named(FINISHED, records_of(901)))
        receiver.stream(named(RUNNING, records_of(902, whole=False)))
        receiver.push(summary_of(903, **NAMES), **NAMES)
        assert receiver.attach(RUNNING, encode(evidence(**WHEN))).status_code == 200
        whole = summary_of(904, **NAMES)
        whole.exit = Exit(reason="success", code=0)
        receiver.push(whole, **NAMES)
        yield Guarded(receiver, headers)


def named(run_uid: str, records: list[wire.AnyRecord]) -> list[wire.AnyRecord]:
    """Records of a run of the hidden job."""
    start, *rest = records
    assert isinstance(start, wire.Start)
    job = msgspec.structs.replace(start.job, **NAMES)
    return [msgspec.structs.replace(start, job=job), *rest]


def tokens(place: str) -> dict[str, str]:
    """Everybody's token, those of the database in it."""
    now = int(time.time() * 1000)
    found = {"read": READ, "push": PUSH}
    with closing(Database.open(place)) as database, database.writer.begin() as connection:

        def add(who: str, right: str, scope: Scope | None, expires_at: int | None = None) -> None:
            found[who] = f"secret of {who}".replace(" ", "-")
            add_token(
                connection, name=who, digest=digest_of(found[who].encode()), allows=right, scope=scope, now=now,
                expires_at=expires_at,
            )  # fmt: skip

        for who, (right, scope) in STORED.items():
            add(who, right, scope)
        for right in ("read", "push", "mint"):
            add(f"expired {right}", right, None, now - 1)
            add(f"revoked {right}", right, None)
            revoke_token(connection, f"revoked {right}", now)
    signer = JobTokens(KEY)
    by_mint, by_revoked, by_expired = (
        fingerprint_of(digest_of(found[who].encode())) for who in ("mint", "revoked mint", "expired mint")
    )
    # Its number in the database: a release before this one told that.
    number = list(STORED).index("mint") + 1
    found["the job"] = signer.mint(OWN, 3600, None)[0]
    found["another job"] = signer.mint(OTHER_JOB, 3600, by_mint)[0]
    found["a job of an earlier release"] = signer.mint(OWN, 3600, number)[0]  # type: ignore[arg-type]
    found["an expired job"] = signer.mint(OWN, -1, None)[0]
    found["a job of a revoked mint"] = signer.mint(OWN, 3600, by_revoked)[0]
    found["a job of an expired mint"] = signer.mint(OWN, 3600, by_expired)[0]
    found["a job of a mint that is nobody's"] = signer.mint(OWN, 3600, fingerprint_of(b"of no token"))[0]
    found["a job of a mint by a number of nobody's"] = signer.mint(OWN, 3600, 999)[0]  # type: ignore[arg-type]
    found["a job by another key"] = JobTokens(OTHER_KEY).mint(OWN, 3600, None)[0]
    claims, _, mac = found["the job"].partition(".")
    found["a job with other claims"] = f"{found['another job'].partition('.')[0]}.{mac}"
    found["a job without its mac"] = f"{claims}."
    return found


EVERYBODY = (
    *NOBODY, "read", "read by password", "push", *STORED,
    *(f"{state} {right}" for state in ("expired", "revoked") for right in ("read", "push", "mint")),
    *sorted(JOBS), "an expired job", "a job of a revoked mint", "a job of an expired mint",
    "a job of a mint that is nobody's", "a job of a mint by a number of nobody's", "a job by another key",
    "a job with other claims", "a job without its mac",
)  # fmt: skip


def path_of(
    route: str, run_uid: str = "none", names: tuple[str, str, str, str] = ("o", "r", "w", "j")
) -> str:
    """The path of a route, about a run or a job."""
    values = dict(zip(("org", "repo", "workflow", "job"), names, strict=True))
    key = "runs" if "/jobs/" in route else "days" if "/fleet/" in route else "cpu"
    values |= {"run_uid": run_uid, "key": key, "name": "x"}
    found = re.sub(r"\{(\w+)\}", lambda match: values[match[1]], route.partition(" ")[2])
    return found + _query(route, run_uid, names)


def _query(route: str, run_uid: str, names: tuple[str, str, str, str]) -> str:
    """What some routes must be asked with, or what their answer is about."""
    if route in TIMED:
        return "?seconds=0.01"
    if route == "GET /api/v1/history":
        return "?" + urlencode(dict(zip(NAMES, names, strict=True)))
    if "/compare" in route:
        side = "refs/heads/main" if "{job}" in route else run_uid
        return f"?before={side}&after={side}"
    return f"?since={DAY}&until={DAY}" if "/fleet" in route else ""


def ask(
    receiver: RunningReceiver, route: str, header: str | None, path: str, body: bytes = b""
) -> requests.Response:
    """One request; of an answer without an end what comes first."""
    headers = {} if header is None else {"Authorization": header}
    answer = requests.request(
        route.partition(" ")[0], receiver.url + path, headers=headers, timeout=30, data=body, stream=True
    )
    with answer:
        if route in ENDLESS and answer.status_code == 200:
            answer._content = b"".join(itertools.islice(answer.iter_content(None), 2))
        assert isinstance(answer.content, bytes)
    return answer


class Quiet:
    """Takes messages."""

    def warn(self, message: str, **fields: object) -> None:
        raise AssertionError(message)

    info = warn


def test_every_route_has_a_row(tmp_path: Path) -> None:
    """A new route without a line in the table fails here."""
    with closing(Database.open(str(tmp_path / "metrics.db"))) as database:
        receiver = Receiver(database, AccessRules(oidc=ELSEWHERE), Quiet(), lost_after_seconds=1.0)
        table = receiver.application.router.routes
    found = {f"{route.method} {route.path}": (route.access, route.challenge == "Basic") for route in table}
    assert found == {route: (row.access, row.is_page) for route, row in ROUTES.items()}


def test_every_reading_says_what_it_is_about() -> None:
    """So that the tests below know how to look for what must not be seen."""
    assert {row.about for row in ROUTES.values() if row.access == "read"} <= {
        "run",
        "list",
        "names",
        "repository",
    }


def test_the_document_has_all_that_programs_may_rely_on(receiver: RunningReceiver) -> None:
    """Not the inside of the process, nor what pages ask for themselves."""
    paths = receiver.get("/openapi.json").json()["paths"]
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert routes == {name for name, row in ROUTES.items() if row.access != "debug"} - NOT_IN_THE_DOCUMENT


@pytest.mark.parametrize("who", EVERYBODY)
@pytest.mark.parametrize("route", ROUTES)
def test_only_who_may_gets_in(guarded: Guarded, route: str, who: str) -> None:
    """All others get 401, the challenge of the route, and a sentence without a token in it."""
    row, header = ROUTES[route], guarded.headers[who]
    answer = ask(guarded.receiver, route, header, path_of(route))
    if row.access == "open" or who.removesuffix(" by password") in MAY[row.access]:
        assert answer.status_code not in (401, 429)
        return
    if row.access == "debug" and who in READERS:
        assert answer.status_code == 403  # It tells of all runs.
        return
    # Who is refused often is told to come more slowly; with a good token nobody notices.
    assert answer.status_code in (401, 429)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (
        not header
        or header.split(" ")[-1] in ("", "Bearer", "wrong")
        or header.split(" ")[-1] not in answer.text
    )
    if answer.status_code == 401:
        challenge = "Basic" if row.is_page else "Bearer"
        assert answer.headers["www-authenticate"].split()[0] == challenge
    else:
        assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize("route", [name for name, row in ROUTES.items() if row.access == "read"])
def test_runs_of_another_organization_are_as_if_they_were_not_there(guarded: Guarded, route: str) -> None:
    """The same answer, but for the name that was asked for; who may see them gets another one."""
    row, receiver = ROUTES[route], guarded.receiver
    stranger = guarded.headers["read of another organization"]
    if row.about == "list":
        told = ask(receiver, route, stranger, path_of(route)).text
        assert not [word for word in (ORGANIZATION, REPOSITORY, JOB, RUNNING, PUSHED) if word in told]
        path = path_of(route)
    elif row.about == "run":
        for run_uid in (FINISHED, RUNNING, PUSHED):
            hidden = ask(receiver, route, stranger, path_of(route, run_uid))
            missing = ask(receiver, route, stranger, path_of(route, "0" * 36))
            assert hidden.status_code == missing.status_code == 404
            assert hidden.text.replace(run_uid, "0" * 36) == missing.text
        path = path_of(route, PUSHED if "/compare" in route else RUNNING)
    else:
        path = path_of(route, names=(ORGANIZATION, REPOSITORY, WORKFLOW, JOB))
        hidden = ask(receiver, route, stranger, path)
        missing = ask(receiver, route, stranger, path.replace("hidden", "absent"))
        assert hidden.status_code == missing.status_code
        assert hidden.text.replace("hidden", "absent") == missing.text
        assert ask(receiver, route, guarded.headers["read of the organization"], path).text != hidden.text
    seen = ask(receiver, route, guarded.headers["read of the organization"], path)
    everything = ask(receiver, route, guarded.headers["read"], path)
    # A chart of days needs two of them.
    assert seen.status_code == everything.status_code == (404 if "/fleet/charts" in route else 200)


@pytest.mark.parametrize("who", ["another job", "the job"])
@pytest.mark.parametrize(
    "change",
    ["the summary", "a new run", "more of the run", "a sign of life", "the start", "the end", "evidence"],
)
def test_a_job_stores_its_own_runs_and_no_others(guarded: Guarded, who: str, change: str) -> None:
    """In every way there is; nothing of another one changes."""
    receiver, header = guarded.receiver, guarded.headers[who]
    own = who == "the job"
    number = 910 + 10 * own
    receiver.stream(named(uid(number), records_of(number, whole=False)))
    records = named(uid(number), records_of(number))
    path = f"/api/v1/runs/{uid(number)}/parts"
    begun = named(uid(number + 2), records_of(number + 2))[:1]
    bodies = {
        "the summary": ("/api/v1/metrics", _push(summary_of(number, **NAMES))),
        "a new run": ("/api/v1/metrics", _push(summary_of(number + 1, **NAMES))),
        "more of the run": (path, _part(records[-1:])),
        "a sign of life": (path, b""),
        "the start": (f"/api/v1/runs/{uid(number + 2)}/parts", _part(begun)),
        "the end": (path, _part(records[-1:])),
        "evidence": (f"/api/v1/runs/{uid(number)}/evidence", encode(evidence(**WHEN))),
    }
    before = receiver.get(f"/api/v1/runs/{uid(number)}").text
    answer = ask(receiver, "POST /", header, *bodies[change])
    if own:
        assert answer.status_code in (200, 201)
        return
    assert answer.status_code == 403
    assert receiver.get(f"/api/v1/runs/{uid(number)}").text == before
    assert receiver.get(f"/api/v1/runs/{uid(number + 1)}").status_code == 404


def _push(summary: object) -> bytes:
    return msgspec.json.encode({"execution": NAMES, "run_summary": summary})


def _part(records: list[wire.AnyRecord]) -> bytes:
    return b"".join(wire.encode(record) + b"\n" for record in records)


@pytest.mark.parametrize(
    "token, told",
    [
        (PUSH, "was sent a token that may only store runs: it needs the read token"),
        ("nonsense", "was sent a token that is not the read token"),
        (None, "needs the read token"),
    ],
)
def test_who_reads_with_a_token_that_stores_is_told(
    receiver: RunningReceiver, token: str | None, told: str
) -> None:
    """Others learn nothing of which tokens there are."""
    answer = receiver.get("/api/v1/runs", token=token)
    assert answer.status_code == 401
    assert f"This route {told};" in answer.text


@pytest.mark.parametrize("route", ROUTES)
def test_a_parameter_that_no_route_knows_is_refused(guarded: Guarded, route: str) -> None:
    """It was meant to change the answer; only who probes or scrapes may send any."""
    who = {"read": "read", "push": "push", "debug": "read", "mint": "mint"}.get(
        ROUTES[route].access, "nothing"
    )
    answer = ask(guarded.receiver, route, guarded.headers[who], path_of(route).partition("?")[0] + "?limti=1")
    if ROUTES[route].access == "open":
        assert answer.status_code in (200, 400, 403, 404)
    else:
        assert answer.status_code == 400
        assert "limti" in answer.text


def test_nothing_of_a_token_is_in_the_log(guarded: Guarded) -> None:
    """Whoever was refused, and with what."""
    log = guarded.receiver.log.read_text()
    shown = [header.split(" ")[-1] for header in guarded.headers.values() if header and len(header) > 20]
    assert "audit" in log
    assert [token for token in shown if token in log] == []
