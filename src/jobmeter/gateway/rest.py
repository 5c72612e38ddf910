"""Asks a forge's REST API."""

from typing import Self

from jobmeter.gateway.relay.options import ForgeOptions
from jobmeter.gateway.relay.upstream import Limits, Upstream
from jobmeter.gateway.waiting import credentials
from jobmeter.model.errors import JobmeterError

MAX_BYTES = 8 * 1024 * 1024
_LIMITS = Limits(total=30.0)
_HINTS = {
    401: "the token is not accepted",
    403: "the token may not ask this",
    404: "it does not offer this, or not for this scope",
    429: "it is asked too often",
}


class Refused(JobmeterError):
    """The forge does not give what it was asked for; the message says why."""


class Rest:
    """One forge's API, shown a token; to be used within ``async with``."""

    def __init__(self, options: ForgeOptions, token: str) -> None:
        self._upstream = Upstream(options)
        self._headers = [
            ("Accept", "application/json"),
            ("User-Agent", "jobmeter-gateway"),
            *credentials(options.kind, token),
        ]

    async def __aenter__(self) -> Self:
        await self._upstream.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._upstream.__aexit__(*error)

    async def get(self, target: str) -> bytes:
        """The body of an answer with status 200. Raises JobmeterError."""
        async with self._upstream.ask("GET", target, self._headers, limits=_LIMITS) as answered:
            if answered.status != 200:
                hint = _HINTS.get(answered.status)
                raise Refused(f"the forge's API answers {answered.status}" + (f": {hint}" if hint else ""))
            pieces = bytearray()
            async for piece in answered.chunks():
                pieces += piece
                if len(pieces) > MAX_BYTES:
                    raise Refused(f"the forge's API answers with more than {MAX_BYTES} bytes")
            return bytes(pieces)
