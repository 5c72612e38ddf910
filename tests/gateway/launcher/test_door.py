"""What a launched runner may ask, and what nobody may who has no credentials that are good."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from jobmeter.gateway.figures.events import Declared
from jobmeter.gateway.forges import messages
from tests.gateway.launcher.keepers import Kind, PlayedRunner
from tests.gateway.launcher.rig import KINDS, TOKEN, UUID, Forge, LaunchRig, launching
from tests.gateway.relay.rig import until
from tests.support.forges import actions, gitlab
from tests.support.forges.serving import Got, request, wire

Calls = dict[str, int]


def run(main):
    asyncio.run(main())


async def at_work(forge: Forge, rig: LaunchRig, number: int = 7) -> PlayedRunner:
    """A runner that has its task."""
    forge.enqueue(number)
    runner = await rig.keepers.runner(number, rig.kind)
    assert await runner.takes()
    return runner


def reports_of(forge: Forge) -> int:
    """How many calls about jobs the forge has seen."""
    return sum("Update" in seen.target or "/jobs/" in seen.target for seen in forge.seen) - sum(
        seen.target.endswith("/jobs/request") for seen in forge.seen
    )


async def said(port: int, method: str, target: str, body: dict[str, object]) -> Got:
    async with wire(port) as line:
        headers = ("Content-Type", "application/json")
        await line.send(request(method, target, headers, body=json.dumps(body).encode()))
        return await line.answer()


@pytest.mark.parametrize(
    "uuid,token",
    [("", ""), (UUID, TOKEN), (UUID, "planted"), ("0a1b2c3d-0000-4000-8000-000000000009", TOKEN)],
)
@pytest.mark.parametrize("call", ["FetchTask", "Declare", "Register", "UpdateTask", "UpdateLog"])
def test_strangers(tmp_path: Path, uuid: str, token: str, call: str) -> None:
    """Whatever they ask is refused as the forge refuses, also with the registration itself; it hears nothing of it."""

    async def main() -> None:
        async with launching(tmp_path) as (forge, rig):
            await at_work(forge, rig)
            before = reports_of(forge)
            got = await actions.Runner(rig.port, uuid, token).call(call)
            assert (got.status, json.loads(got.body)["code"]) == (401, "unauthenticated")
            assert reports_of(forge) == before
            assert forge.calls["Register"] == 0

    run(main)


@pytest.mark.parametrize(
    "method,target,body",
    [
        ("POST", "/api/v4/jobs/request", {"token": TOKEN}),
        ("POST", "/api/v4/runners/verify", {"token": TOKEN}),
        ("POST", "/api/v4/runners", {"token": TOKEN}),
        ("DELETE", "/api/v4/runners", {"token": TOKEN}),
        ("PUT", "/api/v4/jobs/7", {"token": "planted", "state": "failed"}),
        ("PUT", "/api/v4/jobs/8", {"token": "job-secret-7", "state": "failed"}),
        ("PUT", "/api/v4/jobs/7", {"state": "failed"}),
    ],
)
def test_strangers_at_gitlab(tmp_path: Path, method: str, target: str, body: dict[str, object]) -> None:
    """The same."""

    async def main() -> None:
        async with launching(tmp_path, "gitlab") as (forge, rig):
            await at_work(forge, rig)
            before = len([seen for seen in forge.seen if seen.target != "/api/v4/jobs/request"])
            assert (await said(rig.port, method, target, body)).status == 403
            assert len([seen for seen in forge.seen if seen.target != "/api/v4/jobs/request"]) == before

    run(main)


@pytest.mark.parametrize("kind", KINDS)
def test_the_task_of_another_one(tmp_path: Path, kind: Kind) -> None:
    """A runner cannot report it, though both are one to the forge."""

    async def main() -> None:
        async with launching(tmp_path, kind, capacity=2) as (forge, rig):
            one, other = await at_work(forge, rig, 7), await at_work(forge, rig, 8)
            one.task = 8
            if kind == "gitlab":
                got = await one.gitlab.update(8, "failed", token="job-secret-7")
            else:
                got = await one.reports("failure")
            assert got.status in (401, 403)
            assert forge.jobs[8].ending is None
            await other.reports("success")
            assert forge.jobs[8].ending == "success"

    run(main)


@pytest.mark.parametrize("kind", KINDS)
def test_a_runner_whose_task_is_over(tmp_path: Path, kind: Kind) -> None:
    """Its credentials are good for nothing."""

    async def main() -> None:
        async with launching(tmp_path, kind) as (forge, rig):
            runner = await at_work(forge, rig)
            await runner.reports("success")
            rig.keepers.runner_ends(7)
            await until(lambda: bool(rig.ended))
            before = reports_of(forge)
            answers = [await runner.prints("more"), await runner.reports("failure")]
            answers.append(await (runner.gitlab.fetch() if kind == "gitlab" else runner.asks("FetchTask")))
            assert {got.status for got in answers} == {403 if kind == "gitlab" else 401}
            assert reports_of(forge) == before

    run(main)


def test_a_runner_declares_itself(tmp_path: Path) -> None:
    """The gateway answers, and takes its release for the runner's; the forge heard of labels when the gateway began."""

    async def main() -> None:
        async with launching(tmp_path) as (forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, "forgejo")
            before = forge.calls["Declare"]
            got = await runner.asks("Declare", version="v9.9", labels=["here"])
            answer = messages.decode("runner.v1.DeclareResponse", "proto", got.body)
            assert (answer.runner.name, answer.runner.version) == ("one", "v9.9")
            assert forge.calls["Declare"] == before == 1
            versions = [event.version for event in rig.told.of(Declared)]
            assert versions == ["jobmeter 1.2.3", "v9.9"]

    run(main)


def test_a_runner_verifies_itself(tmp_path: Path) -> None:
    """GitLab's do so when they begin; of GitLab nobody asks."""

    async def main() -> None:
        async with launching(tmp_path, "gitlab") as (forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, "gitlab")
            got = await said(rig.port, "POST", "/api/v4/runners/verify", {"token": runner.gitlab.token})
            assert (got.status, json.loads(got.body)["token"]) == (200, runner.gitlab.token)
            assert forge.calls["verify"] == 1

    run(main)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """It is refused, with good credentials too, and does not pass unread."""

    async def main() -> None:
        async with launching(tmp_path) as (forge, rig):
            runner = await at_work(forge, rig)
            before = reports_of(forge)
            async with wire(rig.port) as line:
                await line.send(
                    request("POST", f"{actions.PATH}UpdateTask", *runner.actions.headers, body=b"\xff")
                )
                assert (await line.answer()).status == 401
            assert reports_of(forge) == before

    run(main)


def test_what_a_job_asks(tmp_path: Path) -> None:
    """A checkout, and all else that is no call of runners, passes as it is."""

    async def main() -> None:
        async with launching(tmp_path) as (forge, rig), wire(rig.port) as line:
            target = "/org/repo.git/info/refs?service=git-upload-pack"
            await line.send(request("GET", target, ("Authorization", "basic of-the-job")))
            await line.answer()
            seen = [seen for seen in forge.seen if seen.method == "GET"][-1]
            assert (seen.target, seen.by_name["authorization"]) == (target, "basic of-the-job")

    run(main)


def test_credentials_are_not_kept(tmp_path: Path) -> None:
    """On disk there is a digest of a runner's, and of GitLab's job the token that its end is told with."""

    async def main() -> None:
        async with launching(tmp_path, "gitlab") as (forge, rig):
            runner = await at_work(forge, rig)
            await runner.prints("at work")
            texts = [path.read_text() for path in rig.state.rglob("*") if path.is_file()]
            assert not any(runner.gitlab.token in text for text in texts)
            assert sum(gitlab.Job(7).token in text for text in texts) == 1

    run(main)


@pytest.mark.parametrize(
    "before",
    ["/pages/attacker", "/../other", "/%2e%2e/other", "//evil.example", "/api/actions/runner.v1.X/../.."],
)
@pytest.mark.parametrize("call", ["UpdateTask", "UpdateLog"])
def test_paths_that_only_end_like_a_call(tmp_path: Path, before: str, call: str) -> None:
    """The registration's token would go to another program of the forge's host: nothing is passed."""

    async def main() -> None:
        async with launching(tmp_path, "gitea") as (forge, rig):
            runner = await at_work(forge, rig)
            seen = len(forge.seen)
            fields = {"state": {"id": 7}} if call == "UpdateTask" else {"task_id": 7}
            asked = runner.actions.written(call, **fields)
            async with wire(rig.port) as line:
                await line.send(asked.replace(b"POST /", f"POST {before}/".encode(), 1))
                got = await line.answer()
            assert got.status in (400, 401)
            targets = [one.target for one in forge.seen[seen:] if "FetchTask" not in one.target]
            assert targets == []
            assert (await runner.prints("at work")).status == 200

    run(main)
