"""Signing in with an account elsewhere, at a provider of the tests' own."""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from joserfc.jwk import RSAKey

from tests.receiver.api.running import RunningReceiver, running_receiver
from tests.support.oidc_provider import CLIENT, SECRET, Provider, provider
from tests.support.receivers import closed_port

LONG_AGO, LONG_AFTER = 1_000_000_000, 4_000_000_000
BROWSER = {"Accept": "text/html,*/*;q=0.8"}


class Site(NamedTuple):
    """A receiver, and where its people sign in."""

    receiver: RunningReceiver
    provider: Provider


@contextmanager
def signed_in_at(there: Provider, directory: Path, *flags: str) -> Iterator[Site]:
    """A receiver with runs of two organizations; browsers reach it where it listens."""
    port = closed_port()
    with running_receiver(
        directory, f"--listen=127.0.0.1:{port}", f"--public-url=http://127.0.0.1:{port}",
        f"--oidc-issuer={there.issuer}", f"--oidc-client-id={CLIENT}", "--oidc-client-secret-file=secret", *flags,
    ) as receiver:  # fmt: skip
        for name in ("acme", "other"):
            receiver.push({}, organization=name, repository="r", workflow="w", job=f"job-of-{name}")
        yield Site(receiver, there)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for the tests that need no other settings: groups are organizations by another name."""
    directory = tmp_path_factory.mktemp("oidc")
    (directory / "secret").write_text(SECRET)
    with ExitStack() as stack:
        there = stack.enter_context(provider())
        groups = ("--oidc-organizations-claim=groups", "--oidc-group=dev=acme,ops=*,x=y=other")
        yield stack.enter_context(signed_in_at(there, directory, *groups))


@pytest.fixture
def site(running: Site) -> Site:
    """The same, with a provider that does all right and says that somebody is a developer."""
    there = running.provider
    there.claims, there.header, there.signing, there.error = {"groups": ["dev"]}, {}, None, None
    there.left_out, there.places = set(), {}
    return running


class Person(requests.Session):
    """A browser that signs in step by step."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.headers.update(BROWSER)
        self.base = site.receiver.url

    def open(self, address: str) -> requests.Response:
        found = address if address.startswith("http") else self.base + address
        return self.get(found, allow_redirects=False, timeout=30)

    def way(self, wanted: str = "/runs") -> str:
        """To the provider and back: the address that it leads to."""
        there = self.open(f"/login/oidc?next={wanted}")
        assert there.status_code == 303, there.text
        return self.open(there.headers["location"]).headers["location"]

    def sign_in(self, wanted: str = "/runs") -> requests.Response:
        return self.open(self.way(wanted))

    def seen(self) -> set[str]:
        return set(re.findall(r"job-of-\w+", self.open("/runs").text))


def test_somebody_signs_in_and_sees_what_is_theirs(site):
    """The login page leads there; one comes back to the page that was wanted, with a session."""
    person = Person(site)
    login = person.open(person.open("/runs?organization=acme").headers["location"])
    (link,) = re.findall(r'href="(/login/oidc[^"]*)"', login.text)
    entered = person.open(person.open(person.open(link).headers["location"]).headers["location"])
    assert (entered.status_code, entered.headers["location"]) == (303, "/runs?organization=acme")
    assert person.seen() == {"job-of-acme"}
    assert "As ann. You see acme." in person.open("/login").text
    assert [cookie.name for cookie in person.cookies] == ["jobmeter"] or "jobmeter-form" in person.cookies
    log = site.receiver.log.read_text()
    assert f'"action":"signed in","who":"ann","address":"127.0.0.1","by":"{site.provider.issuer}"' in log


@pytest.mark.parametrize(
    "groups, seen",
    [
        (["dev"], {"job-of-acme"}),
        ("dev", {"job-of-acme"}),
        (["x=y", "dev"], {"job-of-acme", "job-of-other"}),
        (["ops"], {"job-of-acme", "job-of-other"}),
        (["acme"], None),
        (["*"], None),
        ([], None),
        ([1, {"dev": 1}], None),
        ("", None),
        (None, None),
    ],
)
def test_groups_stand_for_organizations(site, groups, seen):
    """Who is in none that is known does not get in."""
    site.provider.claims = {"groups": groups}
    person = Person(site)
    answer = person.sign_in()
    if seen is None:
        assert answer.status_code == 403
        assert "You are in no organization" in answer.text
        assert "jobmeter" not in person.cookies
    else:
        assert answer.status_code == 303
        assert person.seen() == seen


@pytest.mark.parametrize(
    "claims, left_out",
    [
        ({"iss": "http://elsewhere.example"}, ()),
        ({"aud": "another"}, ()),
        ({"aud": ["another"]}, ()),
        ({"aud": [CLIENT, "another"], "azp": "another"}, ()),
        ({"exp": LONG_AGO}, ()),
        ({"exp": "never"}, ()),
        ({"iat": LONG_AFTER}, ()),
        ({"nonce": "another"}, ()),
        ({"sub": 5}, ()),
        *(({}, (name,)) for name in ("iss", "aud", "exp", "iat", "nonce", "sub")),
    ],
)
def test_a_claim_that_is_not_right_lets_nobody_in(site, claims, left_out):
    """Each by itself; the log says which, the page nothing of it."""
    site.provider.claims |= claims
    site.provider.left_out = set(left_out)
    person = Person(site)
    answer = person.sign_in()
    assert answer.status_code == 403
    assert "the log says why" in answer.text
    assert "jobmeter" not in person.cookies


@pytest.mark.parametrize("kind", ["another key", "an unknown key"])
def test_a_signature_that_is_not_the_providers_lets_nobody_in(site, kind):
    """Whatever the token says of its key."""
    site.provider.signing = RSAKey.generate_key(2048)
    site.provider.header = {"kid": "unknown"} if kind == "an unknown key" else {}
    assert Person(site).sign_in().status_code == 403


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_only_signatures_with_a_public_key_count(site, monkeypatch, algorithm):
    """A provider's keys are known to everyone: one used as a secret is none."""
    made = site.provider.id_token

    def forge(nonce: str) -> str:
        _, claims, _ = made(nonce).split(".")
        head = (
            base64.urlsafe_b64encode(json.dumps({"alg": algorithm, "kid": "one"}).encode())
            .rstrip(b"=")
            .decode()
        )
        key = site.provider.key.as_pem(private=False)
        mac = hmac.digest(key, f"{head}.{claims}".encode(), "sha256") if algorithm == "HS256" else b""
        return f"{head}.{claims}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    monkeypatch.setattr(site.provider, "id_token", forge)
    assert Person(site).sign_in().status_code == 403


@pytest.mark.parametrize("token", ["", "a.b.c", "é", "x" * 10_000])
def test_what_is_no_token_lets_nobody_in(site, monkeypatch, token):
    """And is no error of ours."""
    monkeypatch.setattr(site.provider, "id_token", lambda nonce: token)
    assert Person(site).sign_in().status_code == 403


def test_a_new_key_is_asked_for(tmp_path):
    """Not with each token that is signed with an unknown one."""
    (tmp_path / "secret").write_text(SECRET)
    with provider() as there, signed_in_at(there, tmp_path) as site:
        assert Person(site).sign_in().status_code == 303
        there.turn_key()
        for _ in range(3):
            assert Person(site).sign_in().status_code == 403
        assert there.asked.count("/keys") == 1
        assert Person(site).seen() == set()


def test_without_a_claim_everybody_sees_everything(tmp_path):
    """Who has an account may look."""
    (tmp_path / "secret").write_text(SECRET)
    with provider() as there, signed_in_at(there, tmp_path) as site:
        person = Person(site)
        person.sign_in()
        assert person.seen() == {"job-of-acme", "job-of-other"}


def test_the_way_back_is_for_who_went(site):
    """Another browser, another way, and a second time lead nowhere."""
    ann, eve = Person(site), Person(site)
    back = ann.way()
    assert eve.open(back).status_code == 403  # Eve has not begun.
    eve.way()
    assert eve.open(back).status_code == 403  # Eve has begun another way.
    assert ann.open(back.replace("code=", "code=x")).status_code == 503  # A code that was not given.
    assert ann.open(f"{back}&state=x").status_code == 403
    code = parse_qs(urlsplit(back).query)["code"][0]
    other = ann.way()
    mixed = other.replace(parse_qs(urlsplit(other).query)["code"][0], code)
    assert ann.open(mixed).status_code == 503  # The code of another way, without its verifier.
    assert "jobmeter" not in ann.cookies
    final = ann.way()
    assert ann.open(final).status_code == 303
    assert ann.open(final).status_code == 403


def test_another_provider_cannot_answer(site):
    """What it calls itself is looked at (RFC 9207)."""
    person = Person(site)
    assert (
        person.open(person.way().partition("&iss=")[0] + "&iss=http://elsewhere.example").status_code == 403
    )


def test_what_the_provider_refuses_is_said(site):
    """Without its words: anybody may have sent them."""
    site.provider.error = "<script>alert(1)</script>"
    answer = Person(site).sign_in()
    assert answer.status_code == 403
    assert "has not signed you in" in answer.text
    assert "alert" not in answer.text


@pytest.mark.parametrize("wanted", ["//elsewhere.example", "https://elsewhere.example", "/%0d%0aX: y"])
def test_one_goes_on_within_the_receiver(site, wanted):
    """Wherever a link wanted to lead."""
    assert Person(site).sign_in(wanted).headers["location"] == "/"


@pytest.mark.parametrize(
    "places",
    [
        {"issuer": "http://elsewhere.example"}, {"token_endpoint": "file:///etc/passwd"}, {"jwks_uri": 5},
    ],
)  # fmt: skip
def test_a_provider_that_is_not_what_it_should_be_is_not_used(tmp_path, places):
    """One sentence in the log; the page says that nobody can sign in."""
    (tmp_path / "secret").write_text(SECRET)
    with provider() as there:
        there.places = places
        with signed_in_at(there, tmp_path) as site:
            answer = Person(site).open("/login/oidc")
            log = site.receiver.log.read_text()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert "nobody can sign in" in log
    assert "Traceback" not in log


def test_a_provider_that_is_away_is_no_harm(tmp_path):
    """Read tokens go on."""
    (tmp_path / "secret").write_text(SECRET)
    with provider() as there:
        pass
    with signed_in_at(there, tmp_path) as site:
        assert Person(site).open("/login/oidc").status_code == 503
        assert site.receiver.get("/api/v1/runs").status_code == 200


def test_no_secret_is_in_the_log(site):
    """Neither the client's, nor codes, nor ID tokens."""
    person = Person(site)
    back = person.way()
    person.open(back)
    log = site.receiver.log.read_text()
    assert parse_qs(urlsplit(back).query)["code"][0] not in log
    assert SECRET not in log
