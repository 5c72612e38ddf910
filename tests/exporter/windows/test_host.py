"""A Windows host from round to round: who is shown with which numbers, and what one bad answer costs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from jobmeter.containers.catalog.facts import ContainerFacts, describe
from jobmeter.exporter.announced import Announcements
from jobmeter.exporter.container import Row
from jobmeter.exporter.windows import host as module
from jobmeter.exporter.windows.address import Engine
from jobmeter.exporter.windows.answers import About, Made, Usage
from jobmeter.exporter.windows.client import EngineClient
from jobmeter.exporter.windows.host import AT_ONCE, Asked, WindowsHost
from jobmeter.model.account import Account, Bounds
from jobmeter.model.errors import SourceUnavailable, UsageError
from jobmeter.model.job import Job
from jobmeter.ops.hooks.events import TaskEvent
from tests.exporter.windows import told
from tests.exporter.windows.engine import WindowsEngine, listening, silent

ENGINE = Engine("build-3", "win", 2376)
NOW = 1_795_300_000.0
GITLAB = {
    "com.gitlab.gitlab-runner.job.id": "4711", "com.gitlab.gitlab-runner.job.url": "https://git.example/acme/engine/-/jobs/4711",
    "com.gitlab.gitlab-runner.type": "build",
}  # fmt: skip


class Host:
    """A host whose engine a test holds in its hands, with clocks that it moves on, and what was shown of it."""

    refused = 0

    def __init__(self, interval_seconds: float = 10.0, engine: Engine = ENGINE) -> None:
        self.passed, self.now = 1000.0, NOW
        self.names = ["a"]
        self.labels: dict[str, str] = {"jobmeter.repository": "acme/engine"}
        self.made_as: dict[str, Made | None] = {}
        self.used: dict[str, Usage | Exception | None] = {}
        self.questions: list[str] = []
        self.at_once = self.most_at_once = 0
        self.by_id: dict[str, Row] = {}
        self.still: Collection[str] = ()
        self.sentences: list[str] = []
        self.announced = Announcements(lambda: self.now)
        self.meets: Callable[[], About] = lambda: About("process", 8)
        self.host = WindowsHost(
            engine, self._open, self, self, interval_seconds=interval_seconds,
            clock=lambda: self.now, monotonic=lambda: self.passed, announced=self.announced,
        )  # fmt: skip

    def round(self, after: float = 10.0, **used: float | Exception | None) -> None:
        """So much later these containers have used so many seconds of CPU time, or say otherwise."""
        self.passed += after
        self.names = list(used)
        self.used = {
            name: Usage(Account(cpu_seconds=value), 8) if isinstance(value, float) else value
            for name, value in used.items()
        }
        asyncio.run(self.host.round(self))

    def cpu(self) -> dict[str, float | None]:
        return {name: row.account.cpu_seconds for name, row in self.by_id.items()}

    # --- As its engine

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Asked]:
        yield self

    async def meet(self) -> About:
        return self.meets()

    async def containers(self) -> list[ContainerFacts]:
        found = (
            describe(
                engine="docker",
                container_id=name,
                name=f"/{name}",
                image="nano",
                labels=self.labels,
                created=5.0,
            )
            for name in self.names
        )
        return [facts for facts in found if facts is not None]

    async def made(self, container_id: str) -> Made | None:
        self.questions.append(f"{container_id} made")
        return self.made_as.get(container_id, Made(isolation="process", started=NOW - 60))

    async def usage(self, container_id: str) -> Usage | None:
        self.questions.append(f"{container_id} used")
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        used = self.used.get(container_id)
        if isinstance(used, Exception):
            raise used
        return used

    # --- As what shows it, and as its log

    @property
    def rows(self) -> Sequence[Row]:
        return list(self.by_id.values())

    def tell(self, told: Iterable[Row], still: Collection[str] = ()) -> None:
        self.by_id, self.still = {row.id: row for row in told}, still

    def info(self, message: str, **fields: object) -> None:
        self.sentences.append(message)

    def warn(self, message: str, **fields: object) -> None:
        self.sentences.append(": ".join([message, *map(str, fields.values())]))


@pytest.fixture
def host() -> Host:
    return Host()


FAILS = SourceUnavailable("it answered 500")


def test_a_container_is_shown_as_those_of_this_host(host):
    """With its machine, how it is isolated, its limits, and its job by labels."""
    host.made_as["a"] = Made(isolation="hyperv", started=NOW - 60, nano_cpus=2 * 10**9, memory_bytes=4 << 30)
    host.round(a=1.5)
    row = host.by_id["a"]
    assert (row.path, row.machine, row.key, row.engine) == ("build-3/a", "build-3", "build-3/a", "docker")
    assert (row.runtime, row.started, row.ended, row.parent) == ("windows-hyperv", NOW - 60, None, None)
    assert row.bounds == Bounds(cpu_cores=2.0, memory_bytes=4 << 30)
    assert (row.identity.name, row.identity.image, row.identity.attribution) == ("a", "nano", "own")
    assert row.identity.job is not None
    assert row.identity.job.repository == "acme/engine"


TASK = TaskEvent(
    event="on_task_started", task_id="4711",
    job=Job(forge="gitlab", server_url="https://git.example", repository="acme/engine", job="build"),
)  # fmt: skip
LONG_ID = "4f0c" * 16


@pytest.mark.parametrize(
    "labels, place, attribution",
    [
        pytest.param({}, {"container_id": LONG_ID[:12]}, "announced", id="by its id"),
        pytest.param(GITLAB, {}, "own", id="by its number"),
        pytest.param({}, {}, None, id="by nothing"),
    ],
)
def test_a_container_of_a_task_that_is_announced(host, labels, place, attribution):
    """Is that task's from the next round on, for as long as anywhere; what is known stays the same object."""
    host.labels = labels
    host.now = 20.0
    host.round(**{LONG_ID: 1.5})
    host.announced.start(replace(TASK, **place))
    host.round(**{LONG_ID: 1.5})
    identity = host.by_id[LONG_ID].identity
    assert identity.attribution == attribution
    is_known = attribution is not None
    assert (identity.job.job if identity.job else None) == ("build" if is_known else None)
    assert identity.execution == ("announced https://git.example/4711" if is_known else None)
    host.announced.start(replace(TASK, task_id="8"))
    host.round(**{LONG_ID: 1.5})
    assert host.by_id[LONG_ID].identity is identity
    host.announced.end(TASK)
    host.now += 400.0
    host.announced.expire()
    host.round(**{LONG_ID: 1.5})
    job = host.by_id[LONG_ID].identity.job
    assert job is None or job.job is None


def test_a_share_is_of_the_cpus_that_are_told(host):
    """With each sample, else by the engine."""
    host.made_as["a"] = Made(isolation="process", cpu_percent=25)
    host.round(a=1.5)
    assert host.by_id["a"].bounds.cpu_cores == 2.0
    asyncio.run(_with_cpus(host, told=None, engine=16))
    assert host.by_id["a"].bounds.cpu_cores == 4.0


async def _with_cpus(host: Host, *, told: int | None, engine: int) -> None:
    """A round of an engine that tells so many."""
    host.meets = lambda: About("process", engine)
    host.used = {"a": Usage(Account(cpu_seconds=1.0), told)}
    host.by_id = {}
    task = asyncio.create_task(host.host.follow())
    async with asyncio.timeout(5):
        while not host.by_id:
            await asyncio.sleep(0)
    task.cancel()


@pytest.mark.parametrize(
    "isolation, runtime", [("hyperv", "windows-hyperv"), ("process", "windows-process"), (None, "windows")]
)
def test_the_runtime_says_how_it_is_isolated(host, isolation, runtime):
    """As far as the engine tells."""
    host.made_as["a"] = Made(isolation=isolation)
    host.round(a=1.5)
    assert host.by_id["a"].runtime == runtime


def test_the_runtime_is_what_is_set_for_the_machine():
    """Whatever the engine tells."""
    host = Host(engine=ENGINE._replace(runtime="windows-hyperv"))
    host.round(a=1.5)
    assert host.by_id["a"].runtime == "windows-hyperv"


def test_a_container_of_nobody(host):
    """It is shown without a job."""
    host.labels = {}
    host.round(a=1.0)
    assert (host.by_id["a"].identity.job, host.by_id["a"].identity.attribution) == (None, None)


def test_the_containers_of_one_task_are_one_execution(host):
    """Of this machine: another one may count alike. Those that only name the same job are one each."""
    host.labels = GITLAB
    host.round(a=1.0, b=1.0)
    assert {row.identity.execution for row in host.by_id.values()} == {"build-3/https://git.example/4711"}
    host.labels = {"jobmeter.repository": "acme/engine"}
    host.round(a=1.0, b=1.0)
    assert [row.identity.execution for row in host.by_id.values()] == ["build-3/a", "build-3/b"]
    host.labels = {"jobmeter.repository": "acme/engine", "jobmeter.run_id": "7"}
    host.round(a=1.0, b=1.0)
    assert len({row.identity.execution for row in host.by_id.values()}) == 1


def test_what_is_known_of_a_container_is_not_made_anew(host):
    """While it is called the same; what is written of it is kept by that."""
    host.round(a=1.0)
    first = host.by_id["a"].identity
    host.round(a=2.0)
    assert host.by_id["a"].identity is first
    host.labels = {"jobmeter.repository": "acme/tool"}
    host.round(a=3.0)
    assert host.by_id["a"].identity is not first


def test_limits_are_asked_for_once_in_a_while(host):
    """They can be changed while it runs."""
    for _ in range(8):
        host.round(a=1.0)
    assert host.questions.count("a made") == 2
    assert host.questions.count("a used") == 8


def test_one_that_was_started_again_says_when(host):
    """Its counters have begun anew, and so its time has."""
    host.round(a=5.0)
    host.made_as["a"] = Made(isolation="process", started=NOW - 1)
    host.round(a=0.5)
    assert (host.by_id["a"].started, host.cpu()) == (NOW - 1, {"a": 0.5})


def test_a_start_in_the_future_is_now(host):
    """The clock of that host is not ours; what it said first stays, or each round would be of another container."""
    host.made_as["a"] = Made(isolation="process", started=NOW + 3600)
    for host.now in (NOW, NOW + 10, NOW + 70):
        host.round(a=5.0, after=70.0)
        assert host.by_id["a"].started == NOW


def test_one_of_an_unknown_start_is_as_old_as_its_making(host):
    """By the list."""
    host.made_as["a"] = Made(isolation="process")
    host.round(a=5.0)
    assert host.by_id["a"].started == 5.0


@pytest.mark.parametrize("answer", [FAILS, RuntimeError])
def test_one_that_cannot_be_read_costs_no_other(host, answer):
    """It stays as it was read last; what is wrong with the reading itself ends the round alone."""
    host.round(a=1.0, b=1.0)
    if answer is RuntimeError:
        with pytest.raises(ExceptionGroup):
            host.round(a=RuntimeError("a mistake"), b=2.0)
        return
    host.round(a=answer, b=2.0)
    assert (host.cpu(), host.still, host.host.errors) == ({"b": 2.0}, ["a"], 1)
    assert host.sentences[-1] == (
        "containers of the Windows host build-3 could not be read: it answered 500: a"
    )


def test_one_that_was_never_read_is_not_shown(host):
    """Nothing is known of what it uses: a first number would be taken for what it used at once."""
    host.round(a=FAILS)
    assert (host.by_id, host.still) == ({}, [])


def test_numbers_that_are_old_are_shown_no_more(host):
    """The container is; after a minute, or three rounds."""
    host.round(a=7.0)
    for _ in range(6):
        host.round(a=FAILS)
    assert (host.cpu(), host.still) == ({}, ["a"])
    host.round(a=FAILS)
    assert host.cpu() == {"a": None}
    host.round(a=8.0)
    assert host.cpu() == {"a": 8.0}


def test_one_that_is_gone_between_list_and_question_is_shown_no_more(host):
    """It has ended; when it is asked how it was made, or what it used."""
    host.round(a=1.0, b=1.0)
    host.round(a=None, b=2.0)
    assert (host.cpu(), host.still) == ({"b": 2.0}, [])
    host.made_as["c"] = None
    host.round(b=2.0, c=1.0)
    assert (host.cpu(), host.still) == ({"b": 2.0}, [])
    assert "c used" not in host.questions


def test_so_many_are_asked_about_at_once(host):
    """And no more."""
    host.round(**{f"c{number}": 1.0 for number in range(3 * AT_ONCE)})
    assert len(host.by_id) == 3 * AT_ONCE
    assert host.most_at_once == AT_ONCE


def test_a_round_has_an_end(host, monkeypatch):
    """However many containers do not answer; those that had no turn have theirs first next time."""
    monkeypatch.setattr(module, "ROUND_SECONDS", 0.05)
    host = Host(interval_seconds=0.0)
    monkeypatch.setattr(host.host, "_interval", 0.05)
    usage: Callable[[str], Awaitable[Usage | None]] = host.usage
    hanging = {f"hung{number}" for number in range(AT_ONCE)}

    async def hang(container_id: str) -> Usage | None:
        if container_id in hanging:
            await asyncio.sleep(3600)
        return await usage(container_id)

    monkeypatch.setattr(host, "usage", hang)
    host.round(**dict.fromkeys([*sorted(hanging), "a"], 1.0))
    assert (host.cpu(), host.host.errors) == ({}, 1)
    host.round(**dict.fromkeys([*sorted(hanging), "a"], 1.0))
    assert host.cpu() == {"a": 1.0}


def test_what_ends_is_forgotten(host):
    """A thousand containers later there is no more in memory than at first."""
    for number in range(1000):
        host.round(**{f"c{number}": 1.0})
    assert len(host.host._known) == 1


# --- From one connection to the next


def following(host: Host, until: Callable[[], bool]) -> None:
    """Follow it until it is so."""

    async def main() -> None:
        task = asyncio.create_task(host.host.follow())
        async with asyncio.timeout(5):
            while not until():
                await asyncio.sleep(0.005)
        task.cancel()

    asyncio.run(main())


@pytest.fixture
def at_once(monkeypatch) -> None:
    """It tries again at once."""
    monkeypatch.setattr(module, "_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(module, "_LEAST_INTERVAL_SECONDS", 0.01)


@pytest.mark.parametrize(
    "error, reason",
    [
        (SourceUnavailable("connection refused"), "connection refused"),
        (UsageError("ca.pem cannot be used"), "ca.pem cannot be used"),
        (KeyError("x"), "unexpected: KeyError: 'x'"),
    ],
)
def test_an_engine_that_fails_is_asked_again(at_once, error, reason):
    """What is wrong is said once, and once that it is right again."""
    host = Host(interval_seconds=0.0)
    host.used = {"a": Usage(Account(cpu_seconds=1.0), 8)}
    attempts = iter(range(4))

    def meets() -> About:
        if next(attempts, None) is None:
            return About("process", 8)
        raise error

    host.meets = meets
    following(host, lambda: host.host.up and len(host.questions) > 3)
    assert host.sentences == [
        f"containers of the Windows host build-3 are missing: {reason}: tcp://win:2376",
        "containers of the Windows host build-3 are shown",
    ]
    assert host.cpu() == {"a": 1.0}


def test_an_engine_that_goes_away_is_not_up(at_once, monkeypatch):
    """What was shown of it stays as it was: nothing is told."""
    host = Host(interval_seconds=0.0)
    host.used = {"a": Usage(Account(cpu_seconds=1.0), 8)}
    listed = host.containers

    async def break_off() -> list[ContainerFacts]:
        if len(host.questions) > 3:
            raise SourceUnavailable("it broke off the connection")
        return await listed()

    monkeypatch.setattr(host, "containers", break_off)
    following(host, lambda: len(host.sentences) >= 2)
    assert not host.host.up
    assert host.sentences[1].startswith("containers of the Windows host build-3 are missing: it broke off")
    assert host.cpu() == {"a": 1.0}


def test_a_host_over_the_network():
    """Of three containers one hangs and one is gone: the third is shown all the same."""
    engine = WindowsEngine()
    engine.add(told.SECOND)
    engine.add("03" * 32)
    del engine.stats[told.SECOND]
    engine.wrong[f"{'03' * 32}/stats?stream=false&one-shot=true"] = silent
    shown = Host()

    async def main() -> None:
        async with listening(engine) as (where, _):

            def client() -> AbstractAsyncContextManager[Any]:
                return EngineClient(where, None, answer_seconds=0.3)

            host = WindowsHost(where, client, shown, shown, interval_seconds=1.0)
            task = asyncio.create_task(host.follow())
            async with asyncio.timeout(5):
                while not shown.by_id:
                    await asyncio.sleep(0.01)
            task.cancel()
            assert (host.up, host.errors) == (True, 1)

    asyncio.run(main())
    (row,) = shown.by_id.values()
    assert (row.id, row.account.cpu_seconds, row.bounds.cpu_cores) == (told.FIRST, 12.3456789, "unlimited")
    assert replace(row.bounds, cpu_cores=None) == Bounds(memory_bytes="unlimited")
