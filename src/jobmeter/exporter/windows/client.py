"""Asks a Docker engine over the network; nothing is changed there."""

import asyncio
import os
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

import aiohttp
import msgspec
from msgspec import Struct

from jobmeter.containers.catalog.facts import ContainerFacts
from jobmeter.exporter.windows.address import Engine
from jobmeter.exporter.windows.answers import (
    About,
    Made,
    Usage,
    parse_info,
    parse_inspect,
    parse_list,
    parse_stats,
    require_windows,
)
from jobmeter.identity.variables import shorten
from jobmeter.model.errors import SourceUnavailable

ANSWER_SECONDS = 8.0
"""So long one answer may take, to its end."""
MAX_LIST_BYTES = 16 * 1024 * 1024
MAX_BYTES = 1024 * 1024
_CONNECT_SECONDS = 5.0
_BROKEN_OFF = "it broke off the connection"
_GONE = 404
_VERSION = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}")
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"})


class _Refusal(Struct, frozen=True):
    message: str = ""


class EngineClient:
    """One engine; to be used within ``async with``. Each question raises SourceUnavailable with the reason.

    TLS is spoken by its ``context``, where there is one. What is asked at once goes over as many connections, which
    are kept.
    """

    def __init__(
        self, engine: Engine, context: ssl.SSLContext | None, *, answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        self._base = engine.url
        self._server_name = engine.server_name
        self._context = context
        self._answer_seconds = answer_seconds
        self._version = ""
        self._about = About(None, None)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._context if self._context is not None else True),
            timeout=aiohttp.ClientTimeout(total=self._answer_seconds, sock_connect=_CONNECT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity"},
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def meet(self) -> About:
        """Learn what the engine is, and from now on speak the newest version of its API."""
        async with self._asked("/_ping") as response:
            version = response.headers.get("Api-Version", "")
            if not _VERSION.fullmatch(version):
                raise SourceUnavailable("it does not speak the Docker Engine API")
            self._version = f"/v{version}"
        self._about = parse_info(await self._get("/info"))
        return self._about

    async def containers(self) -> list[ContainerFacts]:
        """Those that run."""
        return parse_list(await self._get("/containers/json", MAX_LIST_BYTES))

    async def made(self, container_id: str) -> Made | None:
        """How a container was made; None once it is gone."""
        answer = await self._find(f"/containers/{container_id}/json")
        return parse_inspect(answer, self._about) if answer is not None else None

    async def usage(self, container_id: str) -> Usage | None:
        """What a container has used by now; None for one that does not run, or is gone."""
        answer = await self._find(f"/containers/{container_id}/stats?stream=false&one-shot=true")
        return parse_stats(answer) if answer is not None else None

    async def _find(self, target: str) -> bytes | None:
        async with self._asked(self._version + target, may_be_gone=True) as response:
            return await _whole(response, MAX_BYTES) if response.status != _GONE else None

    async def _get(self, target: str, most_bytes: int = MAX_BYTES) -> bytes:
        async with self._asked(self._version + target) as response:
            return await _whole(response, most_bytes)

    @asynccontextmanager
    async def _asked(
        self, target: str, *, may_be_gone: bool = False
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer of 200, or of 404 where that may be. Each names the system: one machine can run two engines."""
        if self._session is None:
            raise RuntimeError("the session with the engine is not open")
        try:
            async with self._session.get(
                self._base + target, allow_redirects=False, server_hostname=self._server_name
            ) as response:
                gone = may_be_gone and response.status == _GONE
                if response.status != 200 and not gone:
                    raise SourceUnavailable(await _refusal(response))
                if "Ostype" in response.headers:
                    require_windows(response.headers["Ostype"])
                yield response
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise SourceUnavailable(self._reason(error)) from None

    def _reason(self, error: Exception) -> str:
        reason = _reason(error, self._answer_seconds)
        if reason == _BROKEN_OFF and self._context is not None and not self._version:
            # The library keeps the alert for itself with which TLS 1.3 says so.
            return f"{reason}, as one does that asks for a certificate and does not accept what it gets"
        return reason


async def _whole(response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    answer = bytearray()
    async for piece in response.content.iter_any():
        answer += piece
        if len(answer) > most_bytes:
            raise SourceUnavailable(f"it sent an answer of more than {most_bytes} bytes")
    return bytes(answer)


async def _refusal(response: aiohttp.ClientResponse) -> str:
    """With what the engine says of it, in JSON, or a server in its place as text."""
    said = (await response.content.read(4096)).decode("utf-8", "replace")
    try:
        said = msgspec.json.decode(said, type=_Refusal).message
    except msgspec.DecodeError:
        said = said.partition("\n")[0]
    return f"it answered {response.status}" + (f": {shorten(said, 160)}" if said.strip() else "")


def _reason(error: Exception, answer_seconds: float) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError(
            certificate_error=ssl.SSLCertVerificationError() as cause
        ):
            return f"its certificate is not accepted: {cause.verify_message}"
        case aiohttp.ClientConnectorDNSError():
            return "its name is not known here"
        case aiohttp.ClientConnectorSSLError() | ssl.SSLError():
            return _tls_reason(error)
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError() | ConnectionResetError():
            return _BROKEN_OFF
        case asyncio.TimeoutError():
            return f"it does not answer within {answer_seconds:g} s"
        case aiohttp.ClientOSError(errno=int(number)) if number > 0:
            return os.strerror(number).lower()
        case aiohttp.ClientResponseError():
            return "it does not speak HTTP"
    return f"it cannot be asked: {type(error).__name__}"


def _tls_reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or getattr(getattr(error, "os_error", None), "reason", None)
    if reason in _NO_TLS:
        return "it does not speak TLS"
    return f"TLS is not agreed on: OpenSSL says {reason}"
