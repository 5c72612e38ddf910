"""What becomes of the body of a document of evidence: something to store, or one sentence."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest

from jobmeter.model.evidence import bounds
from jobmeter.model.evidence.document import encode
from jobmeter.ops.problems import Problem
from jobmeter.receiver.access.grant import Grant
from jobmeter.receiver.bodies import Body
from jobmeter.receiver.evidence import parse, parse_of_job
from jobmeter.receiver.store.evidence import NewEvidence
from jobmeter.receiver.store.scopes import Scope
from tests.model.evidence.examples import whole_evidence

UID = "01890000-0000-7000-8000-000000000001"
DOCUMENT = json.loads(encode(whole_evidence()))
JOB = DOCUMENT["job"]
MINE = (Scope(organization="my-org", job="build"),)


def parsed(content: bytes, run_uid: str = UID, *, gzipped: bool = False) -> NewEvidence:
    """What is to be stored of it."""
    sent = gzip.compress(content) if gzipped else content
    return parse(run_uid, content, body=Body(sent, gzipped), scopes=None)


@pytest.mark.parametrize("gzipped", [False, True])
def test_a_document_is_stored_as_it_was_sent(gzipped: bool) -> None:
    """With what is not known here, and compressed as it came; times are in milliseconds."""
    content = json.dumps(DOCUMENT | {"of_a_later_release": 1}).encode()
    found = parsed(content, gzipped=gzipped)
    assert zlib.decompress(found.kept.body, zlib.MAX_WBITS | 32) == content
    assert (found.kept.body[:2] == b"\x1f\x8b") is gzipped
    assert found.kept[:4] == (1_577_836_821_000, 2, 8, True)
    assert found.kept[5:] == (1_577_836_800_000, 1_577_836_820_000, "4711")


def test_a_document_that_names_no_run_is_of_the_path() -> None:
    """Who asks Prometheus need not know."""
    assert parsed(json.dumps(DOCUMENT | {"run_uid": None}).encode(), "any").run_uid == "any"


@pytest.mark.parametrize(
    "content, sentence",
    [
        (b"", "it is no evidence of jobmeter"),
        (b"{}", "Object missing required field"),
        (b"[" * 10_000, "no evidence of jobmeter"),
        (
            json.dumps(DOCUMENT | {"schema": "jobmeter.evidence/2"}).encode(),
            "newer than 'jobmeter.evidence/1'",
        ),
        (json.dumps(DOCUMENT | {"asked_time": "soon"}).encode(), "'soon' is no time"),
        (json.dumps(DOCUMENT | {"interval_seconds": -1}).encode(), "interval_seconds is -1"),
        (json.dumps(DOCUMENT | {"run_uid": "another"}).encode(), f"accepted are {UID} and null"),
        (json.dumps(DOCUMENT).encode().replace(b"4711", b"\xff"), "utf-8"),
        (json.dumps(DOCUMENT)[:-1].encode() + b', "x": "\xff"}', "utf-8"),
    ],
)
def test_what_is_no_evidence_of_the_run_is_named(content: bytes, sentence: str) -> None:
    """Status 400, before anything is stored."""
    with pytest.raises(Problem) as raised:
        parsed(content)
    assert (raised.value.status, sentence in raised.value.detail) == (400, True), raised.value.detail


@pytest.mark.parametrize(
    "told, status, sentence",
    [
        ({"run_uid": UID}, 400, "The field `run_uid` is not null"),
        ({"job": {}}, 400, "The field `job.repository` is missing"),
        ({"job": JOB | {"repository": ""}}, 400, "The field `job.repository` is missing"),
        ({"job": JOB | {"workflow": None}}, 400, "The field `job.workflow` is missing"),
        ({"job": JOB | {"job": None}}, 400, "The field `job.job` is missing"),
        ({"job": JOB | {"run_id": None}}, 400, "The field `job.run_id` is missing"),
        ({"job": JOB | {"ref": "a\0b"}}, 400, "NUL"),
        ({"task": "a\0b"}, 400, "NUL"),
        ({"schema": "jobmeter.evidence/2"}, 400, "newer than"),
        ({"job": JOB | {"job": "other"}}, 403, "this is one of my-org/app/.gitlab-ci.yml/other"),
    ],
)
def test_a_job_is_named_or_refused(told: dict[str, object], status: int, sentence: str) -> None:
    """By all that finds its runs, and by who may store these."""
    content = json.dumps(DOCUMENT | {"run_uid": None} | told).encode()
    with pytest.raises(Problem) as raised:
        parse_of_job(content, body=Body(content, False), grant=Grant(who="it", scopes=MINE))
    assert (raised.value.status, sentence in raised.value.detail) == (status, True), raised.value.detail


def test_an_organization_is_what_precedes_a_name() -> None:
    """Where it is not told."""
    content = json.dumps(DOCUMENT | {"run_uid": None, "job": JOB | {"organization": None}}).encode()
    found = parse_of_job(content, body=Body(content, False), grant=Grant(who="it", scopes=MINE))
    assert (found.of.organization, found.of.task) == ("my-org", "4711")
    assert (found.of.begin, found.of.end) == (1_577_836_800_000, 1_577_836_820_000)
    assert zlib.decompress(found.kept.body) == content


def test_what_is_too_large_is_refused_by_its_size() -> None:
    """Nothing of it is decoded."""
    with pytest.raises(Problem) as raised:
        parsed(b" " * (bounds.MAX_BYTES + 1))
    assert raised.value.status == 413
