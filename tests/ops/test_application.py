"""Every request is answered, whatever happens to it, and nobody learns what is not theirs to know."""

from __future__ import annotations

import asyncio
import json
from contextlib import nullcontext
from typing import Any

import pytest
from starlette.types import Message

from jobmeter.ops.access import Tokens
from jobmeter.ops.application import Application, Disconnected
from jobmeter.ops.problems import Problem
from jobmeter.ops.routing import Content, Route


class Messages:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.warned: list[dict[str, object]] = []

    def warn(self, message: str, **fields: object) -> None:
        self.warned.append({"message": message, **fields})


class Asked:
    """What came of one request."""

    def __init__(self, handler: Any, *, cancelled: bool = False, known: Problem | None = None) -> None:
        self.log, self.sent, self.counted = Messages(), list[Message](), list[tuple[str, int]]()
        route = Route("POST", "/x", handler, "open", "", request=Content(None, ""))
        application = Application(
            [route], Tokens(), self.log, answered=lambda *each: self.counted.append(each),
            problem_of=lambda error: known,
        )  # fmt: skip
        asyncio.run(self._ask(application, cancelled))

    async def _ask(self, application: Application, cancelled: bool) -> None:
        async def receive() -> Message:
            await asyncio.sleep(3600)
            raise AssertionError

        async def send(message: Message) -> None:
            self.sent.append(message)

        scope = {"type": "http", "method": "POST", "raw_path": b"/x", "query_string": b"", "headers": []}
        task = asyncio.create_task(application(scope, receive, send))
        await asyncio.sleep(0)
        if cancelled:
            task.cancel()
        await task

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def detail(self) -> str:
        return str(json.loads(self.sent[1]["body"])["detail"])


def failing(error: BaseException):
    async def handler(scope, receive, send):
        raise error

    return handler


def test_a_defect_is_told_to_the_log_alone():
    """With its trace."""
    asked = Asked(failing(ValueError("secret of the process")))
    assert (asked.status, asked.detail) == (500, "The request could not be answered; the log says why.")
    assert "secret of the process" in str(asked.log.warned[0]["trace"])
    assert asked.counted == [("/x", 500)]


def test_an_error_that_the_daemon_knows_is_its_problem():
    """As the daemon says it."""
    asked = Asked(failing(OSError("x")), known=Problem(507, "There is no room."))
    assert (asked.status, asked.detail, asked.log.warned) == (507, "There is no room.", [])


def test_who_has_gone_is_not_answered():
    """It is counted."""
    asked = Asked(failing(Disconnected()))
    assert (asked.sent, asked.counted) == ([], [("/x", 499)])


def test_who_waits_when_the_server_stops_may_come_again():
    """503, and the connection is closed; no trace is in the log."""

    async def waiting(scope, receive, send):
        await receive()

    asked = Asked(waiting, cancelled=True)
    assert (asked.status, asked.counted, asked.log.warned) == (503, [("/x", 503)], [])
    assert (b"connection", b"close") in asked.sent[0]["headers"]


def test_an_answer_that_has_begun_is_cut_off():
    """There is no other way left to say that it is not whole."""

    async def handler(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        Asked(handler)


@pytest.mark.parametrize("method, counted", [("GET", 0), ("POST", 1)])
def test_only_bodies_that_are_asked_for_are_counted(method, counted):
    """Others are thrown away as they come."""
    admitted = []

    def admit(receive):
        admitted.append(receive)
        return nullcontext(receive)

    async def handler(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    request = Content(None, "") if method == "POST" else None
    application = Application(
        [Route(method, "/x", handler, "open", "", request=request)], Tokens(), Messages(),
        answered=lambda *_: None, admit=admit,
    )  # fmt: skip

    async def work():
        async def send(message: Message) -> None:
            pass

        async def receive() -> Message:
            return {"type": "http.request", "body": b""}

        scope = {"type": "http", "method": method, "raw_path": b"/x", "query_string": b"", "headers": []}
        await application(scope, receive, send)

    asyncio.run(work())
    assert len(admitted) == counted
