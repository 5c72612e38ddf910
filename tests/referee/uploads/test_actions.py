"""Artifacts of Forgejo, Gitea and GitHub, by both protocols."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, quote

import pytest

from jobmeter.referee.uploads.actions import Actions, Scope, scope_of
from jobmeter.referee.uploads.sending import Sending
from tests.referee.server import cut, hang_up, says
from tests.referee.uploads.places import ATTACHMENT, Artifacts, Outcome, in_turn, uploading
from tests.support.forges.raw import Answer, Line, Seen, response

NAME = ATTACHMENT.name
BASE = "/api/actions_pipeline/_apis/pipelines/workflows/21/artifacts"
TWIRP = "/twirp/github.actions.results.api.v1.ArtifactService"


def token_of(**claims: Any) -> str:
    """A token with these claims; nobody here verifies it."""
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{payload}.c2lnbmVk"


TOKEN = token_of(scp="Actions.Example Actions.Results:21:49", TaskID=75)


def upload(
    answer: Answer, token: str = TOKEN, *, older: bool = True, newer: bool = True, run: str = "21"
) -> Outcome:
    def place(url: str, sending: Sending) -> Actions:
        runtime = f"{url}/api/actions_pipeline/" if older else None
        return Actions(token, url if newer else None, runtime, run, sending)

    return uploading(answer, place)


@pytest.mark.parametrize(
    "token, scope",
    [
        (TOKEN, Scope("21", "49", "75")),
        (token_of(scp="Actions.Results:run-a:job-b"), Scope("run-a", "job-b")),
        (token_of(scp="Actions.Other:1:2"), None),
        (token_of(scp="Actions.Results:21"), None),
        (token_of(TaskID="x"), None),
        ("0123456789abcdef", None),
        ("a.b!.c", None),
        ("", None),
    ],
)
def test_a_token_tells_whose_it_is(token: str, scope: Scope | None) -> None:
    """Unless it is of a forge that made other ones."""
    assert scope_of(token) == scope


def test_the_newer_protocol_is_spoken_where_there_is_one() -> None:
    """Create, one block, the list of blocks, and the end with size and digest."""
    outcome = upload(Artifacts())
    make, block, blocks, end = outcome.seen
    ids = {"workflow_run_backend_id": "21", "workflow_job_run_backend_id": "49", "name": NAME}
    assert (make.line, json.loads(make.body)) == (
        f"POST {TWIRP}/CreateArtifact HTTP/1.1",
        ids | {"version": 4},
    )
    assert block.method == blocks.method == "PUT"
    assert block.target.startswith("/put?sig=a%2Bb%3D&taskID=7&comp=block&blockid=")
    assert blocks.target == "/put?sig=a%2Bb%3D&taskID=7&comp=blocklist"
    (number,) = parse_qs(block.target.partition("?")[2])["blockid"]
    assert f"<BlockList><Latest>{number}</Latest></BlockList>" in blocks.body.decode()
    digest = f"sha256:{hashlib.sha256(block.body).hexdigest()}"
    assert json.loads(end.body) == ids | {"size": str(len(block.body)), "hash": digest}
    assert outcome.where == f"the artifact {NAME} of the run"


def test_the_newer_protocol_sends_a_zip_of_the_one_file() -> None:
    """With its length, as storages want it."""
    block = upload(Artifacts()).seen[1]
    with zipfile.ZipFile(io.BytesIO(block.body)) as archive:
        assert archive.namelist() == [ATTACHMENT.file]
        assert archive.read(ATTACHMENT.file) == ATTACHMENT.content
    assert block.by_name["content-length"] == str(len(block.body))


def test_the_token_is_for_the_forge_only() -> None:
    """What is sent to the signed URL has none."""
    shown = [seen.by_name.get("authorization") for seen in upload(Artifacts()).seen]
    assert shown == [f"Bearer {TOKEN}", None, None, f"Bearer {TOKEN}"]


@pytest.mark.parametrize(
    "case",
    [
        {"answer": Artifacts(without=["/CreateArtifact"])},
        {"answer": Artifacts(), "newer": False},
        {"answer": Artifacts(), "token": "0123456789abcdef"},
    ],
)
def test_the_older_protocol_is_spoken_where_there_is_only_that(case: Mapping[str, Any]) -> None:
    """By the run of the token, or of the environment; the token goes to no address but the one the job was told."""
    outcome = upload(**case)
    make, put, end = outcome.seen[-3:]
    assert make.line == f"POST {BASE}?api-version=6.0-preview HTTP/1.1"
    assert json.loads(make.body) == {"Type": "actions_storage", "Name": NAME}
    item = quote(f"{NAME}/{ATTACHMENT.file}", safe="")
    assert put.line == f"PUT {BASE}/0c5/upload?itemPath={item} HTTP/1.1"
    assert end.line == f"PATCH {BASE}?api-version=6.0-preview&artifactName={NAME} HTTP/1.1"
    assert {seen.by_name["authorization"] for seen in outcome.seen} == {f"Bearer {case.get('token', TOKEN)}"}
    assert outcome.where == f"the artifact {NAME} of the run"


def test_the_older_protocol_sends_the_file_compressed_and_says_so() -> None:
    """Its range is of what is sent, its length of what it becomes."""
    _, put, _ = upload(Artifacts(), newer=False).seen
    assert gzip.decompress(put.body) == ATTACHMENT.content
    size = len(put.body)
    told = {name: put.by_name[name] for name in ("content-encoding", "content-range", "x-tfs-filelength")}
    assert told == {
        "content-encoding": "gzip",
        "content-range": f"bytes 0-{size - 1}/{size}",
        "x-tfs-filelength": str(len(ATTACHMENT.content)),
    }
    assert put.by_name["x-actions-results-md5"] == base64.b64encode(hashlib.md5(put.body).digest()).decode()


@pytest.mark.parametrize(
    "fault, tries, sentence",
    [
        (says(401), 1, "the forge answered 401: Unauthorized: the job's runtime token is not accepted"),
        (says(403), 1, "the forge answered 403: Forbidden: the job's runtime token may not"),
        (says(409), 1, "the forge answered 409: Conflict: there is an artifact of this name"),
        (says(413), 1, "the file is larger than this forge takes of an artifact"),
        (says(500), 3, "so answer Forgejo and Gitea also to the token of a job that is over"),
        (says(503), 6, "the forge answered 503: Service Unavailable"),
        (says(307, b"", ("Location", "http://other.example/")), 1, "and no redirect is followed"),
        (hang_up, 3, "the forge cannot be reached: it closed the connection"),
        (cut, 3, "the forge broke off its answer"),
        (says(200, b"<html>"), 1, "the forge's answer is none that this protocol has"),
        (says(200, b"{}"), 1, "the forge made no artifact, and says no reason"),
        (
            says(200, b'{"ok":true,"signedUploadUrl":"file:///etc/passwd"}'),
            1,
            "the forge says no address to send the artifact to",
        ),
    ],
)
def test_a_refusal_is_one_sentence(fault: Answer, tries: int, sentence: str) -> None:
    """Without the token, and not hidden by a try of the older protocol."""
    outcome = upload(fault)
    assert sentence in outcome.refusal
    assert TOKEN not in outcome.refusal
    assert len(outcome.seen) == tries


def test_a_storage_that_is_away_is_asked_again_with_all_of_it() -> None:
    """And the signed URL is in no sentence where it stays away."""
    forge = Artifacts()

    async def away(seen: Seen, line: Line) -> None:
        if seen.target.startswith("/put"):
            await line.send(response(503, b"sig=a%2Bb%3D"))
        else:
            await forge(seen, line)

    outcome = upload(away)
    assert outcome.refusal == "the forge's storage answered 503: Service Unavailable"
    assert len({seen.body for seen in outcome.seen[1:]}) == 1
    assert len(outcome.seen) == 1 + 6


def test_a_forge_that_has_neither_is_told() -> None:
    """One sentence says what is missing."""
    sentence = upload(Artifacts(), "0123456789abcdef", older=False).refusal
    assert sentence.startswith("the job's environment does not say where its artifacts go")


@pytest.mark.parametrize("place", ["", "/other/1", "/artifacts/", "/artifacts/../../x"])
def test_an_older_forge_that_names_no_place_is_told(place: str) -> None:
    """The token goes nowhere else."""
    made = says(200, json.dumps({"fileContainerResourceUrl": place}).encode())
    outcome = upload(in_turn(made), newer=False)
    assert outcome.refusal == "the forge's answer is none that this protocol has"
    assert len(outcome.seen) == 1
