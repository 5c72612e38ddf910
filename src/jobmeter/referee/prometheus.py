"""Asks a Prometheus, or what speaks as one does, for a range of time; nothing is changed there."""

import asyncio
import binascii
import json
import math
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Literal, Self
from urllib.parse import unquote, urlencode, urlsplit

import aiohttp
from yarl import URL

from jobmeter.model.errors import UsageError
from jobmeter.ops.tls import check_authorities
from jobmeter.referee.failures import why
from jobmeter.referee.options import PrometheusOptions
from jobmeter.referee.reading import one_line, said
from jobmeter.transport import shown

_PATH = "/api/v1/query_range"
_CONNECT_SECONDS = 5.0
_POST_REFUSED = frozenset({405, 501})
_WAITS = frozenset({429, 503})
_AWAY = frozenset({502, 503, 504})
_TRIES = 5
_EXACT = {"nocache": "1"}
"""Without it VictoriaMetrics moves the times to multiples of the step; others do not know it, and leave it alone."""
_LONGEST_WAIT_SECONDS = 600.0
"""However long it asks for, that is not what keeps it from being asked about a later job."""
_UNASKED_WAIT_SECONDS = 1.0
_PIECE_BYTES = 64 * 1024
_ERROR_BYTES = 64 * 1024
_LEAST_SECRET_BYTES = 6
_SKEW_SECONDS = 5.0
"""A Date has whole seconds, and the answer may have taken some."""


Kind = Literal["refused", "late", "away"]
"""Somebody answered; nobody did in time, be it for the query's sake; there is nobody to ask."""


class Unanswered(Exception):
    """There is no answer; the message is one sentence."""

    def __init__(self, message: str, kind: Kind = "refused") -> None:
        super().__init__(message)
        self.kind: Kind = kind


class Room:
    """What all answers together may have: so many bytes, and time until ``deadline`` of the monotonic clock."""

    def __init__(self, most_bytes: int, deadline: float = math.inf) -> None:
        self.most_bytes = most_bytes
        self.deadline = deadline
        self._left = most_bytes

    def take(self, count: int) -> bool:
        """Whether there is room for so many more."""
        self._left -= count
        return self._left >= 0


class Prometheus:
    """One server; to be used within ``async with``. Raises UsageError for certificates that cannot be used."""

    def __init__(self, options: PrometheusOptions) -> None:
        self._options = options
        parts = urlsplit(options.address)
        self.address = shown(options.address).rstrip("/")
        self._url = URL(self.address + _PATH, encoded=True)
        self._tls = _context(options) if parts.scheme == "https" else None
        self._headers = _headers(options)
        self._secrets = _secrets(options)
        self._may_post = True
        self._not_before = 0.0
        self.clock_ahead_seconds: float | None = None
        """By how much its clock was ahead of ours in its last answer; None while they agree."""
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._tls if self._tls is not None else True),
            timeout=aiohttp.ClientTimeout(
                total=self._options.timeout, sock_connect=min(_CONNECT_SECONDS, self._options.timeout)
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            auto_decompress=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def query_range(self, expression: str, start: float, end: float, step: float, room: Room) -> bytes:
        """The answer's JSON; times in seconds since 1970, the step in seconds. Raises Unanswered.

        Who is asked to wait waits, all questions together, and asks again, five times in all; unless that takes longer
        than there is room for.
        """
        form = {
            "query": expression,
            "start": f"{start:.3f}",
            "end": f"{end:.3f}",
            "step": f"{step:.3f}",
        } | _EXACT
        for tries_left in range(_TRIES - 1, -1, -1):
            await self._rest(room, asked=tries_left < _TRIES - 1)
            try:
                found = await self._asked(form, room, may_wait=tries_left > 0)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                raise self._unanswered(error) from None
            if found is not None:
                return found
        raise Unanswered("Prometheus takes neither POST nor GET.")

    async def _rest(self, room: Room, *, asked: bool) -> None:
        """As long as it has asked for. Raises Unanswered."""
        rest = max(self._not_before - time.monotonic(), 0.0)
        if self._not_before > room.deadline:
            raise Unanswered(
                f"It was not asked{' again' if asked else ''}, because Prometheus asks for {rest:.0f} s without "
                "questions, longer than there is time for."
            )
        await asyncio.sleep(rest)

    async def _asked(self, form: Mapping[str, str], room: Room, *, may_wait: bool) -> bytes | None:
        """None where it is to be asked again."""
        if self._session is None:
            raise RuntimeError("the session with Prometheus is not open")
        post = self._may_post
        asked = (
            self._session.post(self._url, data=dict(form), allow_redirects=False)
            if post
            else self._session.get(URL(f"{self._url}?{urlencode(form)}", encoded=True), allow_redirects=False)
        )
        async with asked as response:
            self._compare_clocks(response)
            if response.status == 200:
                return await self._whole(response, room)
            if post and response.status in _POST_REFUSED:
                self._may_post = False
                return None
            wait = _wait_seconds(response)
            if wait is not None and may_wait:
                self._not_before = max(self._not_before, time.monotonic() + wait)
                return None
            raise await self._refusal(response)

    async def _whole(self, response: aiohttp.ClientResponse, room: Room) -> bytes:
        answer = bytearray()
        most = self._options.max_answer_bytes
        async for piece in _unpacked(response):
            answer += piece
            if len(answer) > most:
                raise Unanswered(f"The answer has more than {most} bytes.")
            if not room.take(len(piece)):
                raise Unanswered(f"The answers have more than {room.most_bytes} bytes together.")
        return self._without_secrets(bytes(answer))

    async def _refusal(self, response: aiohttp.ClientResponse) -> Unanswered:
        if 300 <= response.status < 400:
            return Unanswered(
                f"Prometheus answered {response.status}: it is elsewhere, and no redirect is followed."
            )
        body = bytearray()
        async for piece in _unpacked(response):
            body += piece
            if len(body) > _ERROR_BYTES:
                break
        # Before anything is cut: the beginning of a secret is one too.
        told = said(self._masked(bytes(body)))
        reason = told or one_line(self._masked((response.reason or "").encode()).decode())
        # One that says why, as of a query that took too long, is there; others are before it, and find nobody.
        away = response.status in _AWAY and not told
        return Unanswered(
            f"Prometheus answered {response.status}{f': {reason}' if reason else ''}.",
            "away" if away else "refused",
        )

    def _masked(self, text: bytes) -> bytes:
        for secret in self._secrets:
            text = text.replace(secret, b"***")
        return text

    def _without_secrets(self, answer: bytes) -> bytes:
        """Data of a server that repeats what it was sent; what is short, or a number, is left in the numbers."""
        for secret in self._secrets:
            if len(secret) >= _LEAST_SECRET_BYTES and not secret.isdigit():
                answer = answer.replace(secret, b"***")
        return answer

    def _compare_clocks(self, response: aiohttp.ClientResponse) -> None:
        try:
            theirs = parsedate_to_datetime(response.headers["Date"]).timestamp()
        except (KeyError, ValueError, OverflowError):
            return
        ahead = theirs - time.time()
        self.clock_ahead_seconds = ahead if abs(ahead) > _SKEW_SECONDS else None

    def _unanswered(self, error: Exception) -> Unanswered:
        late = isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ConnectionTimeoutError)
        if late:
            return Unanswered(f"Prometheus gave no answer within {self._options.timeout:g} s.", "late")
        cut = isinstance(error, aiohttp.ClientPayloadError)
        return Unanswered(
            f"Prometheus {'broke off its answer' if cut else 'cannot be asked'}: {why(error)}.",
            "refused" if cut else "away",
        )


async def _unpacked(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The body in pieces that are small, however much they were packed. Raises Unanswered."""
    coding = response.headers.get("Content-Encoding", "identity").lower()
    if coding == "identity":
        async for piece in response.content.iter_chunked(_PIECE_BYTES):
            yield piece
        return
    if coding not in ("gzip", "deflate"):
        raise Unanswered(f"The answer is packed as {one_line(coding, 40)}, which was not asked for.")
    unpacking = zlib.decompressobj(wbits=31 if coding == "gzip" else 15)
    try:
        async for packed in response.content.iter_chunked(_PIECE_BYTES):
            rest = packed
            while rest:
                if unpacking.eof:
                    raise Unanswered("The answer goes on after its end.")
                yield unpacking.decompress(rest, _PIECE_BYTES)
                rest = unpacking.unused_data if unpacking.eof else unpacking.unconsumed_tail
        yield unpacking.flush()
    except zlib.error:
        raise Unanswered("The answer cannot be unpacked.") from None
    if not unpacking.eof:
        raise Unanswered("The answer is not whole: what was packed breaks off.")


def _wait_seconds(response: aiohttp.ClientResponse) -> float | None:
    """How long it asks to wait; None where it does not."""
    if response.status not in _WAITS:
        return None
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:6]), _LONGEST_WAIT_SECONDS)
    try:
        seconds = parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, OverflowError):
        # Without a time, 503 is also how a query ends that took too long.
        return _UNASKED_WAIT_SECONDS if response.status == 429 else None
    return min(max(seconds, 0.0), _LONGEST_WAIT_SECONDS)


def _headers(options: PrometheusOptions) -> dict[str, str]:
    parts = urlsplit(options.address)
    headers = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "jobmeter"}
    headers |= dict(options.headers)
    user = options.user if options.user is not None else unquote(parts.username or "")
    password = options.password if options.password is not None else unquote(parts.password or "")
    if options.token is not None:
        headers["Authorization"] = f"Bearer {options.token}"
    elif user:
        pair = binascii.b2a_base64(f"{user}:{password}".encode(), newline=False).decode()
        headers["Authorization"] = f"Basic {pair}"
    if options.tenant is not None:
        headers["X-Scope-OrgID"] = options.tenant
    return headers


def _secrets(options: PrometheusOptions) -> tuple[bytes, ...]:
    """As they are sent and as JSON has them, the longest first: one may be within another."""
    parts = urlsplit(options.address)
    credentials = _headers(options).get("Authorization", "").partition(" ")[2]
    known = [options.token, options.password, parts.password, unquote(parts.password or ""), credentials]
    known += [value for _, value in options.headers]
    found = {form for secret in known if secret for form in (secret, json.dumps(secret)[1:-1])}
    return tuple(secret.encode() for secret in sorted(found, key=len, reverse=True))


def _context(options: PrometheusOptions) -> ssl.SSLContext:
    """Raises UsageError."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if options.ca_cert is not None:
        check_authorities(options.ca_cert, f"{options.place}: ca_cert")
        context.load_verify_locations(options.ca_cert)
    if options.client_cert is None:
        return context
    try:
        context.load_cert_chain(options.client_cert, options.client_key, password=lambda: "")
    except (OSError, ssl.SSLError) as error:
        reason = (error.reason if isinstance(error, ssl.SSLError) else error.strerror) or "it is not PEM"
        raise UsageError(
            f"{options.place}: client_cert: {options.client_cert!r} cannot be used: {reason}"
        ) from None
    return context
