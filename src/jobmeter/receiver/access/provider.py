"""A provider of OpenID Connect: where it is asked, with which keys it signs. Asked in threads, few at a time."""

import asyncio
import time
from base64 import b64encode
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Struct

from jobmeter.model.errors import SendError
from jobmeter.receiver.access.id_token import NotAccepted, UnknownKey, verified
from jobmeter.receiver.access.rules import OidcRules
from jobmeter.transport import Endpoint

_KEPT_SECONDS = 3600.0
_AGAIN_SECONDS = 30.0
_AWAY_SECONDS = 3.0
_MAX_BYTES = 1024 * 1024
_TIMEOUT_SECONDS = 8.0
_AT_ONCE = 4


class Places(Struct):
    """What discovery tells of a provider."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class _Tokens(Struct):
    id_token: str


class Provider:
    """Asks the provider; raises NotAccepted for what cannot be used, SendError where it cannot be reached."""

    def __init__(self, rules: OidcRules) -> None:
        self._rules = rules
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._places: tuple[float, Places] | None = None
        self._keys: tuple[float, dict[str, Any]] | None = None
        self._away: tuple[float, Exception] | None = None

    async def places(self) -> Places:
        """Where it is asked."""
        if self._away is not None and time.monotonic() - self._away[0] < _AWAY_SECONDS:
            raise self._away[1]  # Anybody may ask, again and again.
        if self._places is None or time.monotonic() - self._places[0] > _KEPT_SECONDS:
            try:
                self._places = (time.monotonic(), await self._discovered())
            except (SendError, NotAccepted) as error:
                self._away = (time.monotonic(), error)
                raise
        return self._places[1]

    async def _discovered(self) -> Places:
        address = f"{self._rules.issuer.rstrip('/')}/.well-known/openid-configuration"
        found: Places = _decoded(await self._get(address), Places)
        if found.issuer != self._rules.issuer:
            raise NotAccepted(f"the provider calls itself {found.issuer[:200]!r}, not {self._rules.issuer!r}")
        secure = self._rules.issuer.startswith("https://")
        for place in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri):
            if not place.startswith("https://" if secure else ("https://", "http://")):
                raise NotAccepted(f"the provider names {place[:200]!r}, which is no https:// address")
        return found

    async def claims(self, code: str, *, verifier: str, nonce: str, back: str) -> dict[str, Any]:
        """Who somebody is that came back with this code."""
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": back, "code_verifier": verifier,
        }  # fmt: skip
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        if self._rules.client_secret is None:
            form["client_id"] = self._rules.client_id
        else:
            pair = f"{quote(self._rules.client_id, safe='')}:{quote(self._rules.client_secret, safe='')}"
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        address = (await self.places()).token_endpoint
        async with self._room:
            body = await asyncio.to_thread(_posted, address, urlencode(form).encode(), headers)
        return await self._verified(_decoded(body, _Tokens).id_token, nonce)

    async def _verified(self, token: str, nonce: str) -> dict[str, Any]:
        rules = self._rules
        try:
            return verified(
                token, await self._known_keys(), issuer=rules.issuer, client_id=rules.client_id, nonce=nonce
            )
        except UnknownKey:
            if self._keys is None or time.monotonic() - self._keys[0] < _AGAIN_SECONDS:
                raise
            self._keys = None
        return verified(
            token, await self._known_keys(), issuer=rules.issuer, client_id=rules.client_id, nonce=nonce
        )

    async def _known_keys(self) -> dict[str, Any]:
        if self._keys is None or time.monotonic() - self._keys[0] > _KEPT_SECONDS:
            body = await self._get((await self.places()).jwks_uri)
            self._keys = (time.monotonic(), _decoded(body, dict))
        return self._keys[1]

    async def _get(self, address: str) -> bytes:
        async with self._room:
            return await asyncio.to_thread(_got, address)


def _got(address: str) -> bytes:
    origin, path = _parts(address)
    endpoint = Endpoint(origin)
    try:
        return endpoint.get(path, timeout=_TIMEOUT_SECONDS, max_bytes=_MAX_BYTES).body
    finally:
        endpoint.close()


def _posted(address: str, body: bytes, headers: dict[str, str]) -> bytes:
    origin, path = _parts(address)
    endpoint = Endpoint(origin)
    try:
        return endpoint.post(path, body, headers, timeout=_TIMEOUT_SECONDS).body
    except SendError as error:
        # What it says of a refusal may have been sent by a stranger.
        raise (
            SendError(
                f"{endpoint.name} does not take the code that it gave", retryable=False, status=error.status
            )
            if error.status
            else error
        ) from None
    finally:
        endpoint.close()


def _parts(address: str) -> tuple[str, str]:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}", parts.path + (f"?{parts.query}" if parts.query else "")


def _decoded(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotAccepted(f"the provider answered what is not understood: {error}") from None
