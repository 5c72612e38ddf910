"""Places of a test's own on the loopback, which show what was sent to them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

from jobmeter.model.errors import SendError
from jobmeter.referee.uploads.port import Attachment, Place
from jobmeter.referee.uploads.sending import Sending
from tests.referee.server import says
from tests.support.forges.raw import Answer, Line, Seen, raw_forge, response

ATTACHMENT = Attachment("jobmeter-build-4711", "evidence.json", b'{"schema":"jobmeter.evidence/1"}\n' * 20)
TOKEN = "s3cret-t0ken"
created = says(201, b'{"id":103}')


class Outcome(NamedTuple):
    """What became of an upload: where it is or why not, the requests, the seconds waited between tries."""

    where: str | None
    error: SendError | None
    seen: list[Seen]
    waits: list[float]

    @property
    def refusal(self) -> str:
        """The one sentence; no secret is in it."""
        assert self.error is not None
        assert TOKEN not in str(self.error)
        return str(self.error)


def in_turn(*answers: Answer) -> Answer:
    """One after the other, the last one for all the rest."""
    left = list(answers)

    async def answer(seen: Seen, line: Line) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(seen, line)

    return answer


def uploading(
    answer: Answer,
    place: Callable[[str, Sending], Place],
    *,
    timeout: float = 5.0,
    what: Attachment = ATTACHMENT,
) -> Outcome:
    """Upload to the place that is made of the server's URL."""
    waits: list[float] = []

    async def pause(seconds: float) -> None:
        waits.append(seconds)

    async def main() -> Outcome:
        async with raw_forge(answer) as server:
            target = place(server.url.rstrip("/"), Sending(timeout=timeout, pause=pause))
            try:
                return Outcome(await target.upload(what), None, server.seen, waits)
            except SendError as error:
                return Outcome(None, error, server.seen, waits)

    return asyncio.run(main())


class Artifacts:
    """A forge's artifacts by both protocols; ``without`` are endings of paths that it does not know."""

    def __init__(self, without: Sequence[str] = ()) -> None:
        self.without = without

    async def __call__(self, seen: Seen, line: Line) -> None:
        path = seen.target.partition("?")[0]
        host = f"http://{seen.by_name['host']}"
        if path.endswith(tuple(self.without)):
            await line.send(response(404))
        elif path.endswith("/CreateArtifact"):
            await _say(line, {"ok": True, "signedUploadUrl": f"{host}/put?sig=a%2Bb%3D&taskID=7"})
        elif path.endswith("/FinalizeArtifact"):
            await _say(line, {"ok": True, "artifactId": "4"})
        elif path.endswith("/artifacts") and seen.method == "POST":
            # The address that people know, which a job may not reach.
            url = (
                "https://forge.example/api/actions_pipeline/_apis/pipelines/workflows/21/artifacts/0c5/upload"
            )
            await _say(line, {"fileContainerResourceUrl": url})
        else:
            await _say(line, {"message": "success"}, 201 if path == "/put" else 200)


async def _say(line: Line, what: dict[str, object], status: int = 200) -> None:
    await line.send(response(status, json.dumps(what).encode(), ("Content-Type", "application/json")))
