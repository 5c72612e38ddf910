"""A gateway that launches runners, between a forge of the tests and keepers without processes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from jobmeter.gateway.evidence import Referee
from jobmeter.gateway.figures.events import TaskEnded
from jobmeter.gateway.figures.process import Machines
from jobmeter.gateway.launcher.launcher import Launcher
from jobmeter.gateway.launcher.options import LaunchOptions, RunnerOptions
from jobmeter.gateway.relay.options import ForgeOptions
from tests.gateway.launcher.keepers import COMMAND, FakeKeepers, Kind
from tests.gateway.relay.rig import Messages, Told, until
from tests.support.forges.actions import ActionsForge, actions_forge
from tests.support.forges.gitlab import GitlabForge, gitlab_forge
from tests.support.forges.serving import serving
from tests.support.receivers import closed_port

Forge = ActionsForge | GitlabForge
TOKEN = "planted-token-of-a-runner"
DETAIL = "The runner was killed by SIGKILL after 2 s."
UUID = "0a1b2c3d-0000-4000-8000-000000000001"
KINDS: tuple[Kind, ...] = ("forgejo", "gitea", "gitlab")


def forge_of(kind: Kind) -> AbstractAsyncContextManager[Forge]:
    """One that knows the registration of the tests."""
    return gitlab_forge(TOKEN, hold_seconds=0.2) if kind == "gitlab" else actions_forge(**{UUID: TOKEN})


class LaunchRig:
    """``keepers`` outlive it, as processes do. ``registered`` are uuid and token in the file of its runner.

    ``keys`` are further ones of that.
    """

    def __init__(
        self,
        folder: Path,
        forge: Forge,
        kind: Kind,
        keepers: FakeKeepers,
        hooks: Any = None,
        referee: Referee | None = None,
        registered: tuple[str, str] = (UUID, TOKEN),
        receiver: str | None = None,
        port: int | None = None,
        sign_seconds: float | None = None,
        **keys: Any,
    ) -> None:
        self.kind, self.keepers, self.folder = kind, keepers, folder
        self.state, self.work = folder / "state", folder / "work"
        self.told, self.log, self.machines = Told(), Messages(), Machines()
        told: dict[str, Any] = {"name": "one", "command": COMMAND, "work_dir": str(self.work), **keys}
        if "registration_token" not in told:
            told["registration_file"] = str(_registration(folder, kind, *registered))
        self.port = port or closed_port()
        options = ForgeOptions(
            name="forge",
            kind=kind,
            url=forge.url,
            place="gateway.toml",
            fetch_interval=0.001,
            fetch_interval_max=0.001,
            quiet_seconds=0.05,
            answer_seconds=0.0,
            sign_seconds=sign_seconds,
        )
        launch = LaunchOptions(
            address=f"http://127.0.0.1:{self.port}/", runners=(RunnerOptions(**told),), receiver=receiver
        )
        self.launcher = Launcher(
            options,
            launch,
            keepers,
            self.state,
            self.log,
            self.told,
            self.machines,
            "1.2.3",
            hooks=hooks,
            referee=referee,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[LaunchRig]:
        """Fetching tasks, answering runners."""
        async with (
            self.launcher.life(),
            serving(self.launcher.application, address=f"127.0.0.1:{self.port}"),
        ):
            yield self

    @property
    def ended(self) -> list[tuple[str, str]]:
        """Which tasks have ended, and how."""
        return [(event.task_id, event.result) for event in self.told.of(TaskEnded)]

    @property
    def left(self) -> list[str]:
        """Directories and cgroups of tasks."""
        # Without the file by which it is tried whether there is room.
        launches = (self.state / "launches").glob("*/[!.]*")
        folders = [*self.work.glob("*"), *launches]
        return [*map(str, folders), *self.keepers.cgroups]

    async def nothing_left(self) -> None:
        """Wait until it is so."""
        await until(lambda: not self.left)


@asynccontextmanager
async def launching(
    folder: Path, kind: Kind = "forgejo", **keys: Any
) -> AsyncIterator[tuple[Forge, LaunchRig]]:
    """A forge, and a gateway that has begun."""
    async with (
        forge_of(kind) as forge,
        LaunchRig(folder, forge, kind, FakeKeepers(), **keys).running() as rig,
    ):
        yield forge, rig


def _registration(folder: Path, kind: Kind, uuid: str, token: str) -> Path:
    file = folder / "registration"
    if kind == "gitlab":
        file.write_text(f'[[runners]]\nname = "one"\ntoken = "{token}"\n')
    else:
        file.write_text(
            json.dumps({"id": 1, "uuid": uuid, "name": "one", "token": token, "labels": ["here:host"]})
        )
    return file


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """In an event loop of its own."""
    asyncio.run(main())


async def ends(forge: Forge, number: int, ending: str) -> list[str]:
    """The lines of its log, when it has ended like this."""
    job = forge.jobs[number]
    await until(lambda: job.ending is not None)
    assert job.ending == ending
    return job.text.splitlines()
