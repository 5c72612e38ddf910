"""Forms that only our own pages can send: what they hide belongs to a cookie, and the browser says where they stood."""

import hmac
from base64 import urlsafe_b64encode
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

from jobmeter.ops.problems import Problem
from jobmeter.receiver.bodies import read_body

_MAX_BYTES = 16 * 1024
_MAX_FIELDS = 10
_ELSEWHERE = (
    "This form was not sent from a page of this receiver; open the page again and send it from there."
)


def form_key(cookie: bytes) -> str:
    """What a form hides: who does not know the cookie cannot make it up, and it tells nothing of the cookie."""
    return urlsafe_b64encode(hmac.digest(cookie, b"form", "sha256")).decode()


async def fields_of(request: Request, cookie: bytes | None) -> dict[str, str]:
    """The fields of a form of ours. Raises problems 400, 403 and 413."""
    check_origin(request)
    body = (await read_body(request.scope, request.receive)).content(_MAX_BYTES)
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError:
        raise Problem(400, "The body is no form.") from None
    fields = dict(pairs)
    if cookie is None or not hmac.compare_digest(form_key(cookie).encode(), fields.get("key", "").encode()):
        raise Problem(403, _ELSEWHERE)
    return fields


def check_origin(request: Request) -> None:
    """Raises a problem 403 where the browser says that another site sends the form."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        raise Problem(403, _ELSEWHERE)
    if site is None and origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise Problem(403, _ELSEWHERE)


def local_address(text: str) -> str:
    """Where to go on: a page of ours, else the first one."""
    is_local = text.startswith("/") and not text.startswith(("//", "/\\")) and "\\" not in text
    return text if is_local and text.isascii() and text.isprintable() and len(text) <= 2000 else "/"
