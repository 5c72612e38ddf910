"""The forge's side: one client session, with the forge's address, its certificates and limits of time."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Self
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from jobmeter.gateway.relay.contact import Contact
from jobmeter.gateway.relay.options import ForgeOptions
from jobmeter.model.errors import JobmeterError, UsageError
from jobmeter.ops.tls import check_authorities

CONNECT_SECONDS = 10.0
AWAY = frozenset({502, 503, 504})
"""Statuses by which a forge, or what stands before it, says that it cannot be asked."""
_KEEP_SECONDS = 15.0
"""An unused connection is closed before the forge, or what stands before it, would: 60 s and more are usual."""
_READ_BYTES = 256 * 1024
_MOST_HEAD_BYTES = 64 * 1024
_NOT_OURS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class Unreachable(JobmeterError):
    """The forge gives no answer, or not all of it; the message says why in one sentence."""


class TooLate(Unreachable):
    """Our own limit of time was over before the forge had answered."""


class Limits(NamedTuple):
    """Seconds until the answer must be whole, and of silence while it is waited for; None is no limit."""

    total: float | None = None
    silence: float | None = None


UNLIMITED = Limits()


class Answered:
    """What the forge answers: its head, and its body as it comes."""

    def __init__(self, response: aiohttp.ClientResponse, place: str) -> None:
        self.status = response.status
        self.pairs: Sequence[tuple[bytes, bytes]] = response.raw_headers
        self._content = response.content
        self._place = place

    async def chunk(self) -> bytes:
        """The next piece of the body, coded as it was sent; empty after the last. Raises Unreachable."""
        try:
            return await self._content.readany()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            kind = TooLate if _is_late(error) else Unreachable
            raise kind(f"The forge at {self._place} broke off its answer: {_reason(error)}.") from None

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises Unreachable when it breaks off."""
        while chunk := await self.chunk():
            yield chunk


class Asking(AbstractAsyncContextManager[Answered]):
    """One request; its answer is let go of at the end, and its connection closed if that was not whole.

    ``contact`` hears whether there is one; ``patient`` if silence says something of the forge.
    """

    def __init__(
        self,
        asked: Awaitable[aiohttp.ClientResponse],
        place: str,
        contact: Contact | None = None,
        *,
        patient: bool = True,
    ) -> None:
        self._asked = asked
        self._place = place
        self._contact = contact
        self._patient = patient

    async def __aenter__(self) -> Answered:
        try:
            self._response = await self._asked
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            kind = TooLate if _is_late(error) else Unreachable
            if self._patient or kind is Unreachable:
                self._missed()
            raise kind(f"The forge at {self._place} gives no answer: {_reason(error)}.") from None
        if self._response.status in AWAY:
            self._missed(self._response.status)
        elif self._contact is not None:
            self._contact.heard()
        return Answered(self._response, self._place)

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()

    def _missed(self, status: int | None = None) -> None:
        if self._contact is not None:
            self._contact.missed(status)


class Upstream:
    """Asks one forge; to be used within ``async with``. Raises UsageError for certificates that cannot be used."""

    def __init__(self, options: ForgeOptions, contact: Contact | None = None) -> None:
        self._contact = contact
        address = urlsplit(options.url)
        self.place = address.netloc.rpartition("@")[2]
        self._base = options.url.rstrip("/")
        self._tls = tls_context(options) if address.scheme == "https" else None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            limit=0,
            ssl=self._tls if self._tls is not None else True,
            keepalive_timeout=_KEEP_SECONDS,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_NOT_OURS,
            read_bufsize=_READ_BYTES,
            max_line_size=_MOST_HEAD_BYTES,
            max_field_size=_MOST_HEAD_BYTES,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def ask(
        self,
        method: str,
        target: str,
        headers: Iterable[tuple[str, str]],
        body: bytes | AsyncIterator[bytes] | None = None,
        *,
        limits: Limits = UNLIMITED,
    ) -> Asking:
        """One request to ``target`` below the forge's address; the answer is let go of at the end.

        Leaving before the answer is whole closes the connection. Raises Unreachable.
        """
        if self._session is None:
            raise RuntimeError("the session with the forge is not open")
        asked = self._session.request(
            method,
            URL(self._base + target, encoded=True),
            headers=headers if isinstance(headers, list) else list(headers),
            data=pieces(body) if isinstance(body, bytes) and len(body) > _READ_BYTES else body,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(
                total=limits.total, sock_connect=CONNECT_SECONDS, sock_read=limits.silence
            ),
        )
        patient = limits.total is None or limits.total >= CONNECT_SECONDS
        return Asking(asked, self.place, self._contact, patient=patient)


async def pieces(body: bytes) -> AsyncIterator[bytes]:
    """A large body in pieces, between which others have their turn, and of which no more is copied than is sent."""
    for place in range(0, len(body), _READ_BYTES):
        yield body[place : place + _READ_BYTES]


def tls_context(options: ForgeOptions) -> ssl.SSLContext:
    """What this forge's certificate must be, and ours. Raises UsageError."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if options.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    place = options.place or f"forge {options.name!r}"
    if options.ca_cert is not None:
        check_authorities(options.ca_cert, f"{place}: ca_cert")
        context.load_verify_locations(options.ca_cert)
    try:
        if options.client_cert is not None:
            context.load_cert_chain(options.client_cert, options.client_key)
    except (OSError, ssl.SSLError) as error:
        reason = (error.reason if isinstance(error, ssl.SSLError) else error.strerror) or "it is not PEM"
        raise UsageError(f"{place}: client_cert: {options.client_cert!r} cannot be used: {reason}") from None
    return context


def _is_late(error: Exception) -> bool:
    """Whether it was connected to and only slow."""
    return isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ConnectionTimeoutError)


def _reason(error: BaseException) -> str:
    """Why, in words that hold nothing of what was sent."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return f"its certificate is not accepted ({_certificate(error.certificate_error)})"
        case aiohttp.ClientConnectorDNSError():
            return "its name is not known here"
        case aiohttp.ClientSSLError():
            return "TLS is not agreed on"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError() | ConnectionResetError():
            return "it closed the connection"
        case asyncio.TimeoutError():
            return "it took too long"
        case OSError(errno=int(number)):
            return os.strerror(number).lower()
        case aiohttp.ClientConnectorError():
            return "none of its addresses can be connected to"
        case aiohttp.ClientResponseError():
            return "it sent what is no HTTP"
    return type(error).__name__


def _certificate(error: Exception) -> str:
    return error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else type(error).__name__
