"""The least a relay can be with our libraries: the daemons' HTTP server, and aiohttp as the client behind it.

python bench/peers/passing.py ADDRESS FORGE_ADDRESS
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from starlette.types import Receive, Scope, Send

from jobmeter.collector.log import Log
from jobmeter.linux.descriptors import raise_descriptor_limit
from jobmeter.ops.connection import Bounds
from jobmeter.ops.serving import listening_socket, serve

_DROPPED = (b"host", b"connection", b"transfer-encoding")


def main(address: str, forge: str) -> None:
    """Pass each request whole, and its answer."""
    session: aiohttp.ClientSession

    async def relay(scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = [
            (name.decode(), value.decode()) for name, value in scope["headers"] if name not in _DROPPED
        ]
        url = f"http://{forge}{scope['path']}"
        async with session.request(scope["method"], url, headers=headers, data=body) as answered:
            said = await answered.read()
        pairs = [(name.lower(), value) for name, value in answered.raw_headers]
        await send({"type": "http.response.start", "status": answered.status, "headers": pairs})
        await send({"type": "http.response.body", "body": said})

    @asynccontextmanager
    async def life() -> AsyncIterator[None]:
        nonlocal session
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
            yield

    raise_descriptor_limit()
    serve(
        relay, listening_socket(address), life, lambda: None, Log("warn", "text"), Bounds(connections=16_384)
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
