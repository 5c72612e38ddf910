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
from jobmeter.model.history.digest import PastRun
from tests.model.budgets.runs import JOB
from tests.support.receivers import FlakyReceiver, serving

TOKEN = "read-token-of-the-test"
LEG = replace(JOB, matrix={"arch": "arm64"})
QUESTION = Question(LEG, "refs/heads/main", "2026-11-21T12:00:00.000Z", "uid-1", 3)


class Stored(Struct):
    """Runs of a receiver, newest first; its history has two a page."""

    runs: list[PastRun]
    asked: list[str] = []

    def tell(self, path: str) -> bytes:
        """The answer to one question."""
        self.asked.append(path)
        first = int(dict(parse_qsl(urlsplit(path).query)).get("cursor", "0"))
        after = first + 2
        cursor = str(after) if after < len(self.runs) else None
        return msgspec.json.encode({"runs": self.runs[first:after], "next_cursor": cursor, "digest": {}})


def past(number: int, **fields: Any) -> PastRun:
    """A run with so many CPU seconds."""
    known: dict[str, Any] = {
        "run_uid": f"uid-{number}",
        "began_at": "",
        "exit_reason": "success",
        "cpu_seconds": float(number),
    }
    return PastRun(**(known | fields))


@pytest.fixture
def receiver() -> Iterator[FlakyReceiver]:
    with serving(FlakyReceiver(TOKEN)) as running:
        yield running


def cpu_seconds(receiver: FlakyReceiver, stored: Stored, question: Question = QUESTION) -> list[float | None]:
    receiver.tell = stored.tell
    return [run.cpu_seconds for run in ReceiverHistory(receiver.url, TOKEN).runs(question)]


def test_runs_are_taken_newest_first_until_there_are_enough(receiver: FlakyReceiver) -> None:
    """And no page more than is needed."""
    stored = Stored([past(number) for number in (9, 8, 7, 6, 5, 4)])
    assert cpu_seconds(receiver, stored) == [9.0, 8.0, 7.0]
    assert len(stored.asked) == 2


def test_one_question_is_enough_where_all_fit(receiver: FlakyReceiver) -> None:
    """As they do: a page has as many as are asked for."""
    stored = Stored([past(9), past(8)])
    assert cpu_seconds(receiver, stored) == [9.0, 8.0]
    assert len(stored.asked) == 1


@pytest.mark.parametrize("other", [past(1), past(8, exit_reason="failure"), past(8, exit_reason=None)])
def test_the_run_itself_and_failed_ones_are_left_out(receiver: FlakyReceiver, other: PastRun) -> None:
    """A failed run ended early."""
    assert cpu_seconds(receiver, Stored([other, past(9), past(7, exit_reason="unknown")])) == [9.0, 7.0]


def test_what_is_asked_for(receiver: FlakyReceiver) -> None:
    """The job's names, its leg, the base's ref, and the time before which the runs began."""
    stored = Stored([])
    question = QUESTION._replace(job=replace(LEG, organization=None, job="a b&c"))
    assert cpu_seconds(receiver, stored, question) == []
    assert urlsplit(stored.asked[0]).path == "/api/v1/history"
    assert dict(parse_qsl(urlsplit(stored.asked[0]).query)) == {
        "repository": "acme/engine",
        "workflow": "ci.yaml",
        "job": "a b&c",
        "ref": "refs/heads/main",
        "leg": "arch=arm64",
        "ended": "whole",
        "until": "2026-11-21T12:00:00.000Z",
        "limit": "4",
    }


def test_runs_without_a_matrix_are_asked_for_by_an_empty_leg(receiver: FlakyReceiver) -> None:
    """Any leg would be another job."""
    stored = Stored([])
    cpu_seconds(receiver, stored, QUESTION._replace(job=JOB))
    assert "&leg=&" in stored.asked[0]


def test_it_does_not_look_for_ever(receiver: FlakyReceiver) -> None:
    """A receiver of whatever kind costs a bounded number of questions."""
    stored = Stored([past(1) for _ in range(1000)])
    assert cpu_seconds(receiver, stored) == []
    assert len(stored.asked) == 3


def test_a_receiver_that_fails_in_the_middle_tells_nothing(receiver: FlakyReceiver) -> None:
    """Half of the runs would make another median."""
    receiver.tell = Stored([past(9), past(8)]).tell
    receiver.faults.append((503, {}))
    with pytest.raises(SendError, match="answered 503"):
        ReceiverHistory(receiver.url, TOKEN).runs(QUESTION)


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'{"detail": "x"}', b"\xff", b"[" * 100_000])
def test_another_service_is_named_as_such(receiver: FlakyReceiver, answer: bytes) -> None:
    """What is no history is one sentence."""
    receiver.tell = lambda path: answer
    with pytest.raises(SendError, match="something else than a receiver's history"):
        ReceiverHistory(receiver.url, TOKEN).runs(QUESTION)


def test_a_wrong_token_is_not_repeated(receiver: FlakyReceiver) -> None:
    """Although the service does."""
    with pytest.raises(SendError, match="answered 401") as raised:
        ReceiverHistory(receiver.url, "wrong-token").runs(QUESTION)
    assert "wrong-token" not in str(raised.value)
