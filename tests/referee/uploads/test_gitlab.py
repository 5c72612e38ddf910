"""An artifact of a GitLab job, against what was recorded of its runner."""

from __future__ import annotations

import gzip
import json
import re
from typing import Any
from urllib.parse import parse_qs

import pytest

from jobmeter.referee.uploads.gitlab import GitLab
from jobmeter.referee.uploads.sending import Sending
from tests.referee.server import cut, hang_up, says, silent
from tests.referee.uploads.places import ATTACHMENT, TOKEN, Outcome, created, in_turn, uploading
from tests.support.captures import Asked, Scenario
from tests.support.forges.raw import Answer, Line, Seen, response


def recorded() -> Asked:
    """What a real runner sent."""
    exchanges = Scenario("gitlab-runner", "job-artifact").exchanges()
    (asked,) = [one.request for one in exchanges if "/artifacts" in one.request.path]
    return asked


def upload(answer: Answer, **more: Any) -> Outcome:
    def place(url: str, sending: Sending) -> GitLab:
        return GitLab(f"{url}/api/v4", "103", TOKEN, sending)

    return uploading(answer, place, **more)


def form_of(target: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    """What does not change from one upload to the next."""
    boundary = headers["content-type"].partition("boundary=")[2]
    head, _, rest = body.partition(b"\r\n\r\n")
    return {
        "path": target.partition("?")[0],
        "query": sorted(set(parse_qs(target.partition("?")[2])) - {"expire_in"}),
        "transfer": (headers.get("transfer-encoding"), "content-length" in headers),
        "type": headers["content-type"].replace(boundary, ""),
        "boundary": len(boundary),
        "token": "job-token" in headers,
        "part": re.sub(r'filename="[^"]*"', "filename", head.decode().replace(boundary, "")),
        "parts": body.count(boundary.encode()) - 1,
        "end": rest[rest.rindex(b"\r\n--") :].decode().replace(boundary, ""),
    }


def test_it_has_the_form_of_what_the_runner_sends() -> None:
    """As recorded of gitlab-runner 17.9.3: query, one part, chunks."""
    (seen,) = upload(created).seen
    asked = recorded()
    assert seen.method == asked.method
    assert form_of(seen.target, seen.by_name, seen.body) == form_of(asked.path, asked.by_name, asked.body)


def test_it_is_the_referees_artifact_and_really_compressed() -> None:
    """Unlike that of GitLab's own."""
    outcome = upload(created)
    (seen,) = outcome.seen
    assert outcome.where == "attached to GitLab's job 103 as metrics_referee.json"
    assert seen.target.endswith("?artifact_format=gzip&artifact_type=metrics_referee")
    assert seen.by_name["job-token"] == TOKEN
    assert 'name="file"; filename="metrics_referee.json"' in seen.body[:300].decode(errors="replace")
    boundary = seen.by_name["content-type"].partition("boundary=")[2]
    content = seen.body.partition(b"\r\n\r\n")[2].removesuffix(f"\r\n--{boundary}--\r\n".encode())
    assert gzip.decompress(content) == ATTACHMENT.content


@pytest.mark.parametrize(
    "status, tries, sentence",
    [
        (
            401,
            3,
            "GitLab answered 401: Unauthorized: the job's token is not accepted, which holds while the job runs",
        ),
        (403, 1, "GitLab answered 403: Forbidden: the job is over, or its token may not"),
        (413, 1, "larger than this GitLab takes of an artifact"),
        (500, 3, "GitLab answered 500: Internal Server Error"),
        (503, 6, "GitLab answered 503: Service Unavailable"),
    ],
)
def test_a_refusal_is_one_sentence(status: int, tries: int, sentence: str) -> None:
    """After as many tries as its runner has for it; what GitLab repeats of the token is not said."""
    outcome = upload(says(status, json.dumps({"message": f"no {TOKEN}"}).encode()))
    assert sentence in outcome.refusal
    assert len(outcome.seen) == tries
    assert outcome.waits == [1.0, 2.0, 4.0, 5.0, 5.0][: tries - 1]


@pytest.mark.parametrize("fault", [says(503), says(502), says(401), hang_up, cut])
def test_a_second_try_sends_all_of_it_again(fault: Answer) -> None:
    """From its first byte, under the same boundary."""
    outcome = upload(in_turn(fault, created))
    assert outcome.where is not None
    first, second = outcome.seen
    assert first.body == second.body


def test_it_waits_as_long_as_gitlab_asks() -> None:
    """Within bounds."""
    busy = in_turn(says(503, b"", ("Retry-After", "3")), says(503, b"", ("Retry-After", "9999")), created)
    assert upload(busy).waits == [3.0, 5.0]


def test_a_redirect_leads_the_same_request_to_another_host() -> None:
    """As its runner does: only scheme and host of the new address count, and all of the body goes there."""

    async def there(seen: Seen, line: Line) -> None:
        port = seen.by_name["host"].rpartition(":")[2]
        await line.send(response(307, b"", ("Location", f"http://127.0.0.1:{port}/elsewhere?x=1")))

    first, second = upload(in_turn(there, created)).seen
    assert (first.by_name["host"].split(":")[0], second.by_name["host"].split(":")[0]) == (
        "localhost",
        "127.0.0.1",
    )
    assert first.target == second.target
    assert first.body == second.body
    assert second.by_name["job-token"] == TOKEN


@pytest.mark.parametrize(
    "location, requests, sentence",
    [
        ("/again", 4, "GitLab answered 307: it leads elsewhere more than 3 times"),
        ("ftp://forge.example/", 1, "GitLab answered 307: where it leads is no address"),
        ("http://[::1", 1, "GitLab answered 307: where it leads is no address"),
    ],
)
def test_redirects_are_bounded(location: str, requests: int, sentence: str) -> None:
    """And lead to addresses only."""
    outcome = upload(says(307, b"", ("Location", location)))
    assert outcome.refusal == sentence
    assert len(outcome.seen) == requests


def test_a_redirect_without_an_address_is_a_failure() -> None:
    """Tried again like any other."""
    outcome = upload(says(307))
    assert outcome.refusal == "GitLab answered 307: Temporary Redirect"
    assert len(outcome.seen) == 3


@pytest.mark.parametrize(
    "fault, sentence",
    [
        (hang_up, "GitLab cannot be reached: it closed the connection"),
        (cut, "GitLab broke off its answer"),
        (silent, "GitLab did not answer within 0.2 s"),
    ],
)
def test_a_gitlab_that_says_nothing_is_told(fault: Answer, sentence: str) -> None:
    """After three tries."""
    outcome = upload(fault, timeout=0.2 if fault is silent else 5.0)
    assert outcome.refusal == sentence
    assert len(outcome.seen) == 3
