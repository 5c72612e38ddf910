"""Tokens from the first to the last: made by the operator, used at a running receiver, taken back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conftest import TESTS
from tests.receiver.api.running import PUSH, READ, RunningReceiver, running_receiver
from tests.support.receivers import certificate

JOB = {"organization": "acme", "repository": "acme/engine", "workflow": "ci.yml", "job": "build"}
ENVIRON = {
    name: value for name, value in os.environ.items() if not name.startswith(("JOBMETER_", "RECEIVER_"))
}


class Site:
    """A receiver and its operator."""

    def __init__(self, receiver: RunningReceiver, place: str) -> None:
        self.receiver = receiver
        self.place = place

    def admin(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "jobmeter", "admin", "token", *words, f"--db={self.place}"],
            env=ENVIRON | {"PYTHONPATH": str(TESTS.parent / "src")},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def add(self, name: str, *flags: str) -> str:
        done = self.admin("add", name, *flags)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def mint(self, token: str, **body: Any) -> requests.Response:
        return self.post("/api/v1/token", token, body)

    def post(self, path: str, token: str, body: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return requests.post(self.receiver.url + path, json=body, headers=headers, timeout=30)

    def push(self, token: str, **names: str) -> int:
        return self.post("/api/v1/metrics", token, {"execution": JOB | names, "run_summary": {}}).status_code

    def runs(self, token: str | None) -> int:
        return self.receiver.get("/api/v1/runs", token=token).status_code

    def audit(self) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.receiver.log.read_text().splitlines()]
        return [line for line in lines if line["msg"] == "audit"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for the tests that need no other settings."""
    directory = tmp_path_factory.mktemp("site")
    with running_receiver(directory, "--hmac-key=a-key-of-the-tests") as receiver:
        yield Site(receiver, str(directory / "metrics.db"))


@pytest.fixture(scope="module")
def minter(site: Site) -> str:
    """A token that makes tokens of jobs of one organization."""
    return site.add("limited forge", "--allow=mint", "--organization=acme")


def eventually(answer: Any, expected: int) -> float:
    """Wait for a status; the seconds it took."""
    begun = time.monotonic()
    while answer() != expected:
        assert time.monotonic() - begun < 20
        time.sleep(0.05)
    return time.monotonic() - begun


def test_a_token_is_good_at_once_and_no_more_soon_after_it_was_revoked(site):
    """At a receiver that runs; nothing but its name is told afterwards."""
    token = site.add("dashboard", "--allow=read")
    assert site.runs(token) == 200
    listed = site.admin("list").stdout
    assert "dashboard" in listed
    assert token not in listed
    assert "3 s at most" in site.admin("revoke", "dashboard").stdout
    assert eventually(lambda: site.runs(token), 401) < 8  # 3 s, on a machine that is busy
    assert "revoked" in next(line for line in site.admin("list").stdout.splitlines() if "dashboard" in line)
    assert (site.runs(READ), site.push(PUSH)) == (200, 201)


def test_a_token_of_an_organization_stores_and_sees_nothing_else(site):
    """The tokens of the settings go on as they did."""
    push = site.add("acme push", "--allow=push", "--organization=acme")
    read = site.add("acme read", "--allow=read", "--organization=acme")
    assert (site.push(push), site.push(push, organization="other"), site.push(PUSH, organization="other")) == (
        201, 403, 201,
    )  # fmt: skip
    elsewhere = {
        "execution": JOB | {"organization": "other", "repository": "other/engine"},
        "run_summary": {},
    }
    assert site.post("/api/v1/metrics", push, elsewhere).json()["detail"] == (
        "The token that was sent stores runs of acme; this is one of other/engine/ci.yml/build."
    )
    runs = site.receiver.get("/api/v1/runs?limit=100", token=read).json()["runs"]
    assert {run["job"]["organization"] for run in runs} == {"acme"}
    assert site.receiver.get("/api/v1/runs?organization=other", token=read).json() == {
        "runs": [],
        "next_cursor": None,
    }


def test_a_job_gets_a_token_of_its_own(site):
    """As seed 000 has it: by its four names, for a time; it stores that job and reads nothing."""
    minter = site.add("forge", "--allow=mint", "--organization=acme")
    answer = site.mint(minter, **JOB)
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    token = answer.json()["token"]
    assert answer.json()["expires_at"] > time.strftime("%Y-%m-%dT%H:%M", time.gmtime(time.time() + 86_000))
    assert (site.push(token), site.push(token, repository="engine"), site.push(token, job="other")) == (
        201,
        201,
        403,
    )
    longest = site.mint(minter, **JOB, expires_in_seconds=10**9).json()["expires_at"]
    assert longest < time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86_460))
    assert site.runs(token) == 401
    assert site.mint(token, **JOB).status_code == 401
    line = next(line for line in site.audit() if line["action"] == "token minted")
    assert (line["who"], line["job"], line["address"]) == ("forge", "acme/engine/ci.yml/build", "127.0.0.1")
    site.admin("revoke", "forge")
    eventually(lambda: site.push(token), 401)  # With whom it was made by.


@pytest.mark.parametrize("body", [{}, {"expires_in_seconds": 3600}, {"expires_in_seconds": 10**9}])
def test_a_job_token_ends_with_the_token_that_made_it(site, body):
    """However long it was asked for; a shorter time is as it was wanted."""
    name = f"forge of a quarter of an hour {body}"
    minter, ends = site.add(name, "--allow=mint", "--expires-in=15m"), time.time() + 900
    made = site.mint(minter, **JOB, **body).json()
    assert time.time() + 600 < seconds_of(made["expires_at"]) <= ends
    shorter = site.mint(minter, **JOB, expires_in_seconds=60).json()
    assert seconds_of(shorter["expires_at"]) <= time.time() + 60
    assert site.push(made["token"]) == 201


def seconds_of(moment: str) -> float:
    """Since 1970, of RFC 3339."""
    return datetime.fromisoformat(moment).timestamp()


@pytest.mark.parametrize(
    "body, status, said",
    [
        ({**JOB, "organization": "other"}, 403, "makes none for other/acme/engine/ci.yml/build"),
        ({**JOB, "job": ""}, 400, "`$.job`"),
        ({**JOB, "job": "a\0b"}, 400, "`$.job`"),
        ({**JOB, "jobs": "x"}, 400, "jobs"),
        ({"organization": "acme"}, 400, "repository"),
        ({**JOB, "expires_in_seconds": 59}, 400, "expires_in_seconds"),
        ([], 400, "object"),
    ],
)
def test_what_is_not_minted_is_one_sentence(site, minter, body, status, said):
    """It names what is wrong."""
    answer = site.post("/api/v1/token", minter, body)
    assert answer.status_code == status
    assert said in answer.json()["detail"]


def test_reading_is_no_right_to_write(site):
    """Whoever may ask makes no token that stores, nor with one; nor as a password."""
    assert site.mint(READ, **JOB).status_code == site.mint(PUSH, **JOB).status_code == 401
    assert minted_by_password(site, READ) == minted_by_password(site, PUSH) == 401


def minted_by_password(site: Site, token: str) -> int:
    """As a browser sends a token that it was asked for by HTTP Basic."""
    url = f"{site.receiver.url}/api/v1/token"
    return requests.post(url, json=JOB, auth=("anyone", token), timeout=30).status_code


def test_a_receiver_may_be_told_that_read_tokens_mint(tmp_path):
    """The form of the seed's successor, said on purpose."""
    with running_receiver(tmp_path, "--hmac-key=a-key-of-the-tests", "--read-token-mints") as receiver:
        site = Site(receiver, str(tmp_path / "metrics.db"))
        token = site.mint(READ, **JOB).json()["token"]
        assert site.push(token) == 201
        assert site.mint(PUSH, **JOB).status_code == 401
        assert minted_by_password(site, READ) == 401


def test_without_a_key_there_are_no_tokens_of_jobs(tmp_path):
    """And a sentence says so to who may have them."""
    with running_receiver(tmp_path) as receiver:
        site = Site(receiver, str(tmp_path / "metrics.db"))
        answer = site.mint(site.add("forge", "--allow=mint"), **JOB)
    assert (answer.status_code, "--hmac-key" in answer.json()["detail"]) == (404, True)


def test_who_comes_too_often_waits_and_others_do_not(tmp_path):
    """A limited token by itself; refusals by their address, where good tokens go on."""
    with running_receiver(tmp_path, "--rate-limit=5") as receiver:
        site = Site(receiver, str(tmp_path / "metrics.db"))
        limited = site.add("acme", "--allow=read", "--organization=acme")
        statuses = [site.runs(limited) for _ in range(60)]
        assert statuses[:50] == [200] * 50
        assert statuses[-1] == 429
        assert {site.runs("wrong") for _ in range(200)} == {401, 429}
        answer = receiver.get("/api/v1/runs", token="wrong")
        assert (answer.status_code, int(answer.headers["retry-after"])) == (429, 1)
        assert {site.runs(READ) for _ in range(60)} == {200}
        refused = [line for line in site.audit() if line["action"] == "refused"]
    assert len(refused) < 5
    assert refused[0]["route"] == "GET /api/v1/runs"


def test_every_answer_is_guarded(site):
    """Pages have a policy of their own; no answer is sniffed, framed, or told of elsewhere."""
    for path in ("/api/v1/runs", "/healthz", "/nothing", "/", "/debug/pprof/"):
        headers = site.receiver.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] in ("no-referrer", "same-origin")
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "strict-transport-security" not in headers


def test_over_https_a_browser_is_told_to_stay_there(tmp_path):
    """With the flags that the exporter has."""
    ca, key = certificate(tmp_path)
    with running_receiver(tmp_path, f"--tls-cert={ca}", f"--tls-key={key}") as receiver:
        url = receiver.url.replace("http://127.0.0.1", "https://localhost")
        answer = requests.get(f"{url}/healthz", verify=str(ca), timeout=30)
    assert answer.status_code == 200
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize(
    "words, said",
    [
        (["add", " ", "--allow=read"], "is no name of a token"),
        (["add", "a\nb", "--allow=read"], "is no name of a token"),
        (["add", "x", "--allow=read", "--organization="], "is empty or too long"),
        (["revoke", "nobody"], "there is no valid token 'nobody'"),
    ],
)
def test_what_the_operator_mistakes_is_one_sentence(site, words, said):
    """And nothing is changed."""
    done = site.admin(*words)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "right, use",
    [("read", "$JOBMETER_READ_TOKEN"), ("push", "$JOBMETER_PUSH_TOKEN"), ("mint", "/api/v1/token")],
)
def test_what_a_new_token_is_for_is_said_beside_it(site, right, use):
    """On stderr, so that a script has the token alone."""
    done = site.admin("add", f"to be told of {right}", f"--allow={right}")
    assert done.stdout.count("\n") == 1
    assert use in done.stderr
    assert f'"db":"{site.place}"' in done.stderr
    assert done.stdout.strip() not in done.stderr


def test_no_database_is_made_by_a_mistake(tmp_path):
    """Only the receiver makes one."""
    site = Site(None, str(tmp_path / "typo.db"))  # type: ignore[arg-type]
    assert "does not exist" in site.admin("list").stderr
    assert list(tmp_path.iterdir()) == []


def test_no_token_is_in_the_database(site, tmp_path):
    """Nor in what lies beside it."""
    token = site.add("unseen", "--allow=push")
    files = Path(site.place).parent.glob("metrics.db*")
    assert [file.name for file in files if token.encode() in file.read_bytes()] == []
