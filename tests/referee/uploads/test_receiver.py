"""Evidence at jobmeter's own receiver."""

from __future__ import annotations

import asyncio
import gzip
from typing import NamedTuple

import pytest

from jobmeter.model.errors import SendError
from jobmeter.referee.uploads.receiver import Receiver, packed
from jobmeter.referee.uploads.sending import Sending
from tests.referee.server import says
from tests.referee.uploads.places import TOKEN, in_turn
from tests.support.forges.raw import Answer, Seen, raw_forge

UID = "0192f0c0-0000-7000-8000-000000000001"
DOCUMENT = b'{"schema":"jobmeter.evidence/1"}'
KEPT = says(201, b"{}")


class Outcome(NamedTuple):
    seen: list[Seen]
    error: SendError | None


def keeping(answer: Answer, run_uid: str | None = UID, token: str | None = TOKEN) -> Outcome:
    """Send it once."""

    async def pause(_: float) -> None:
        """No test waits."""

    async def main() -> Outcome:
        async with raw_forge(answer) as server:
            receiver = Receiver(server.url, token, Sending(timeout=5.0, pause=pause))
            try:
                await receiver.keep(packed(DOCUMENT), run_uid)
            except SendError as error:
                return Outcome(server.seen, error)
            return Outcome(server.seen, None)

    return asyncio.run(main())


@pytest.mark.parametrize(
    "run_uid, path", [(UID, f"/api/v1/runs/{UID}/evidence"), ("a/b", "/api/v1/runs/a%2Fb/evidence"),
                      (None, "/api/v1/evidence")],
)  # fmt: skip
def test_it_is_sent_compressed(run_uid: str | None, path: str) -> None:
    """To its run, or where that is found by the job's names."""
    seen, error = keeping(KEPT, run_uid)
    assert error is None
    (asked,) = seen
    assert (asked.method, asked.target) == ("POST", path)
    assert asked.by_name["content-type"] == "application/json"
    assert asked.by_name["content-encoding"] == "gzip"
    assert asked.by_name["authorization"] == f"Bearer {TOKEN}"
    assert gzip.decompress(asked.body) == DOCUMENT


def test_a_receiver_without_a_token() -> None:
    """None is sent."""
    (asked,), _ = keeping(KEPT, token=None)
    assert "authorization" not in asked.by_name


@pytest.mark.parametrize(
    "status, sentence",
    [
        (404, "the receiver answered 404: Not Found"),
        (401, "the receiver answered 401: Unauthorized: its push token is another one"),
        (403, "the receiver answered 403: Forbidden: the token may not push"),
    ],
)
def test_it_is_not_taken(status: int, sentence: str) -> None:
    """One sentence, at once."""
    seen, error = keeping(says(status))
    assert len(seen) == 1
    assert error is not None
    assert (error.status, str(error)) == (status, sentence)


def test_its_token_is_in_no_text() -> None:
    """Nor what it is."""
    assert TOKEN not in repr(Receiver("http://r", TOKEN))


def test_a_bad_moment() -> None:
    """Is tried again, all of it."""
    seen, error = keeping(in_turn(says(500), KEPT))
    assert error is None
    assert [one.body for one in seen] == [seen[0].body] * 2
