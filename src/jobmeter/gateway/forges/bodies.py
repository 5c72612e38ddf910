"""Bodies without their content coding, never larger than we are ready to hold."""

import zlib

from jobmeter.gateway.forges.port import Headers, Unreadable

_GZIP_WINDOW = 16 + zlib.MAX_WBITS


def plain_body(headers: Headers, body: bytes, most_bytes: int) -> bytes:
    """The body as ``Content-Encoding`` says it was before: itself, or out of gzip, at most ``most_bytes`` of it.

    Raises Unreadable for another coding, for what is cut or damaged, and for more than that.
    """
    coding = headers.get("content-encoding", "").strip().lower()
    if coding in ("", "identity"):
        if len(body) > most_bytes:
            raise Unreadable(f"A body has more than {most_bytes} bytes.")
        return body
    if coding != "gzip":
        raise Unreadable("A body has a content coding other than gzip.")
    if not body:
        # A message without any field set has an empty body, and some send it marked as gzip.
        return body
    unpacking = zlib.decompressobj(_GZIP_WINDOW)
    try:
        plain = unpacking.decompress(body, most_bytes + 1)
    except zlib.error:
        raise Unreadable("A body is not the gzip that it is marked as.") from None
    if len(plain) > most_bytes:
        raise Unreadable(f"A body has more than {most_bytes} bytes when it is unpacked.")
    if not unpacking.eof or unpacking.unused_data:
        raise Unreadable("A gzip body is cut, or something follows it.")
    return plain
