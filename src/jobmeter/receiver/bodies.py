"""Reads the body of a request: bounded in size and time, inflated when it is compressed."""

import zlib

from starlette.types import Receive, Scope

from jobmeter.receiver.problems import Problem, TooLarge

MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_INFLATED_BYTES = 32 * 1024 * 1024
_CODINGS = {b"": False, b"identity": False, b"gzip": True, b"x-gzip": True}


class Disconnected(Exception):
    """The client has gone before its body was complete; there is no one to answer."""


class Body:
    """The body as it came, and what is in it."""

    def __init__(self, sent: bytes, gzipped: bool) -> None:
        self.sent = sent
        self.gzipped = gzipped

    def content(self, limit: int = MAX_INFLATED_BYTES) -> bytes:
        """The body without its compression. Raises problems 400 and 413."""
        return _inflated(self.sent, limit) if self.gzipped else self.sent


async def read_body(scope: Scope, receive: Receive) -> Body:
    """The whole body. Raises problems 413 and 415, and Disconnected; the server ends what comes too slowly."""
    gzipped = _announced(scope)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        body: bytes = message["body"]
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge(MAX_BODY_BYTES)
        return Body(body, gzipped)
    pieces, size = [], 0
    while message["type"] == "http.request":
        pieces.append(message["body"])
        size += len(message["body"])
        if size > MAX_BODY_BYTES:
            raise TooLarge(MAX_BODY_BYTES)
        if not message.get("more_body", False):
            return Body(b"".join(pieces), gzipped)
        message = await receive()
    raise Disconnected


def _announced(scope: Scope) -> bool:
    """Whether the body is compressed; what can be refused by its headers is refused."""
    length = coding = b""
    for name, value in scope["headers"]:
        if name == b"content-length":
            length = value
        elif name == b"content-encoding":
            coding = value.strip().lower()
    gzipped = _CODINGS.get(coding)
    if gzipped is None:
        raise Problem(
            415,
            f"The Content-Encoding {coding.decode('latin-1')[:40]!r} is not known; accepted are gzip and identity.",
            headers={"Accept-Encoding": "gzip, identity"},
        )
    if length.isdigit() and int(length[:16]) > MAX_BODY_BYTES:
        raise TooLarge(MAX_BODY_BYTES)
    return gzipped


def _inflated(data: bytes, limit: int) -> bytes:
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        content = inflater.decompress(data, limit + 1)
    except zlib.error as error:
        raise Problem(400, f"The body is not what its Content-Encoding gzip says: {error}.") from None
    if len(content) > limit:
        raise TooLarge(limit, "The body without its compression")
    if not inflater.eof:
        raise Problem(400, "The body is not what its Content-Encoding gzip says: it ends too early.")
    if inflater.unused_data:
        raise Problem(
            400, "The body is not what its Content-Encoding gzip says: there is more after its end."
        )
    return content
