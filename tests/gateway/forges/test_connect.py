"""How a unary call of Connect carries errors."""

from __future__ import annotations

import msgspec
import pytest

from jobmeter.gateway.forges import connect
from jobmeter.gateway.forges.port import Failed, Unauthenticated


@pytest.mark.parametrize(
    "code, status",
    [
        ("canceled", 499),
        ("unknown", 500),
        ("invalid_argument", 400),
        ("deadline_exceeded", 504),
        ("not_found", 404),
        ("already_exists", 409),
        ("permission_denied", 403),
        ("resource_exhausted", 429),
        ("failed_precondition", 400),
        ("aborted", 409),
        ("out_of_range", 400),
        ("unimplemented", 501),
        ("internal", 500),
        ("unavailable", 503),
        ("data_loss", 500),
        ("unauthenticated", 401),
    ],
)
def test_each_code_has_its_status(code, status):
    """What is written is read as the same code."""
    reply = connect.write_error(code, "A sentence.")
    assert (reply.status, dict(reply.headers)) == (status, {"content-type": "application/json"})
    assert msgspec.json.decode(reply.body) == {"code": code, "message": "A sentence."}
    read = connect.read_error(reply.status, reply.body)
    if code == "unauthenticated":
        assert read == Unauthenticated(sentence="A sentence.")
    else:
        assert read == Failed(sentence="A sentence.", code=code, status=status)


@pytest.mark.parametrize(
    "status, code",
    [(400, "internal"), (403, "permission_denied"), (404, "unimplemented"), (429, "unavailable"),
     (502, "unavailable"), (503, "unavailable"), (504, "unavailable"), (500, "unknown"), (302, "unknown")],
)  # fmt: skip
def test_an_answer_of_something_else(status, code):
    """A reverse proxy's page tells by its status alone, and nothing of it is repeated."""
    assert connect.read_error(status, b"<html>token</html>") == Failed(
        sentence=f"The answer has HTTP status {status}.", code=code, status=status
    )


@pytest.mark.parametrize(
    "status, body, known",
    [
        (500, b'{"code":"unknown","message":"rpc error: code = Unauthenticated desc = unregistered runner"}', False),
        (401, b'{"code":"unauthenticated","message":"unregistered runner"}', False),
        (401, b"", False),
        (500, b'{"code":"unknown","message":"rpc error: code = Internal desc = update task"}', True),
        (500, b'{"code":"internal","message":"code = Unauthenticated"}', True),
    ],
)  # fmt: skip
def test_who_is_unknown(status, body, known):
    """Gitea wraps its refusal in HTTP 500 and code unknown; another error with these words is none."""
    assert isinstance(connect.read_error(status, body), Failed if known else Unauthenticated)


@pytest.mark.parametrize("body", [b'{"code":"no_such"}', b'{"code":7}', b"[]", b"{", b"[" * 5000])
def test_a_body_that_is_no_error(body):
    """The status counts."""
    assert connect.read_error(503, body) == Failed(
        sentence="The answer has HTTP status 503.", code="unavailable", status=503
    )


def test_a_long_message_is_cut_and_on_one_line():
    """It becomes a line of a log."""
    read = connect.read_error(500, msgspec.json.encode({"code": "internal", "message": "a\nb" + "x" * 9999}))
    assert isinstance(read, Failed)
    assert read.sentence == "a b" + "x" * 253


@pytest.mark.parametrize(
    "kind, encoding",
    [
        ("application/proto", "proto"),
        ("application/json", "json"),
        ("Application/JSON; charset=utf-8", "json"),
        ("application/grpc", None),
        ("application/grpc-web+proto", None),
        ("application/connect+proto", None),
        ("", None),
    ],
)
def test_encodings(kind, encoding):
    """Unary bodies only."""
    assert connect.encoding_of({"content-type": kind}) == encoding
    assert connect.encoding_of({}) is None
