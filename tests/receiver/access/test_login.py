"""Signing in and out, as a browser does it, and as somebody who means harm would try."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from jobmeter.receiver.access.forms import form_key, local_address
from jobmeter.receiver.access.secrets import digest_of
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.scopes import Scope
from jobmeter.receiver.store.tokens import add_token, revoke_token
from tests.receiver.api.running import PUSH, READ, RunningReceiver, running_receiver

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PROXY = ("--trusted-proxy=127.0.0.0/8", "--user-header=X-User", "--organizations-header=X-Groups")


class Site(NamedTuple):
    """A receiver with runs of two organizations, and where its database is."""

    receiver: RunningReceiver
    place: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for the tests that need no other settings."""
    directory = tmp_path_factory.mktemp("login")
    with running_receiver(directory) as receiver:
        for name in ("acme", "other"):
            receiver.push({}, organization=name, repository="r", workflow="w", job=f"job-of-{name}")
        yield Site(receiver, str(directory / "metrics.db"))


def add(place: str, name: str, **scope: str) -> str:
    """A read token of the database."""
    with closing(Database.open(place)) as database, database.writer.begin() as connection:
        add_token(
            connection, name=name, digest=digest_of(name.encode()), allows="read", now=1,
            scope=Scope(**scope) if scope else None,
        )  # fmt: skip
    time.sleep(0.4)  # What is unknown is not looked for again within a moment.
    return name


class Browser(requests.Session):
    """Keeps cookies and sends forms; it follows nothing by itself."""

    def __init__(self, receiver: RunningReceiver) -> None:
        super().__init__()
        self.headers.update(BROWSER)
        self.base = receiver.url

    def open(self, path: str) -> requests.Response:
        return self.get(self.base + path, allow_redirects=False, timeout=30)

    def submit(self, path: str, fields: dict[str, str], **headers: str) -> requests.Response:
        sent = {"Origin": self.base, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return self.post(self.base + path, fields, headers=sent, allow_redirects=False, timeout=30)

    def sign_in(self, token: str, path: str = "/login", **headers: str) -> requests.Response:
        return self.submit("/login", hidden(self.open(path)) | {"token": token}, **headers)


def hidden(answer: requests.Response) -> dict[str, str]:
    """What the form of a page sends beside what is typed in."""
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', answer.text))


def test_a_browser_is_sent_to_sign_in_and_comes_back(site):
    """The page that was wanted is there afterwards, with all its links."""
    browser = Browser(site.receiver)
    sent = browser.open("/runs?organization=acme")
    assert (sent.status_code, sent.headers["location"]) == (303, "/login?next=%2Fruns%3Forganization%3Dacme")
    entered = browser.sign_in(READ, sent.headers["location"])
    assert (entered.status_code, entered.headers["location"]) == (303, "/runs?organization=acme")
    cookie = entered.headers["set-cookie"]
    assert all(
        word in cookie for word in ("jobmeter=", "HttpOnly", "SameSite=lax", "Path=/", "Max-Age=43200")
    )
    assert READ not in cookie
    assert "job-of-acme" in browser.open("/runs?organization=acme").text
    assert browser.open("/api/v1/runs").status_code == 200
    assert browser.open("/debug/process/state").status_code == 200


def test_a_session_stores_and_mints_nothing(site):
    """A cookie comes with whatever a browser is made to send."""
    browser = Browser(site.receiver)
    browser.sign_in(READ)
    assert browser.submit("/api/v1/metrics", {}).status_code == 401
    assert browser.submit("/api/v1/token", {}).status_code == 401


def test_only_a_token_that_is_sent_mints(tmp_path):
    """Also where read tokens do: a session or a proxy's word comes with whatever another site makes a browser send."""
    job = {"organization": "acme", "repository": "acme/r", "workflow": "w", "job": "j"}
    flags = ("--hmac-key=a-key-of-the-tests", "--read-token-mints", *PROXY)
    with running_receiver(tmp_path, *flags) as receiver:
        browser = Browser(receiver)
        browser.sign_in(READ)
        address, person = f"{receiver.url}/api/v1/token", {"X-User": "ann", "X-Groups": "acme"}
        assert browser.open("/api/v1/runs").status_code == 200
        assert browser.post(address, json=job, timeout=30).status_code == 401
        assert requests.post(address, json=job, headers=person, timeout=30).status_code == 401
        sent = person | {"Authorization": f"Bearer {READ}"}
        assert requests.post(address, json=job, headers=sent, timeout=30).status_code == 201


def test_signing_out_ends_the_session(site):
    """Of the browser and of whoever copied its cookie."""
    browser = Browser(site.receiver)
    browser.sign_in(READ)
    copied = browser.cookies.copy()
    shown = browser.open("/login")
    assert "As the read token. You see everything." in shown.text
    left = browser.submit("/logout", hidden(shown))
    assert (left.status_code, left.headers["location"]) == (303, "/login")
    assert "jobmeter" not in browser.cookies
    browser.cookies.update(copied)
    assert browser.open("/").status_code == 303
    assert browser.open("/api/v1/runs").status_code == 401


def test_who_signs_in_with_a_limited_token_sees_its_runs(site):
    """Until the token is revoked: then the session is over, too."""
    browser = Browser(site.receiver)
    assert browser.sign_in(add(site.place, "acme-reader", organization="acme")).status_code == 303
    page = browser.open("/runs").text
    assert "job-of-acme" in page
    assert "job-of-other" not in page
    assert "As acme-reader. You see acme." in browser.open("/login").text
    assert browser.open("/debug/jobs/list").status_code == 403
    with closing(Database.open(site.place)) as database, database.writer.begin() as connection:
        revoke_token(connection, "acme-reader", 2)
    deadline = time.monotonic() + 20
    while browser.open("/runs").status_code != 303:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("token", ["wrong", "", PUSH, "é", "x" * 5000])
def test_what_is_no_read_token_does_not_get_in(site, token):
    """The form says so, and shows nothing of what was typed in."""
    browser = Browser(site.receiver)
    answer = browser.sign_in(token)
    assert answer.status_code == 401
    assert "This is no read token that is valid here" in answer.text
    assert len(token) < 2 or token not in answer.text
    assert "jobmeter" not in browser.cookies
    assert browser.submit("/login", hidden(answer) | {"token": READ}).status_code == 303


@pytest.mark.parametrize(
    "headers, taken",
    [
        ({}, True),
        ({"Sec_Fetch_Site": "same-origin"}, True),
        ({"Sec_Fetch_Site": "cross-site"}, False),
        ({"Sec_Fetch_Site": "same-site"}, False),
        ({"Origin": "https://elsewhere.example"}, False),
        ({"Origin": "null"}, False),
    ],
)
def test_a_form_of_another_site_is_refused(site, headers, taken):
    """Even if it knew what ours hide."""
    assert (Browser(site.receiver).sign_in(READ, **headers).status_code == 303) == taken


def test_a_form_needs_what_ours_hide(site):
    """And what belongs to the cookie of that browser."""
    browser, other = Browser(site.receiver), Browser(site.receiver)
    fields = hidden(other.open("/login"))
    assert browser.submit("/login", fields | {"token": READ}).status_code == 403
    browser.open("/login")
    assert browser.submit("/login", fields | {"token": READ}).status_code == 403
    assert browser.submit("/login", {"token": READ}).status_code == 403
    browser.sign_in(READ)
    assert browser.submit("/logout", {}).status_code == 403
    assert browser.open("/").status_code == 200


@pytest.mark.parametrize(
    "wanted, found",
    [
        ("/runs?a=b", "/runs?a=b"), ("", "/"), ("runs", "/"), ("//elsewhere.example", "/"), ("/\\elsewhere", "/"),
        ("https://elsewhere.example", "/"), ("/a\r\nSet-Cookie: x", "/"), ("/" + "a" * 3000, "/"), ("/é", "/"),
    ],
)  # fmt: skip
def test_one_goes_on_within_the_receiver(wanted, found):
    """An address of somewhere else is none."""
    assert local_address(wanted) == found


@pytest.mark.parametrize(
    "cookie",
    ["jobmeter=", "jobmeter=wrong", "jobmeter=\xff", "jobmeter", "a=b; jobmeter=x", 'jobmeter="', "=;=;"],
)
def test_a_cookie_that_is_none_is_nobody(site, cookie):
    """And is no error."""
    answer = requests.get(
        f"{site.receiver.url}/api/v1/runs", headers={"Cookie": cookie.encode("latin-1")}, timeout=30
    )
    assert answer.status_code == 401
    assert requests.get(
        f"{site.receiver.url}/login", headers={"Cookie": cookie.encode("latin-1")}, timeout=30
    ).ok


@pytest.mark.parametrize(
    "other",
    ['prefs={"theme":"dark"}', "x=a b", "x=a,b", "a[0]=1", "flag", "=", "x=\xff", 'x="a', "é=1", "$Path=/"],
)
def test_a_cookie_of_somebody_else_is_in_nobodys_way(site, other):
    """Programs of the same site set what they like; signing in, going on and signing out are as without it."""
    browser = Browser(site.receiver)
    fields = hidden(browser.open("/login"))

    def cookies() -> str:
        ours = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        return f"{other}; {ours}"

    entered = browser.submit("/login", fields | {"token": READ}, Cookie=cookies())
    assert entered.status_code == 303
    headers = {"Cookie": cookies().encode("latin-1")}
    assert requests.get(f"{site.receiver.url}/api/v1/runs", headers=headers, timeout=30).status_code == 200
    out = browser.submit("/logout", hidden(browser.open("/login")), Cookie=cookies())
    assert (out.status_code, out.headers["location"]) == (303, "/login")


@pytest.mark.parametrize("body", [b"\xff", b"a=%ff", b"&" * 100, b"a=1&" * 100, b"a" * 20_000])
def test_what_is_no_form_is_refused(site, body):
    """As a page, with a sentence."""
    headers = {"Content-Type": "application/x-www-form-urlencoded", **BROWSER}
    answer = requests.post(f"{site.receiver.url}/login", body, headers=headers, timeout=30)
    assert answer.status_code in (400, 403, 413)
    assert answer.headers["content-type"].startswith("text/html")


def test_no_secret_of_a_session_is_stored(site):
    """Only digests are."""
    browser = Browser(site.receiver)
    browser.sign_in(READ)
    secret = str(browser.cookies["jobmeter"])
    assert form_key(secret.encode()) in browser.open("/login").text
    stored = [file.read_bytes() for file in Path(site.place).parent.glob("metrics.db*")]
    assert not [one for one in stored if secret.encode() in one or READ.encode() in one]
    assert secret not in site.receiver.log.read_text()


def test_signing_in_and_out_is_audited(site):
    """By the name of the token."""
    browser = Browser(site.receiver)
    browser.sign_in(READ)
    browser.submit("/logout", hidden(browser.open("/login")))
    log = site.receiver.log.read_text()
    assert '"action":"signed in","who":"the read token","address":"127.0.0.1"' in log
    assert '"action":"signed out","who":"the read token"' in log


def test_where_browsers_come_over_https_the_cookie_goes_over_nothing_else(tmp_path):
    """And no neighbour of the same site can set it."""
    with running_receiver(tmp_path, "--public-url=https://metrics.example") as receiver:
        answer = requests.get(f"{receiver.url}/login", timeout=30)
    assert answer.headers["set-cookie"].startswith("__Host-jobmeter-form=")
    assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    "headers, seen",
    [
        ({"X-User": "ann", "X-Groups": "acme"}, {"job-of-acme"}),
        ({"X-User": "ann", "X-Groups": "acme , other"}, {"job-of-acme", "job-of-other"}),
        ({"X-User": "ann", "X-Groups": "*"}, {"job-of-acme", "job-of-other"}),
        ({"X-User": "ann", "X-Groups": ""}, set()),
        ({"X-User": "ann"}, set()),
        ({"X-User": ""}, None),
        ({"X-Groups": "*"}, None),
        ({}, None),
    ],
)
def test_a_trusted_proxy_says_who_it_is(proxied, headers, seen):
    """And which organizations are seen; without a name it is nobody."""
    answer = requests.get(f"{proxied.url}/runs", headers=BROWSER | headers, allow_redirects=False, timeout=30)
    if seen is None:
        assert answer.status_code == 303
    else:
        assert set(re.findall(r"job-of-\w+", answer.text)) == seen


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningReceiver]:
    """A receiver that believes this machine."""
    with running_receiver(tmp_path_factory.mktemp("proxied"), *PROXY) as receiver:
        for name in ("acme", "other"):
            receiver.push({}, organization=name, repository="r", workflow="w", job=f"job-of-{name}")
        yield receiver


def test_nobody_else_is_believed(tmp_path):
    """Whatever headers come from another address."""
    with running_receiver(tmp_path, "--trusted-proxy=10.0.0.1", "--user-header=X-User") as receiver:
        answer = requests.get(f"{receiver.url}/api/v1/runs", headers={"X-User": "ann"}, timeout=30)
        assert answer.status_code == 401
        assert receiver.get("/api/v1/runs").status_code == 200


def test_who_makes_cookies_up_is_told_to_come_more_slowly(tmp_path):
    """On the page that is open to everyone too; who has signed in goes on."""
    with running_receiver(tmp_path) as receiver:
        browser = Browser(receiver)
        browser.sign_in(READ)
        with requests.Session() as stranger:
            answers = [
                stranger.get(f"{receiver.url}/login", headers={"Cookie": f"jobmeter={n}"}, timeout=30)
                for n in range(400)
            ]
        assert {answer.status_code for answer in answers} == {200, 429}
        assert int(next(one for one in answers if one.status_code == 429).headers["retry-after"]) >= 1
        assert browser.open("/api/v1/runs").status_code == 200
