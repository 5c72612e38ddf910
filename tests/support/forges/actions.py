"""A forge for Forgejo's and Gitea's runners, as far as they see it: it hands tasks out and takes what they report."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from msgspec import Struct

from jobmeter.gateway.forges import messages
from tests.support.forges.raw import Line, RawForge, Seen, response
from tests.support.forges.serving import Got, Wire, request, wire

FETCH_SECONDS = 0.01
"""So long the database is looked into: of two requests at a time both are seen."""
PATH = "/api/actions/runner.v1.RunnerService/"
LOST, RESET, HANG = "lost", "reset", "hang"
"""Done but not answered; not done and not answered; nothing for long."""

CONTEXT = {
    "actor": "someone", "event": {}, "event_name": "push", "gitea_default_actions_url": "http://localhost",
    "job": "build", "ref": "refs/heads/main", "ref_name": "main", "ref_type": "branch", "repository_owner": "org",
    "run_attempt": "1", "run_number": "1", "sha": "e74698392da616c965a75a80ccbc8fc6d374714b",
    "token": "task-token", "workflow": "ci.yml",
}  # fmt: skip
"""What a runner wants to know of a task that is run."""

RESULTS = (None, "success", "failure", "cancelled", "skipped")
"""By their numbers."""

Fault = str | int | float
"""LOST and the like, a status, or so many seconds of delay."""


class Job(Struct):
    """One task as the forge has it; ``handed`` is to whom, each time. With a ``script`` it is one to be run."""

    id: int
    script: str | None = None
    handed: list[str] = []
    rows: list[str] = []
    closed: bool = False
    result: int = 0
    cancelled: bool = False

    @property
    def text(self) -> str:
        """The log so far."""
        return "\n".join(self.rows)

    @property
    def ending(self) -> str | None:
        """How it ended."""
        return RESULTS[self.result]

    def cancel(self) -> None:
        """Its runner is told with the next answer."""
        self.cancelled = True

    def write(self, task: Any) -> None:
        """What a runner is given; a workflow is JSON, which is YAML too."""
        task.id, task.secrets["TOKEN"] = self.id, "task-secret"
        task.context["repository"] = "org/repo"
        if self.script is not None:
            build = {"name": "build", "runs-on": "here", "steps": [{"run": self.script}]}
            workflow = {"name": "ci", "on": ["push"], "jobs": {"build": build}}
            task.workflow_payload = json.dumps(workflow).encode()
            task.context.update(CONTEXT | {"run_id": str(self.id)})


class ActionsForge(RawForge):
    """Knows the runners of ``tokens`` by their uuids. ``faults`` of a call are taken one after the other."""

    def __init__(self, tokens: dict[str, str]) -> None:
        super().__init__(self._call)
        self.tokens = tokens
        self.waiting: deque[Job] = deque()
        self.jobs: dict[int, Job] = {}
        self.version = 1
        self.faults: dict[str, deque[Fault]] = {}
        self.calls: Counter[str] = Counter()
        self.fetching: Counter[str] = Counter()
        # At a time, of one runner.
        self.most_fetching = 0
        self.most_working = 0
        """So many tasks were handed out and not ended at a time."""

    def enqueue(self, *ids: int, script: str | None = None) -> None:
        """These tasks wait for a runner."""
        for number in ids:
            self.jobs[number] = Job(number, script)
            self.waiting.append(self.jobs[number])
        self.version += 1

    async def _call(self, seen: Seen, line: Line) -> None:
        call = seen.target.rpartition("/")[2]
        self.calls[call] += 1
        faults = self.faults.get(call)
        fault = faults.popleft() if faults else None
        if isinstance(fault, int):
            await line.send(response(fault, b"<html>away</html>", ("Content-Type", "text/html")))
        elif fault == RESET:
            line.reset()
        elif fault == HANG:
            await line.closed()
        else:
            await self._do(call, seen, line, fault)

    async def _do(self, call: str, seen: Seen, line: Line, fault: Fault | None) -> None:
        uuid = seen.by_name.get("x-runner-uuid", "")
        self.fetching[uuid] += call == "FetchTask"
        self.most_fetching = max(self.most_fetching, self.fetching[uuid])
        try:
            said = self._said(call, seen)
            if isinstance(fault, float):
                await asyncio.sleep(fault)
            elif call == "FetchTask":
                await asyncio.sleep(FETCH_SECONDS)
        finally:
            self.fetching[uuid] -= call == "FetchTask"
        if fault == LOST:
            line.reset()
        else:
            await line.send(said)

    def _said(self, call: str, seen: Seen) -> bytes:
        uuid = seen.by_name.get("x-runner-uuid", "")
        if call != "Register" and self.tokens.get(uuid) != seen.by_name.get("x-runner-token"):
            error = b'{"code":"unauthenticated","message":"unregistered runner"}'
            return response(401, error, ("Content-Type", "application/json"))
        asked = messages.decode(f"runner.v1.{call}Request", "proto", seen.body)
        answer = messages.MESSAGES[f"runner.v1.{call}Response"]()
        getattr(self, f"_{call}")(uuid, asked, answer)
        return response(200, answer.SerializeToString(), ("Content-Type", "application/proto"))

    def _Register(self, uuid: str, asked: Any, answer: Any) -> None:
        answer.runner.uuid, answer.runner.token = str(uuid4()), "planted-token-of-a-new-runner"
        answer.runner.name = asked.name
        self.tokens[answer.runner.uuid] = answer.runner.token

    def _Declare(self, uuid: str, asked: Any, answer: Any) -> None:
        answer.runner.uuid, answer.runner.name = uuid, f"runner-{uuid}"
        answer.runner.version, answer.runner.labels[:] = asked.version, asked.labels

    def _FetchTask(self, uuid: str, asked: Any, answer: Any) -> None:
        answer.tasks_version = self.version
        if asked.tasks_version == self.version:
            return
        for place in range(max(1, asked.task_capacity)):
            if not self.waiting:
                return
            job = self.waiting.popleft()
            job.handed.append(uuid)
            working = sum(bool(one.handed) and not one.result for one in self.jobs.values())
            self.most_working = max(self.most_working, working)
            job.write(answer.task if place == 0 else answer.additional_tasks.add())

    def _FetchSingleTask(self, uuid: str, asked: Any, answer: Any) -> None:
        answer.tasks_version = self.version
        found = [job for job in self.waiting if asked.handle in ("", str(job.id))]
        if found:
            self.waiting.remove(found[0])
            found[0].handed.append(uuid)
            answer.task.id = found[0].id

    def _UpdateLog(self, uuid: str, asked: Any, answer: Any) -> None:
        job = self.jobs[asked.task_id]
        rows = [row.content for row in asked.rows]
        if asked.index <= len(job.rows):
            job.rows += rows[len(job.rows) - asked.index :]
        job.closed = job.closed or asked.no_more
        answer.ack_index = len(job.rows)

    def _UpdateTask(self, uuid: str, asked: Any, answer: Any) -> None:
        job = self.jobs[asked.state.id]
        if not job.result:
            job.result = 3 if job.cancelled else asked.state.result
        answer.state.id, answer.state.result = job.id, job.result
        answer.sent_outputs[:] = list(asked.outputs)


@asynccontextmanager
async def actions_forge(**tokens: str) -> AsyncIterator[ActionsForge]:
    """One that listens, and knows these runners."""
    forge = ActionsForge(tokens)
    await forge.listen()
    try:
        yield forge
    finally:
        await forge.go_away()


class Runner:
    """A runner of a test: says what it is told to say, one request at a time."""

    def __init__(self, port: int, uuid: str, token: str) -> None:
        self.port = port
        self.headers = [
            ("Content-Type", "application/proto"),
            ("x-runner-uuid", uuid),
            ("x-runner-token", token),
        ]

    def written(self, call: str, *headers: tuple[str, str], **fields: Any) -> bytes:
        """A request as it goes over the wire."""
        said = messages.MESSAGES[f"runner.v1.{call}Request"](**fields)
        return request("POST", PATH + call, *self.headers, *headers, body=said.SerializeToString())

    async def post(self, call: str, body: bytes, *headers: tuple[str, str]) -> Got:
        """One request with this body, and its answer."""
        async with wire(self.port) as line:
            await line.send(request("POST", PATH + call, *self.headers, *headers, body=body))
            return await line.answer()

    async def call(self, call: str, *headers: tuple[str, str], **fields: Any) -> Got:
        """One request and its answer."""
        async with wire(self.port) as line:
            await line.send(self.written(call, *headers, **fields))
            return await line.answer()

    @asynccontextmanager
    async def asking(self, *headers: tuple[str, str], **fields: Any) -> AsyncIterator[Wire]:
        """A request for work that is on its way; leaving closes it."""
        async with wire(self.port) as line:
            await line.send(self.written("FetchTask", *headers, **fields))
            yield line

    async def fetch(self, *headers: tuple[str, str], **fields: Any) -> list[int]:
        """The ids of the tasks that it got."""
        return task_ids(await self.call("FetchTask", *headers, **fields))

    async def fetch_status(self) -> int:
        """How a request for work is answered."""
        return (await self.call("FetchTask")).status

    async def log(self, task_id: int, index: int, *rows: str, last: bool = False) -> Got:
        """Report rows of a task's log."""
        return await self.call(
            "UpdateLog", task_id=task_id, index=index, rows=[{"content": row} for row in rows], no_more=last
        )

    async def state(self, task_id: int, result: int = 0, **fields: Any) -> Got:
        """Report how it goes."""
        return await self.call("UpdateTask", state={"id": task_id, "result": result, **fields})


def task_ids(got: Got) -> list[int]:
    """Of the tasks in an answer that is none of an error."""
    assert got.status == 200, got
    said = messages.decode("runner.v1.FetchTaskResponse", "proto", got.body)
    return ([said.task.id] if said.HasField("task") else []) + [task.id for task in said.additional_tasks]
