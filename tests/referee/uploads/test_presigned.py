"""A storage by a presigned URL."""

from __future__ import annotations

import pytest

from jobmeter.referee.uploads.presigned import Presigned
from jobmeter.referee.uploads.sending import Sending
from tests.referee.server import hang_up, says
from tests.referee.uploads.places import ATTACHMENT, TOKEN, Outcome, in_turn, uploading
from tests.support.forges.raw import Answer, Line, Seen, response

QUERY = f"X-Amz-Credential=AKIA%2F20261121&X-Amz-Signature={TOKEN}"


def upload(answer: Answer) -> Outcome:
    def place(url: str, sending: Sending) -> Presigned:
        return Presigned(f"{url}/bucket/evidence.json?{QUERY}", sending)

    return uploading(answer, place)


def test_it_is_put_as_it_was_signed() -> None:
    """To the letter of the URL, with its length, and with no header that was not signed."""
    outcome = upload(says(200))
    (seen,) = outcome.seen
    assert seen.line == f"PUT /bucket/evidence.json?{QUERY} HTTP/1.1"
    assert seen.body == ATTACHMENT.content
    assert seen.by_name["content-length"] == str(len(ATTACHMENT.content))
    unsigned = {"authorization", "content-type", "transfer-encoding", "content-encoding", "cookie"}
    assert not unsigned & set(seen.by_name)
    assert outcome.where == "in the storage localhost"


@pytest.mark.parametrize(
    "fault, tries, sentence",
    [
        (
            says(403, f"<Error><StringToSign>{TOKEN}</StringToSign></Error>".encode()),
            1,
            "the storage localhost answered 403: Forbidden: the URL may be over, or be signed for something else",
        ),
        (says(413), 1, "the storage localhost answered 413: Request Entity Too Large"),
        (says(503), 6, "the storage localhost answered 503: Service Unavailable"),
        (hang_up, 3, "the storage localhost cannot be reached: it closed the connection"),
    ],
)
def test_a_refusal_is_one_sentence(fault: Answer, tries: int, sentence: str) -> None:
    """Without anything of the signature, whatever the storage repeats of it."""
    outcome = upload(fault)
    assert outcome.refusal == sentence
    assert len(outcome.waits) == tries - 1


def test_a_storage_leads_to_its_region() -> None:
    """The whole file goes to the new address."""

    async def there(seen: Seen, line: Line) -> None:
        location = f"http://{seen.by_name['host']}/region/evidence.json?{QUERY}"
        await line.send(response(307, b"", ("Location", location)))

    _, second = upload(in_turn(there, says(200))).seen
    assert second.target == f"/region/evidence.json?{QUERY}"
    assert second.body == ATTACHMENT.content
