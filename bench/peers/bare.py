"""The least a receiver can be: the HTTP server and the writer of ours, and nothing looked at between them.

python bench/peers/bare.py ADDRESS DATABASE
"""

import itertools
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Receive, Scope, Send

from jobmeter.collector.log import Log
from jobmeter.ops.serving import listening_socket, serve
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.summaries import NewSummary
from jobmeter.receiver.store.writer import Writer


def main(address: str, path: str) -> None:
    """Store every body as the summary of another run of one job."""
    sys.setswitchinterval(0.001)
    writer, numbers = Writer(Database.open(path)), itertools.count()

    async def store(_scope: Scope, receive: Receive, send: Send) -> None:
        body = (await receive())["body"]
        names = (None, "acme", "acme/engine", "ci.yml", "build", "815", None, 0)
        run = await writer.submit(NewSummary(f"run-{next(numbers)}", *names, b"{}", body))
        answer = b'{"id":%d}' % run
        length = (b"content-length", str(len(answer)).encode())
        await send({"type": "http.response.start", "status": 201, "headers": [length]})
        await send({"type": "http.response.body", "body": answer})

    @asynccontextmanager
    async def life() -> AsyncIterator[None]:
        writer.start()
        yield
        await writer.close()

    serve(store, listening_socket(address), life, lambda: None, Log("warn", "text"))


if __name__ == "__main__":
    main(*sys.argv[1:])
