"""GitLab's job API, as far as runners see it: requests are held, traces are taken in order, jobs are closed."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct

from tests.support.forges.raw import Line, RawForge, Seen, response
from tests.support.forges.serving import Got, request, wire


class Job(Struct):
    """One job as GitLab has it; ``status`` is told with each answer. With a ``script`` it is one to be run."""

    id: int
    script: str | None = None
    trace: bytes = b""
    state: str = "running"
    status: str = "running"
    artifacts: list[Seen] = []
    """Requests that brought one, taken while it ran."""

    @property
    def token(self) -> str:
        return f"job-secret-{self.id}"

    @property
    def text(self) -> str:
        """The log so far."""
        return self.trace.decode()

    @property
    def ending(self) -> str | None:
        """How it ended."""
        ended = {"success": "success", "failed": "failure"}.get(self.state)
        return "cancelled" if ended and self.status == "canceled" else ended

    def cancel(self) -> None:
        """Its runner is told with the next answer."""
        self.status = "canceled"

    def told(self) -> dict[str, Any]:
        """What a runner is given."""
        told = {"id": self.id, "token": self.token, "job_info": {"name": "build", "project_full_path": "g/p"}}
        if self.script is None:
            return told
        step = {"name": "script", "script": [self.script], "timeout": 600, "when": "on_success"}
        return told | {
            "git_info": {"repo_url": "http://localhost/g/p.git", "ref": "main", "ref_type": "branch"},
            "features": {"failure_reasons": ["script_failure"], "trace_sections": True},
            "runner_info": {"timeout": 600},
            "steps": [step],
            "variables": [{"key": "GIT_STRATEGY", "value": "none", "public": True}],
        }


class GitlabForge(RawForge):
    """Knows one runner's token; a request for a job is held for ``hold_seconds``. ``faults`` are statuses."""

    def __init__(self, token: str, hold_seconds: float = 30.0) -> None:
        super().__init__(self._call)
        self.token = token
        self.hold_seconds = hold_seconds
        self.waiting: deque[Job] = deque()
        self.jobs: dict[int, Job] = {}
        self.faults: deque[int] = deque()
        self.calls: Counter[str] = Counter()
        self.holding = self.left = 0
        self.most_working = 0
        """So many jobs were handed out and not ended at a time."""
        self._news = asyncio.Event()

    def enqueue(self, *ids: int, script: str | None = None) -> None:
        """These jobs wait for a runner."""
        for number in ids:
            self.jobs[number] = Job(number, script)
            self.waiting.append(self.jobs[number])
        self._news.set()

    async def _call(self, seen: Seen, line: Line) -> None:
        parts = seen.target.partition("?")[0].strip("/").split("/")
        self.calls[parts[-1] if not parts[-1].isdigit() else "job"] += 1
        if parts[-1] != "request" and self.faults:
            await line.send(response(self.faults.popleft(), b"away"))
        elif parts[-1] == "request":
            await self._request(seen, line)
        elif parts[-1] == "verify":
            await line.send(response(200 if json.loads(seen.body)["token"] == self.token else 403))
        elif parts[-1] == "artifacts":
            await line.send(self._artifact(self.jobs[int(parts[-2])], seen))
        elif parts[-1] == "trace":
            await line.send(self._trace(self.jobs[int(parts[-2])], seen))
        else:
            await line.send(self._update(self.jobs[int(parts[-1])], json.loads(seen.body)))

    async def _request(self, seen: Seen, line: Line) -> None:
        if json.loads(seen.body)["token"] != self.token:
            await line.send(response(403))
            return
        self.holding += 1
        news = asyncio.create_task(self._news.wait())
        leaving = asyncio.create_task(line.reader.read(1))
        try:
            await asyncio.wait(
                {news, leaving}, timeout=self.hold_seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            self.holding -= 1
            news.cancel()
            if leaving.done():
                self.left += 1
                raise ConnectionResetError
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
        known = ("X-GitLab-Last-Update", "abc")
        if not self.waiting:
            await line.send(response(204, b"", known))
            return
        job = self.waiting.popleft()
        if not self.waiting:
            self._news.clear()
        running = sum(one.state == "running" for one in self.jobs.values())
        self.most_working = max(self.most_working, running - len(self.waiting))
        said = json.dumps(job.told()).encode()
        await line.send(response(201, said, ("Content-Type", "application/json"), known))

    def _trace(self, job: Job, seen: Seen) -> bytes:
        start = int(seen.by_name["content-range"].partition("-")[0])
        told = ("Job-Status", job.status), ("Range", f"0-{len(job.trace)}")
        if start != len(job.trace):
            return response(416, b"", *told)
        job.trace += seen.body
        return response(202, b"", ("Job-Status", job.status), ("Range", f"0-{len(job.trace)}"))

    def _artifact(self, job: Job, seen: Seen) -> bytes:
        if seen.by_name.get("job-token") != job.token or job.state != "running":
            return response(403)
        job.artifacts.append(seen)
        return response(201, b'{"id":1}', ("Content-Type", "application/json"))

    def _update(self, job: Job, said: dict[str, Any]) -> bytes:
        if said["token"] != job.token:
            return response(403)
        job.state = said["state"]
        return response(200, b"200", ("Job-Status", job.status))


@asynccontextmanager
async def gitlab_forge(token: str, hold_seconds: float = 30.0) -> AsyncIterator[GitlabForge]:
    """One that listens."""
    forge = GitlabForge(token, hold_seconds)
    await forge.listen()
    try:
        yield forge
    finally:
        await forge.go_away()


class Runner:
    """A gitlab-runner of a test."""

    def __init__(self, port: int, token: str, system_id: str = "s_1", version: str = "17.9.3") -> None:
        self.port = port
        self.token = token
        self.system_id = system_id
        self.version = version

    def written(self) -> bytes:
        """A request for a job as it goes over the wire."""
        said = {
            "token": self.token,
            "system_id": self.system_id,
            "info": {"executor": "shell", "version": self.version},
        }
        return request("POST", "/api/v4/jobs/request", body=json.dumps(said).encode())

    async def fetch(self) -> Got:
        """Ask for a job, and wait."""
        async with wire(self.port) as line:
            await line.send(self.written())
            return await line.answer()

    async def trace(self, job: int, start: int, part: bytes) -> Got:
        """A part of a job's trace."""
        told = ("JOB-TOKEN", f"job-secret-{job}"), ("Content-Range", f"{start}-{start + len(part) - 1}")
        async with wire(self.port) as line:
            await line.send(request("PATCH", f"/api/v4/jobs/{job}/trace", *told, body=part))
            return await line.answer()

    async def update(self, job: int, state: str, reason: str | None = None, token: str | None = None) -> Got:
        """How a job ended."""
        said = {"token": token or f"job-secret-{job}", "state": state}
        if reason:
            said["failure_reason"] = reason
        async with wire(self.port) as line:
            await line.send(request("PUT", f"/api/v4/jobs/{job}", body=json.dumps(said).encode()))
            return await line.answer()
