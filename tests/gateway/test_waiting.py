"""What waits, as each forge's API tells it."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.gateway.waiting import Kind, Unreadable, WaitingJob, credentials, read_waiting, target

NOW = 1795300100.0
AT = "2026-11-22T00:26:40Z"
AT_SECONDS = 1795307200.0
FORGEJO = [
    {"id": 1, "runs_on": ["docker", "arm64", "docker"], "status": "waiting", "task_id": 0, "name": "build"},
    {"id": 2, "runs_on": ["docker"], "status": "blocked", "needs": ["build"]},
    {"id": 3, "runs_on": ["docker"], "status": "running", "task_id": 9},
    {"id": 4, "runs_on": ["docker"], "status": "waiting", "task_id": 9},
    {"id": 5, "runs_on": None, "status": "waiting"},
]
GITEA = {
    "total_count": 3,
    "jobs": [
        {"id": 1, "labels": ["ubuntu-latest"], "status": "queued", "created_at": AT},
        {"id": 2, "labels": ["ubuntu-latest"], "status": "waiting", "created_at": AT},
        {"id": 3, "labels": ["ubuntu-latest"], "status": "in_progress"},
        {"id": 4, "labels": [7], "status": "queued", "created_at": "yesterday"},
    ],
}
GITLAB = [
    {"id": 1, "tag_list": ["linux"], "status": "pending", "queued_duration": 12.5, "created_at": AT},
    {"id": 2, "tag_list": [], "status": "pending", "queued_duration": None, "created_at": AT},
    {"id": 3, "tag_list": ["linux"], "status": "waiting_for_resource"},
    {"id": 4, "status": "success"},
]
EXAMPLES: list[tuple[Kind, object, int, list[WaitingJob]]] = [
    ("forgejo", FORGEJO, 5, [
        WaitingJob("1", ("arm64", "docker"), False, None),
        WaitingJob("2", ("docker",), True, None),
        WaitingJob("5", (), False, None),
    ]),
    ("forgejo", None, 0, []),
    ("gitea", GITEA, 4, [
        WaitingJob("1", ("ubuntu-latest",), False, AT_SECONDS),
        WaitingJob("2", ("ubuntu-latest",), True, AT_SECONDS),
        WaitingJob("4", (), False, None),
    ]),
    ("gitea", {"total_count": 0, "jobs": None}, 0, []),
    ("gitlab", GITLAB, 4, [
        WaitingJob("1", ("linux",), False, NOW - 12.5),
        WaitingJob("2", (), False, AT_SECONDS),
        WaitingJob("3", ("linux",), True, None),
    ]),
]  # fmt: skip


@pytest.mark.parametrize("kind, answer, count, expected", EXAMPLES)
def test_what_waits(kind: Kind, answer: object, count: int, expected: list[WaitingJob]) -> None:
    """And how many rows there were, which says whether there is another page."""
    assert read_waiting(kind, json.dumps(answer).encode(), NOW) == (count, expected)


@pytest.mark.parametrize(
    "kind, body, sentence",
    [
        ("forgejo", b"<html>", "the answer is no JSON"),
        ("forgejo", b"\xff", "the answer is no JSON"),
        ("gitlab", b"[" * 100_000, "the answer is no JSON"),
        ("forgejo", b'{"message": "secret"}', "the answer is no list of jobs"),
        ("gitea", b"[]", None),
        ("gitlab", b'["secret"]', "the answer is no list of jobs"),
        ("forgejo", b'[{"status": "waiting"}]', "a job of the answer has no id"),
    ],
)
def test_what_cannot_be_read(kind: Kind, body: bytes, sentence: str | None) -> None:
    """One sentence, with nothing of the answer in it."""
    if sentence is None:
        assert read_waiting(kind, body, NOW) == (0, [])
        return
    with pytest.raises(Unreadable) as caught:
        read_waiting(kind, body, NOW)
    assert str(caught.value) == sentence


@given(st.sampled_from(["forgejo", "gitea", "gitlab"]), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["waiting", "queued", "pending", AT]),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["jobs", "id", "status", "labels", "runs_on", "tag_list", "created_at", "queued_duration"]),
        inner),
))  # fmt: skip
def test_nothing_else_is_raised(kind: Kind, answer: object) -> None:
    """Whatever the forge says."""
    with contextlib.suppress(Unreadable):
        read_waiting(kind, json.dumps(answer).encode(), NOW)


@pytest.mark.parametrize(
    "kind, scope, expected",
    [
        ("forgejo", "admin", "/api/v1/admin/actions/runners/jobs"),
        ("forgejo", "orgs/ac me", "/api/v1/orgs/ac%20me/actions/runners/jobs"),
        ("gitea", "repos/acme/shop",
         "/api/v1/repos/acme/shop/actions/jobs?status=queued&status=waiting&limit=50&page=2"),
        ("gitlab", "projects/acme/sub/shop",
         "/api/v4/projects/acme%2Fsub%2Fshop/jobs?scope[]=pending&scope[]=waiting_for_resource&per_page=100&page=2"),
    ],
)  # fmt: skip
def test_what_is_asked(kind: Kind, scope: str, expected: str) -> None:
    """Below the forge's address."""
    assert target(kind, scope, 2) == expected


def test_the_token_is_shown() -> None:
    """As each API wants it."""
    assert credentials("gitlab", "t") == [("PRIVATE-TOKEN", "t")]
    assert credentials("forgejo", "t") == credentials("gitea", "t") == [("Authorization", "token t")]
