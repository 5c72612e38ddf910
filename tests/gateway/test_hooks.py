"""Scripts and other daemons hear of the gateway's tasks, and no job waits for them longer than said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop
from msgspec.structs import replace

from jobmeter.gateway import hooks as gateway_hooks
from jobmeter.gateway.figures.events import StateReported, TaskBegan, TaskEnded
from jobmeter.gateway.forges.port import Identity
from jobmeter.gateway.hooks import Hooks, RelayedTasks
from jobmeter.model.job import Job
from jobmeter.ops.hooks.door import hook_socket
from jobmeter.ops.hooks.events import TaskEvent
from tests.ops.hooks.talking import LISTEN, Notes, client, serving, until

JOB = Job(forge="forgejo", server_url="https://forge.example", repository="org/tool", job="build")
TASK = TaskEvent(event="on_task_started", task_id="12", job=JOB)
RUNNER = Identity(key="u1", name="builder-1")
BEGAN, ENDED = "on_task_started", "on_task_destroy"


@asynccontextmanager
async def gateway(path: Path, *announce: Path) -> AsyncIterator[Hooks]:
    hooks = Hooks([str(one) for one in announce], Notes(), clock=lambda: 1000.0)
    with hook_socket(str(path), "hooks") as listening:
        async with hooks.life(listening):
            yield hooks


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def in_time() -> None:
        async with asyncio.timeout(30):
            await work()

    uvloop.run(in_time())


def test_the_end_of_an_announced_task_is_told_with_its_job(tmp_path: Path) -> None:
    """To listeners and to exporters, also where the announcement says only which task it is."""

    async def main() -> None:
        async with (
            serving(tmp_path / "exporter") as exporter,
            gateway(tmp_path / "s", tmp_path / "exporter") as hooks,
            client(tmp_path / "s") as script,
        ):
            hooks.task_started(TASK)
            assert (await script.ask(LISTEN))["event"] == BEGAN
            await hooks.ending(
                TaskEvent(event="on_task_destroy", task_id="12", job=Job(server_url=JOB.server_url))
            )
            assert (await script.hear())["job"]["repository"] == "org/tool"
            assert exporter.desk.heard[-1].job == JOB

    run(main)


def test_a_task_that_passes(tmp_path: Path) -> None:
    """A listener and an exporter hear when it is handed out and when its last report has passed."""

    async def main() -> None:
        async with (
            serving(tmp_path / "exporter") as exporter,
            gateway(tmp_path / "s", tmp_path / "exporter") as hooks,
            client(tmp_path / "s") as script,
        ):
            relayed = RelayedTasks(hooks, "forgejo", "https://forge.example")
            relayed.tell(RUNNER, TaskBegan("12", 900.0, JOB))
            script.say(LISTEN)
            told = await script.hear()
            assert (told["event"], told["task_id"], told["job"]["repository"]) == (BEGAN, "12", "org/tool")
            assert told["time"] == "1970-01-01T00:15:00Z"
            relayed.tell(RUNNER, StateReported(True, 0.1))
            relayed.tell(RUNNER, TaskEnded("12", "success", 100.0))
            assert (await script.hear())["event"] == ENDED
            await until(lambda: exporter.desk.words == [(BEGAN, "12"), (ENDED, "12")])

    run(main)


def test_a_task_that_nobody_saw_handed_out(tmp_path: Path) -> None:
    """Is told with what is known of it: its forge and its runner; its end is that of the same task."""

    async def main() -> None:
        async with gateway(tmp_path / "s") as hooks, client(tmp_path / "s") as script:
            script.say(LISTEN)
            await asyncio.sleep(0.05)
            relayed = RelayedTasks(hooks, "gitlab", "https://gitlab.example")
            relayed.tell(RUNNER, TaskBegan("7", None))
            relayed.tell(RUNNER, TaskEnded("7", "failure", None))
            relayed.tell(RUNNER, TaskEnded("8", "failure", None))
            for word in (BEGAN, ENDED):
                told = await script.hear()
                assert (told["event"], told["task_id"]) == (word, "7")
                assert (told["job"]["forge"], told["job"]["runner"]) == ("gitlab", "builder-1")
            assert list(hooks.present()) == []

    run(main)


def test_who_ends_a_task_waits_for_its_last_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But not for ever."""
    monkeypatch.setattr(gateway_hooks, "END_SECONDS", 0.2)

    async def main() -> None:
        async with (
            serving(tmp_path / "exporter") as exporter,
            gateway(tmp_path / "s", tmp_path / "exporter") as hooks,
        ):
            hooks.task_started(TASK)
            await until(lambda: exporter.desk.running)
            exporter.desk.sampled.clear()
            ending = asyncio.create_task(hooks.task_ending(TASK))
            await until(lambda: len(exporter.desk.heard) == 2)
            assert not ending.done()
            exporter.desk.sampled.set()
            assert await ending
            exporter.desk.sampled.clear()
            hooks.task_started(TASK)
            assert not await hooks.task_ending(TASK)

    run(main)


def test_without_anybody_to_tell_nobody_waits(tmp_path: Path) -> None:
    """Neither socket nor exporter; an exporter that is away."""

    async def main() -> None:
        nobody = Hooks([], Notes())
        async with nobody.life(None):
            nobody.task_started(TASK)
            assert await nobody.task_ending(TASK)
        async with gateway(tmp_path / "s", tmp_path / "away") as hooks:
            await until(lambda: hooks._announcers[0]._away)
            async with asyncio.timeout(1.0):
                assert not await hooks.task_ending(TASK)

    run(main)


def test_an_exporter_that_was_killed(tmp_path: Path) -> None:
    """Once it is there again it knows what runs."""

    async def main() -> None:
        async with gateway(tmp_path / "s", tmp_path / "exporter") as hooks:
            for number in ("1", "2"):
                hooks.task_started(replace(TASK, task_id=number))
            async with serving(tmp_path / "exporter") as exporter:
                await until(lambda: len(exporter.desk.running) == 2)
            await hooks.task_ending(replace(TASK, task_id="1"))
            async with serving(tmp_path / "exporter") as exporter:
                await until(lambda: exporter.desk.running)
                assert exporter.desk.words[-1] == (BEGAN, "2")

    run(main)


def test_what_scripts_announce_is_passed_on(tmp_path: Path) -> None:
    """And answered once those to whom it is passed have acted upon it."""

    async def main() -> None:
        async with (
            serving(tmp_path / "exporter") as exporter,
            gateway(tmp_path / "s", tmp_path / "exporter"),
            client(tmp_path / "s") as script,
        ):
            assert await script.ask(b'{"event": "on_task_started", "task_id": 5}\n') == {"ok": True}
            await until(lambda: exporter.desk.running)
            assert await script.ask(b'{"event": "on_task_destroy", "task_id": 5}\n') == {"ok": True}
            assert exporter.desk.words == [(BEGAN, "5"), (ENDED, "5")]
            unknown = await script.ask(b'{"event": "on_task_destroy", "task_id": 6}\n')
            assert unknown["error"].startswith("not all")

    run(main)


def test_two_that_announce_to_each_other(tmp_path: Path) -> None:
    """What comes back is not passed on again; who waits for the end of a task is answered."""

    async def main() -> None:
        async with (
            gateway(tmp_path / "a", tmp_path / "b") as one,
            gateway(tmp_path / "b", tmp_path / "a") as other,
            client(tmp_path / "a") as script,
        ):
            await until(lambda: not (one._announcers[0]._away or other._announcers[0]._away))
            script.say(LISTEN)
            await asyncio.sleep(0.05)
            for number in ("1", "2"):
                one.task_started(replace(TASK, task_id=number))
            one.task_passed(replace(TASK, task_id="1"))
            assert await one.task_ending(replace(TASK, task_id="2"))
            await asyncio.sleep(0.3)
            one.task_started(replace(TASK, task_id="3"))
            heard = [await script.hear() for _ in range(5)]
            assert [(told["event"], told["task_id"]) for told in heard] == [
                (BEGAN, "1"), (BEGAN, "2"), (ENDED, "1"), (ENDED, "2"), (BEGAN, "3"),
            ]  # fmt: skip
            await until(lambda: [task.task_id for task in other.present()] == ["3"])

    run(main)


def test_the_end_of_a_task_that_was_not_acted_upon(tmp_path: Path) -> None:
    """Can be announced again, and the task can start again."""

    async def main() -> None:
        async with (
            serving(tmp_path / "exporter") as exporter,
            gateway(tmp_path / "s", tmp_path / "exporter"),
            client(tmp_path / "s") as script,
        ):
            end = b'{"event": "on_task_destroy", "task_id": 5}\n'
            for _ in range(2):
                assert not (await script.ask(end))["ok"]
            for _ in range(2):
                await script.ask(end.replace(b"destroy", b"started"))
                assert (await script.ask(end))["ok"]
            assert exporter.desk.words == [(ENDED, "5")] * 2 + [(BEGAN, "5"), (ENDED, "5")] * 2

    run(main)


def test_a_job_with_names_without_end(tmp_path: Path) -> None:
    """Keeps no other job from being told."""

    async def main() -> None:
        async with (
            serving(tmp_path / "exporter") as exporter,
            gateway(tmp_path / "s", tmp_path / "exporter") as hooks,
        ):
            labels = tuple("\n" * 1000 for _ in range(1000))
            matrix = {f"\n{number}" * 200: "\n" * 1000 for number in range(1000)}
            large = replace(JOB, job="\n" * 10**6, runner_labels=labels, matrix=matrix)
            hooks.task_started(replace(TASK, job=large))
            hooks.task_started(replace(TASK, task_id="13"))
            await until(lambda: len(exporter.desk.running) == 2)

    run(main)


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of tasks whose end is never heard the oldest go."""
    monkeypatch.setattr(gateway_hooks, "MAX_TASKS", 3)

    async def main() -> None:
        hooks = Hooks([], Notes())
        relayed = RelayedTasks(hooks, "forgejo", "https://forge.example")
        for number in range(10):
            relayed.tell(RUNNER, TaskBegan(f"{number}", 1.0, JOB))
        assert [task.task_id for task in hooks.present()] == ["7", "8", "9"]
        assert len(relayed._running) == 3

    run(main)
