"""The gateway asks a real Prometheus at the end of a job: its evidence is at the forge, and at the receiver."""

from __future__ import annotations

import asyncio
import gzip
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from jobmeter.model.evidence.document import Evidence, decode, seconds_of
from scripts.dashboards.asking import Prometheus
from tests.e2e.support.components import JOBMETER, jobmeter_environment, require_root
from tests.e2e.support.gateways import TOKEN, RunningGateway, running_gateway
from tests.e2e.support.launching import PROGRAMS, launching_gateway, open_folder, ready
from tests.e2e.support.monitors import node_exporter, prometheus
from tests.e2e.support.runners import UUID, Program
from tests.receiver.api.running import PUSH, RunningReceiver, running_receiver
from tests.support.forges import actions, gitlab
from tests.support.forges.actions import ActionsForge, actions_forge
from tests.support.forges.gitlab import GitlabForge, gitlab_forge
from tests.support.receivers import closed_port

SCRAPE_SECONDS = 1
PATIENCE_SECONDS = 60.0
EACH_SECONDS = 0.1
WORK_SECONDS = 8.0
SCRIPT = "i=0; end=$(($(date +%s)+8)); while [ $(date +%s) -lt $end ]; do i=$((i+1)); done"
REFEREE = """
[referee]
prometheus_address = "{address}"
executor = "shell"
label_value = "127.0.0.1"
interval = "500ms"
scrape_interval = "1s"
default_queries = ["node"]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """It scrapes node_exporter each second."""
    directory = tmp_path_factory.mktemp("prometheus")
    with node_exporter(directory) as target, prometheus(directory, [target], SCRAPE_SECONDS) as running:
        yield running


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[RunningReceiver]:
    """A process with SQLite."""
    with running_receiver(tmp_path) as running:
        yield running


@pytest.fixture(params=PROGRAMS, ids=str)
def program(request: pytest.FixtureRequest) -> Program:
    """Each official runner that is here, and what stands in for it."""
    found: Program = request.param
    found.version()
    require_root("cgroups of launched runners")
    return found


def forge_of(program: Program) -> AbstractAsyncContextManager[ActionsForge | GitlabForge]:
    """The forge of this runner."""
    if program.forge == "gitlab":
        return gitlab_forge(TOKEN, hold_seconds=0.5)
    return actions_forge(**{UUID: TOKEN})


def evidence_of(receiver: RunningReceiver, run_uid: str) -> Evidence | None:
    """What the receiver has of a run; None for nothing."""
    answer = receiver.get(f"/api/v1/runs/{run_uid}/evidence")
    return decode(answer.content) if answer.status_code == 200 else None


def whole(receiver: RunningReceiver) -> Evidence:
    """That of the only run, with its end."""
    deadline, found = time.monotonic() + PATIENCE_SECONDS, None
    while time.monotonic() < deadline:
        for run in receiver.get("/api/v1/runs").json()["runs"]:
            found = evidence_of(receiver, run["run_uid"])
            if found is not None and not found.tail_open:
                return found
        time.sleep(EACH_SECONDS)
    pytest.fail(f"the receiver has no whole evidence: {found}")


def check(document: Evidence) -> None:
    """Every query has data, of the whole time, and the processors were busy."""
    assert {query.name: query.reason for query in document.queries if query.state != "data"} == {}
    assert len(document.queries) > 15
    start, end = seconds_of(document.start_time), seconds_of(document.end_time)
    assert end - start >= WORK_SECONDS - 1
    (busy,) = next(query.series for query in document.queries if query.name == "cpu_seconds")
    times = [time for time, _ in busy.points]
    assert start - 0.001 <= times[0] <= start + 1
    assert times[-1] >= end - 2 * SCRAPE_SECONDS
    assert max(float(value) for _, value in busy.points) > 0.5


async def ended(forge: ActionsForge | GitlabForge, number: int, gateway: RunningGateway) -> None:
    """Wait for a job that succeeds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while forge.jobs[number].ending is None:
            await asyncio.sleep(EACH_SECONDS)
    assert forge.jobs[number].ending == "success", (forge.jobs[number].text, gateway.log)


def test_a_launched_job(program: Program, server: Prometheus, receiver: RunningReceiver) -> None:
    """The receiver has what was seen of its time, with its run, its end too."""

    async def main(folder: Path) -> None:
        tables = REFEREE.format(address=server.url)
        async with (
            forge_of(program) as forge,
            launching_gateway(
                folder, forge.url, program.forge, ready(program), receiver.url, PUSH, tables
            ) as gateway,
        ):
            forge.enqueue(1, script=SCRIPT)
            await ended(forge, 1, gateway)
            check(await asyncio.to_thread(whole, receiver))

    with open_folder() as folder:
        asyncio.run(main(folder))


@asynccontextmanager
async def relaying(
    folder: Path, url: str, kind: str, address: str, more: str, top: str = ""
) -> AsyncIterator[RunningGateway]:
    """A gateway with a referee between runners and their forge."""
    tables = REFEREE.format(address=address) + more
    async with running_gateway(folder, url, kind, top=top, tables=tables) as gateway:
        yield gateway


def test_a_job_of_gitlab_has_it_as_an_artifact(server: Prometheus, tmp_path: Path) -> None:
    """Attached by the job's own token, while GitLab still takes it for running."""

    async def main() -> None:
        async with (
            gitlab_forge(TOKEN, hold_seconds=0.5) as forge,
            relaying(tmp_path, forge.url, "gitlab", server.url, 'upload = "gitlab"\n') as gateway,
        ):
            forge.enqueue(7)
            runner = gitlab.Runner(gateway.port, TOKEN)
            await runner.fetch()
            await asyncio.sleep(WORK_SECONDS)
            await runner.update(7, "success")
            (seen,) = forge.jobs[7].artifacts
            packed = seen.body.partition(b"\r\n\r\n")[2].rpartition(b"\r\n--")[0]
            document = decode(gzip.decompress(packed))
            assert document.task == "7"
            assert document.job.repository == "g/p"
            assert {query.state for query in document.queries} == {"data"}
            values = await gateway.place.values()
            assert values['jobmeter_gateway_referee_deliveries_total{place="gitlab",result="kept"}'] == 1

    asyncio.run(main())


def test_a_job_that_is_metered_by_itself(
    server: Prometheus, receiver: RunningReceiver, tmp_path: Path
) -> None:
    """The gateway knows no key of its run: the receiver finds that by the names of the job."""

    async def main() -> None:
        top = f'receiver = "{receiver.url}"\nreceiver_token = "{PUSH}"\n'
        async with (
            actions_forge(**{UUID: TOKEN}) as forge,
            relaying(tmp_path, forge.url, "forgejo", server.url, "", top) as gateway,
        ):
            forge.enqueue(7, script="a step")
            runner = actions.Runner(gateway.port, UUID, TOKEN)
            await runner.fetch()
            await asyncio.to_thread(step, receiver.url, run_id=7)
            await runner.state(7, 1)
            document = await asyncio.to_thread(whole, receiver)
            check(document)
            assert (document.task, document.job.repository) == ("7", "org/repo")

    asyncio.run(main())


def step(receiver: str, run_id: int) -> None:
    """What the runner does: a step that is metered, with the environment of the forge's job."""
    context = actions.CONTEXT
    told = {
        "FORGEJO_ACTIONS": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_REPOSITORY": "org/repo",
        "GITHUB_REPOSITORY_OWNER": "org",
        "GITHUB_WORKFLOW": str(context["workflow"]),
        "GITHUB_JOB": str(context["job"]),
        "GITHUB_RUN_ID": str(run_id),
        "GITHUB_RUN_ATTEMPT": "1",
        "JOBMETER_RECEIVER": receiver,
        "JOBMETER_PUSH_TOKEN": PUSH,
    }
    subprocess.run(
        [*JOBMETER, "run", "--", "sh", "-c", SCRIPT],
        env=jobmeter_environment() | told, check=True, capture_output=True,
    )  # fmt: skip


def test_a_prometheus_that_is_away(tmp_path: Path) -> None:
    """Delays no job by more than its budget, and after three jobs by nothing."""

    async def main() -> None:
        address = f"http://127.0.0.1:{closed_port()}"
        more = f'budget = "1s"\nupload = ["actions", "{tmp_path}"]\n'
        async with (
            actions_forge(**{UUID: TOKEN}) as forge,
            relaying(tmp_path, forge.url, "forgejo", address, more) as gateway,
        ):
            forge.enqueue(*range(1, 6))
            runner = actions.Runner(gateway.port, UUID, TOKEN)
            for number in range(1, 6):
                assert await runner.fetch() == [number]
                async with asyncio.timeout(10):
                    await runner.state(number, 1)
                assert forge.jobs[number].ending == "success"
            values = await gateway.place.values()
            assert values['jobmeter_gateway_referee_jobs_total{found="failed"}'] == 5
            documents = [decode(file.read_bytes()) for file in tmp_path.glob("jobmeter-*.json")]
            assert len(documents) == 5
            skipped = [one for one in documents if any("not asked" in said for said in one.problems)]
            assert len(skipped) == 2

    asyncio.run(main())
