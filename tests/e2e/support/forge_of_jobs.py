"""A forge as jobs see it: repositories by `git http-backend`, artifacts, and a page that tells what it was asked.

`python -m tests.e2e.support.forge_of_jobs PORT BASE ROOT_URL FOLDER`: below the path BASE, with FOLDER's repositories.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys

from tests.support.forges.raw import Line, RawForge, Seen, response

JSON = ("Content-Type", "application/json")


class ForgeOfJobs(RawForge):
    """``root_url`` is the address that it was told to be its own, as Gitea's ROOT_URL."""

    def __init__(self, base: str, root_url: str, folder: str) -> None:
        super().__init__(self._call)
        self._base, self._root_url, self._folder = base, root_url, folder
        self._artifacts: dict[str, bytes] = {}

    async def _call(self, seen: Seen, line: Line) -> None:
        self.seen.clear()
        await line.send(await self._said(seen))

    async def _said(self, seen: Seen) -> bytes:
        path, _, query = seen.target.partition("?")
        if not path.startswith(f"{self._base}/"):
            return response(404)
        below = path.removeprefix(self._base)
        match below.split("/")[1:]:
            case ["org", "repo.git", *_]:
                return await self._git(seen, below, query)
            case ["artifacts"]:
                told = {"url": f"{self._own_url(seen)}artifacts/1"}
                return response(200, json.dumps(told).encode(), JSON)
            case ["artifacts", name]:
                if seen.method == "PUT":
                    self._artifacts[name] = seen.body
                return response(200, self._artifacts[name] if seen.method == "GET" else b"")
            case ["moved"]:
                return response(302, b"", ("Location", f"{self._base}/told"))
            case ["told"] | ["other", *_]:
                return response(200, _told(seen), JSON)
            case _:
                return response(404)

    def _own_url(self, seen: Seen) -> str:
        """As Gitea finds it: of a request whose scheme is told it believes the host."""
        scheme = seen.by_name.get("x-forwarded-proto")
        return f"{scheme}://{seen.by_name['host']}{self._base}/" if scheme else self._root_url

    async def _git(self, seen: Seen, path: str, query: str) -> bytes:
        environment = {
            "GIT_PROJECT_ROOT": self._folder, "GIT_HTTP_EXPORT_ALL": "1", "PATH": os.environ["PATH"],
            "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": seen.method,
            "CONTENT_TYPE": seen.by_name.get("content-type", ""), "CONTENT_LENGTH": str(len(seen.body)),
            "HTTP_CONTENT_ENCODING": seen.by_name.get("content-encoding", ""),
            "GIT_PROTOCOL": seen.by_name.get("git-protocol", ""),
        }  # fmt: skip
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            "git", "http-backend", env=environment, stdin=pipe, stdout=pipe
        )
        head, _, body = (await process.communicate(seen.body))[0].partition(b"\r\n\r\n")
        headers = {
            name: value for name, _, value in (one.partition(": ") for one in head.decode().split("\r\n"))
        }
        status = int(headers.pop("Status", "200").split(" ")[0])
        return response(status, body, *headers.items())


def _told(seen: Seen) -> bytes:
    return json.dumps(
        {"line": seen.line, "headers": seen.headers, "body": hashlib.sha256(seen.body).hexdigest()}
    ).encode()


async def serve(port: str, base: str, root_url: str, folder: str) -> None:
    """Until it is killed; a line says that it listens."""
    forge = ForgeOfJobs(base, root_url, folder)
    await forge.listen(int(port))
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
