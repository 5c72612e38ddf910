"""Sends one file over HTTP: again where that may help, each time from its first byte, and never a secret in a word."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
from msgspec import Struct
from yarl import URL

from jobmeter.model.errors import SendError
from jobmeter.referee.failures import why
from jobmeter.transport import proxy_of

_PIECE_BYTES = 64 * 1024
_ANSWER_BYTES = 64 * 1024
_CONNECT_SECONDS = 10.0
_FIRST_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 5.0
_MAX_REDIRECTS = 3
_FINAL = frozenset(range(400, 500)) - {408, 425, 429}

Redirect = Callable[[URL, URL], URL]
"""From what was asked and what ``Location`` says to what is asked next."""


class Rules(NamedTuple):
    """When it is sent again: statuses that are ``final`` end it, 503 has tries of its own.

    ``redirect`` says where 307 and 308 lead, None that no redirect is followed.
    """

    final: Collection[int] = _FINAL
    tries: int = 3
    tries_away: int = 6
    redirect: Redirect | None = None
    advice: Mapping[int, str] = {}
    """What a status means here, beside its usual words."""


class Parcel(NamedTuple):
    """What is sent. ``service`` is what sentences call the other side; ``chunked`` sends no length."""

    service: str
    method: str
    url: URL
    headers: Mapping[str, str]
    body: bytes
    chunked: bool = False


class Reply(NamedTuple):
    """What came back."""

    status: int
    body: bytes


class Sending(Struct, frozen=True):
    """How it is sent; ``timeout`` in seconds is of one try, ``pause`` waits so many seconds between two."""

    timeout: float = 60.0
    tls: ssl.SSLContext | None = None
    pause: Callable[[float], Awaitable[Any]] = asyncio.sleep

    async def send(self, parcel: Parcel, rules: Rules) -> Reply:
        """The answer of 200 to 299. Raises SendError."""
        timeout = aiohttp.ClientTimeout(total=self.timeout, sock_connect=min(_CONNECT_SECONDS, self.timeout))
        tries = redirects = 0
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self.tls if self.tls is not None else True, force_close=True),
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Content-Type",),
        ) as session:
            while True:
                try:
                    return await self._once(session, parcel)
                except _Elsewhere as error:
                    redirects += 1
                    parcel = _redirected(parcel, rules, error, redirects)
                except SendError as error:
                    tries += 1
                    most = rules.tries_away if error.status == 503 else rules.tries
                    if error.status in rules.final or tries >= most:
                        raise _advised(error, rules) from None
                    asked = error.retry_after_seconds
                    await self.pause(_wait_seconds(tries) if asked is None else asked)

    async def _once(self, session: aiohttp.ClientSession, parcel: Parcel) -> Reply:
        """Raises SendError, _Elsewhere."""
        proxy = proxy_of(urlsplit(str(parcel.url)))
        body: Any = _pieces(parcel.body) if parcel.chunked else parcel.body
        headers = {"User-Agent": "jobmeter", **parcel.headers}
        try:
            async with session.request(
                parcel.method,
                parcel.url,
                data=body,
                headers=headers,
                allow_redirects=False,
                proxy=None if proxy is None else proxy.geturl(),
            ) as response:
                if 200 <= response.status < 300:
                    return Reply(response.status, await _answer(parcel, response))
                raise _refused(parcel, response)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._unreachable(parcel, error) from None

    def _unreachable(self, parcel: Parcel, error: Exception) -> SendError:
        if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ConnectionTimeoutError):
            return SendError(f"{parcel.service} did not answer within {self.timeout:g} s", retryable=True)
        return SendError(f"{parcel.service} cannot be reached: {why(error)}", retryable=True, answered=False)


USUAL = Sending()


async def _answer(parcel: Parcel, response: aiohttp.ClientResponse) -> bytes:
    """All of it, or the begin of one that is larger than any that is read here. Raises SendError, TimeoutError."""
    answer = bytearray()
    try:
        async for piece in response.content.iter_chunked(_PIECE_BYTES):
            answer += piece
            if len(answer) >= _ANSWER_BYTES:
                break
    except TimeoutError:
        raise
    except (aiohttp.ClientError, OSError):
        raise SendError(f"{parcel.service} broke off its answer", retryable=True) from None
    return bytes(answer)


class _Elsewhere(Exception):
    """It is to be asked for at another address."""

    def __init__(self, status: int, location: str) -> None:
        super().__init__(status)
        self.status = status
        self.location = location


def _refused(parcel: Parcel, response: aiohttp.ClientResponse) -> SendError | _Elsewhere:
    status, location = response.status, response.headers.get("Location")
    if status in (307, 308) and location:
        return _Elsewhere(status, location)
    try:
        phrase = f": {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = ""
    # What it says itself is left out: a storage repeats what was signed.
    told = f"{parcel.service} answered {status}{phrase}"
    return SendError(told, retryable=True, status=status, retry_after_seconds=_asked_wait(response))


def _redirected(parcel: Parcel, rules: Rules, elsewhere: _Elsewhere, redirects: int) -> Parcel:
    """The same parcel to where it leads. Raises SendError."""

    def refused(why: str) -> SendError:
        return SendError(
            f"{parcel.service} answered {elsewhere.status}: {why}", retryable=False, status=elsewhere.status
        )

    if rules.redirect is None:
        raise refused("it is elsewhere, and no redirect is followed")
    if redirects > _MAX_REDIRECTS:
        raise refused(f"it leads elsewhere more than {_MAX_REDIRECTS} times")
    try:
        location = parcel.url.join(URL(elsewhere.location, encoded=True))
        url = rules.redirect(parcel.url, location)
    except ValueError:
        raise refused("where it leads is no address") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise refused("where it leads is no address")
    if parcel.url.scheme == "https" and url.scheme != "https":
        raise refused("it leads to where nothing is encrypted")
    return parcel._replace(url=url)


def _advised(error: SendError, rules: Rules) -> SendError:
    advice = rules.advice.get(error.status or 0)
    message = f"{error}: {advice}" if advice else str(error)
    return SendError(message, retryable=error.retryable, status=error.status, answered=error.answered)


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for begin in range(0, len(body), _PIECE_BYTES):
        yield body[begin : begin + _PIECE_BYTES]


def _wait_seconds(tries: int) -> float:
    return min(_FIRST_WAIT_SECONDS * 2.0 ** (tries - 1), _LONGEST_WAIT_SECONDS)


def _asked_wait(response: aiohttp.ClientResponse) -> float | None:
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:6]), _LONGEST_WAIT_SECONDS)
    return None
