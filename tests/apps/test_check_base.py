"""The base branch's last runs, as a receiver tells them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest
from msgspec import Struct
from msgspec.structs import replace

from jobmeter.apps.check_base import Question, ReceiverHistory
from jobmeter.model.errors import SendError
from jobmeter.model.job import Job
from tests.model.budgets.runs import JOB, run_of
from tests.support.receivers import FlakyReceiver, serving

TOKEN = "read-token-of-the-test"
LEG = replace(JOB, matrix={"arch": "arm64"})
QUESTION = Question(LEG, "refs/heads/main", "2026-11-21T12:00:00.000Z", "uid-1", 3)


class Stored(Struct):
    """Runs of a receiver, newest first; its list has two a page."""

    items: list[dict[str, Any]]
    asked: list[str] = []

    def tell(self, path: str) -> bytes:
        """The answer to one question."""
        self.asked.append(path)
        parts = urlsplit(path)
        if parts.path != "/api/v1/runs":
            return msgspec.json.encode(
                {"run_uid": "x", "state": "finished", "summary": self.summary(parts.path)}
            )
        first = int(dict(parse_qsl(parts.query)).get("cursor", "0"))
        after = first + 2
        cursor = str(after) if after < len(self.items) else None
        return msgspec.json.encode({"runs": self.items[first:after], "next_cursor": cursor})

    def summary(self, path: str) -> Any:
        """Of ``uid-N`` one with N CPU seconds; of ``uid-0`` none that can be read."""
        number = path.rpartition("-")[2]
        return None if number == "0" else msgspec.to_builtins(run_of(cpu_seconds=float(number)))


def item(number: int, job: Job = LEG, exit_reason: str | None = "success") -> dict[str, Any]:
    return {"run_uid": f"uid-{number}", "job": msgspec.to_builtins(job), "exit_reason": exit_reason}


@pytest.fixture
def receiver() -> Iterator[FlakyReceiver]:
    with serving(FlakyReceiver(TOKEN)) as running:
        yield running


def cpu_seconds(receiver: FlakyReceiver, stored: Stored, question: Question = QUESTION) -> list[float | None]:
    receiver.tell = stored.tell
    return [summary.cpu_seconds for summary in ReceiverHistory(receiver.url, TOKEN).runs(question)]


def test_runs_are_taken_newest_first_until_there_are_enough(receiver: FlakyReceiver) -> None:
    """Page by page, and no page more than is needed."""
    stored = Stored([item(number) for number in (9, 8, 7, 6, 5, 4)])
    assert cpu_seconds(receiver, stored) == [9.0, 8.0, 7.0]
    assert [path.partition("?")[0] for path in stored.asked] == [
        "/api/v1/runs", "/api/v1/runs/uid-9", "/api/v1/runs/uid-8", "/api/v1/runs", "/api/v1/runs/uid-7",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        item(1),
        item(8, JOB),
        item(8, replace(LEG, matrix={"arch": "x86"})),
        item(8, replace(LEG, workflow=None)),
        item(8, exit_reason="failure"),
        item(8, exit_reason="oom"),
        item(8, exit_reason="cancelled"),
        item(8, exit_reason=None),
        item(0),
    ],
    ids=["itself", "no leg", "leg", "workflow", "failed", "killed", "cancelled", "no summary", "unreadable"],
)
def test_runs_that_show_something_else_are_left_out(receiver: FlakyReceiver, other: dict[str, Any]) -> None:
    """A failed run ended early; another leg of the matrix is another job."""
    assert cpu_seconds(receiver, Stored([other, item(9), item(7, exit_reason="unknown")])) == [9.0, 7.0]


def test_what_is_asked_for(receiver: FlakyReceiver) -> None:
    """The job's names, the base's ref, and the time before which the runs began."""
    stored = Stored([])
    assert (
        cpu_seconds(receiver, stored, QUESTION._replace(job=replace(JOB, organization=None, job="a b&c")))
        == []
    )
    assert dict(parse_qsl(urlsplit(stored.asked[0]).query)) == {
        "forge": "forgejo",
        "repository": "acme/engine",
        "workflow": "ci.yaml",
        "job": "a b&c",
        "ref": "refs/heads/main",
        "state": "finished",
        "until": "2026-11-21T12:00:00.000Z",
        "limit": "100",
    }


def test_a_run_that_was_deleted_meanwhile_is_left_out(receiver: FlakyReceiver) -> None:
    """Between the list and the question for it; any other failure is one."""
    stored = Stored([item(9), item(8)])

    def tell(path: str) -> bytes:
        if "?" in path:
            receiver.faults.append(404)
        return stored.tell(path)

    receiver.tell = tell
    found = ReceiverHistory(receiver.url, TOKEN).runs(QUESTION)
    assert [summary.cpu_seconds for summary in found] == [8.0]


def test_it_does_not_look_for_ever(receiver: FlakyReceiver) -> None:
    """A matrix with many legs, or a job that never succeeds, costs a bounded number of questions."""
    stored = Stored([item(9, JOB) for _ in range(1000)])
    assert cpu_seconds(receiver, stored) == []
    assert len(stored.asked) == 20


def test_a_receiver_that_fails_in_the_middle_tells_nothing(receiver: FlakyReceiver) -> None:
    """Half of the runs would make another median."""
    stored = Stored([item(9), item(8)])
    receiver.tell = stored.tell
    receiver.faults.append((503, {}))
    with pytest.raises(SendError, match="answered 503"):
        ReceiverHistory(receiver.url, TOKEN).runs(QUESTION)


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'{"detail": "x"}', b"\xff", b"[" * 100_000])
def test_another_service_is_named_as_such(receiver: FlakyReceiver, answer: bytes) -> None:
    """What is no list of runs is one sentence."""
    receiver.tell = lambda path: answer
    with pytest.raises(SendError, match="something else than a receiver's runs"):
        ReceiverHistory(receiver.url, TOKEN).runs(QUESTION)


def test_a_wrong_token_is_not_repeated(receiver: FlakyReceiver) -> None:
    """Although the service does."""
    with pytest.raises(SendError, match="answered 401") as raised:
        ReceiverHistory(receiver.url, "wrong-token").runs(QUESTION)
    assert "wrong-token" not in str(raised.value)
