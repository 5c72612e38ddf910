"""Which headers cross a relay, in which form, and which requests are refused for theirs. Pure.

Pairs keep their order and their duplicates. Framing is each hop's own: a body is measured or chunked anew.
"""

from collections.abc import Iterable, Sequence

from jobmeter.gateway.forges.port import CREDENTIAL_HEADERS

Pairs = Sequence[tuple[bytes, bytes]]
Text = list[tuple[str, str]]

_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""RFC 9110, section 7.6.1, and those of RFC 9112."""
_OURS = frozenset({b"host", b"expect", b"content-length"})
"""Of a request: said anew, or answered here (the body is asked for when it is wanted)."""
_ONCE = frozenset(name.encode() for name in CREDENTIAL_HEADERS if name != "cookie")
_NOT_PASSED = _HOP_BY_HOP | _OURS
_GUARDED = _NOT_PASSED | {b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"}


def smuggled(headers: Pairs) -> str | None:
    """Why a request with these headers might be read otherwise by the next server; None if it cannot.

    The parser before this has refused two lengths, a length beside chunks, and lines that it cannot tell apart.
    """
    names = [name for name, _ in headers]
    if names.count(b"host") != 1:
        return "A request has one Host header."
    several = len(set(names)) < len(names)
    if several and (names.count(b"transfer-encoding") > 1 or names.count(b"content-length") > 1):
        return "A request says once how long its body is."
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if codings and codings[0].strip().lower() != b"chunked":
        return "A request's body has no other transfer coding than chunked."
    if several and any(names.count(name) > 1 for name in _ONCE):
        # Forges take the first one; here several would make one runner many.
        return "A request shows each of its credentials once."
    underscored = [name for name in names if b"_" in name]
    if underscored and any(name.replace(b"_", b"-") in _GUARDED for name in underscored):
        # Some servers take the one for the other.
        return "A header's name has an underscore where its own has a hyphen."
    return None


def has_body(headers: Pairs) -> bool:
    """Whether a request with these headers has a body, an empty one included."""
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in headers)


def length(headers: Pairs) -> str | None:
    """What a request says of its body's length; None if it is chunked, or has none."""
    return next((value.decode("latin-1") for name, value in headers if name == b"content-length"), None)


def to_forge(headers: Pairs, client: str | None) -> Text:
    """A request's headers as a reverse proxy passes them: who asked is added, what is between two hops is not.

    What it asked for is not added: of a request whose scheme is told Gitea believes the Host, which is the forge's
    own here, and would send jobs there with their artifacts. Without it that is the address of its settings.
    """
    dropped = _with_named(_NOT_PASSED, headers)
    kept = [(name, value) for name, value in headers if name not in dropped]
    via = [value for name, value in kept if name == b"x-forwarded-for"] + (
        [client.encode()] if client else []
    )
    kept = [pair for pair in kept if pair[0] != b"x-forwarded-for"]
    kept += [(b"x-forwarded-for", b", ".join(via))] if via else []
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in kept]


def to_runner(headers: Pairs, status: int) -> list[tuple[bytes, bytes]]:
    """An answer's headers; names are in lower case on the other side too."""
    low = [(name.lower(), value) for name, value in headers]
    dropped = _with_named(_HOP_BY_HOP, low)
    if status in (204, 304):
        # There is no body that the length could be of.
        dropped |= {b"content-length"}
    return [(name, value) for name, value in low if name not in dropped]


def by_name(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by their names in lower case, duplicates joined."""
    joined: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def _with_named(dropped: frozenset[bytes], headers: Pairs) -> frozenset[bytes]:
    """These, and those that a Connection header calls its own."""
    lists = [value.lower().split(b",") for name, value in headers if name == b"connection"]
    return dropped.union(token.strip() for tokens in lists for token in tokens) if lists else dropped
