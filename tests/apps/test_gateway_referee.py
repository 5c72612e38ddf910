"""The gateway's referee, from a job that is over to where its evidence is."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from jobmeter.apps import gateway_referee as module
from jobmeter.apps.gateway_referee import GatewayReferee
from jobmeter.config.gateway_referee import GatewayRefereeSettings
from jobmeter.gateway.evidence import Ended
from jobmeter.gateway.relay.options import ForgeOptions
from jobmeter.model.evidence.document import Evidence, decode
from jobmeter.model.job import Job
from jobmeter.referee.uploads.receiver import Receiver
from tests.gateway.relay.rig import Messages
from tests.referee.server import StandIn, listening, options, says, silent
from tests.referee.uploads.places import Artifacts
from tests.support.forges.raw import Answer, RawForge, raw_forge

START = 1_577_836_800.0
UID = "0192f0c0-0000-7000-8000-000000000001"
ENDED = Ended(
    forge="one", task_id="103", job=Job(repository="org/repo", job="build", run_id="21", runner="large-1"),
    runner="large-1", run_uid=UID, began=START, ended=START + 20, token="s3cret-job",
    runtime_token="eyJhbGciOiJIUzI1NiJ9.eyJzY3AiOiJBY3Rpb25zLlJlc3VsdHM6MjE6MzUiLCJUYXNrSUQiOjEwM30.s3cret",
)  # fmt: skip
CREATED = says(201, b'{"id":103}')
KEPT = says(200, b"{}")


class World:
    """A Prometheus, a forge, a receiver, and the referee between them."""

    def __init__(self, prometheus: Answer, forge: Answer = CREATED, kept: Answer = KEPT) -> None:
        self.prometheus, self.forge, self.kept = prometheus, forge, kept
        self.log = Messages()
        self.registry = CollectorRegistry()
        self.at_forge = self.at_receiver = RawForge(forge)

    def run(
        self, work: Callable[[GatewayReferee], Awaitable[None]], kind: Any = "gitlab", receiver: bool = True,
        selector: str = 'runner="{runner_name}"', **more: Any,
    ) -> None:  # fmt: skip
        """Do it while all of them are there."""

        async def main() -> None:
            async with (
                listening(self.prometheus) as (url, _),
                raw_forge(self.forge) as self.at_forge,
                raw_forge(self.kept) as self.at_receiver,
            ):
                forge = ForgeOptions(name="one", kind=kind, url=self.at_forge.url)
                asked = options(url, (("cpu", "cpu{{selector}}"), ("up", "up")), selector=selector)
                settings = GatewayRefereeSettings(options=asked, **more)
                keeping = Receiver(self.at_receiver.url, "push") if receiver else None
                referee = GatewayReferee(settings, [forge], keeping, self.log)
                referee.count(self.registry)
                async with referee.life():
                    await work(referee)

        asyncio.run(main())

    @property
    def figures(self) -> dict[str, float]:
        """What is counted of it, without zeros and buckets."""
        told = {}
        for family in self.registry.collect():
            for one in family.samples:
                if one.value and not one.name.endswith(("_bucket", "_sum", "_created")):
                    name = one.name.removeprefix("jobmeter_gateway_referee_")
                    told[" ".join([name, *one.labels.values()])] = one.value
        return told

    def document(self) -> Evidence:
        """That at the receiver, by itself."""
        (seen,) = self.at_receiver.seen
        return decode(gzip.decompress(seen.body))


async def asked(referee: GatewayReferee) -> None:
    await referee.ended(ENDED)


def test_the_receiver_keeps_what_prometheus_saw() -> None:
    """Of the job's time, under its run, with whose job it is."""
    server = StandIn()
    world = World(server)
    world.run(asked)
    (seen,) = world.at_receiver.seen
    assert seen.target == f"/api/v1/runs/{UID}/evidence"
    document = world.document()
    assert (document.run_uid, document.task, document.job) == (UID, "103", ENDED.job)
    assert (document.start_time, document.end_time) == (
        "2020-01-01T00:00:00.000Z",
        "2020-01-01T00:00:20.000Z",
    )
    assert sorted(server.expressions) == ['cpu{runner="large-1"}', "up"]
    assert world.at_forge.seen == []
    assert world.figures == {
        "jobs_total data": 1,
        "duration_seconds_count": 1,
        "deliveries_total receiver kept": 1,
    }
    (line,) = world.log.informed
    assert line.pop("seconds") is not None
    assert line == {"message": "evidence of a job", "forge": "one", "task": "103", "data": 2, "partial": 0,
                    "empty": 0, "failed": 0}  # fmt: skip
    assert world.log.warned == []


def test_a_run_that_is_not_known_here() -> None:
    """Is found by the receiver, by the job's names."""
    world = World(StandIn())

    async def work(referee: GatewayReferee) -> None:
        await referee.ended(replace(ENDED, run_uid=None))

    world.run(work)
    assert world.at_receiver.seen[0].target == "/api/v1/evidence"


def test_a_runner_without_a_name_of_its_own() -> None:
    """GitLab's tell nobody theirs: it is called as its series call it."""
    server = StandIn()
    world = World(server)

    async def work(referee: GatewayReferee) -> None:
        await referee.ended(replace(ENDED, job=replace(ENDED.job, runner=None), runner="t3stT0ke"))

    world.run(work)
    assert 'cpu{runner="t3stT0ke"}' in server.expressions


def test_it_is_attached_to_a_job_of_gitlab() -> None:
    """By the job's own token, before its forge hears of its end; as the form that was chosen."""
    world = World(StandIn())
    world.run(asked, upload=("gitlab",), format="compat", receiver=False)
    (seen,) = world.at_forge.seen
    assert seen.target.partition("?")[0] == "/api/v4/jobs/103/artifacts"
    assert seen.by_name["job-token"] == "s3cret-job"
    content = gzip.decompress(seen.body.partition(b"\r\n\r\n")[2].rpartition(b"\r\n--")[0])
    assert set(json.loads(content)) == {"cpu", "up"}
    assert world.figures["deliveries_total gitlab kept"] == 1


@pytest.mark.parametrize("kind", ["forgejo", "gitea"])
def test_it_is_an_artifact_of_a_job_of_actions(kind: str) -> None:
    """By the runtime token; no two legs of a matrix have one name."""
    world = World(StandIn(), Artifacts())
    world.run(asked, kind=kind, upload=("actions",), receiver=False)
    assert b'"jobmeter-build-103"' in world.at_forge.seen[0].body.replace(b" ", b"")
    assert world.figures["deliveries_total actions kept"] == 1


def test_it_is_in_a_directory(tmp_path: Path) -> None:
    """Whole, by the job."""
    World(StandIn()).run(asked, upload=(str(tmp_path),), receiver=False)
    (file,) = tmp_path.iterdir()
    assert file.name == "jobmeter-build-103-evidence.json"
    assert decode(file.read_bytes()).task == "103"


@pytest.mark.parametrize("upload, lacking", [("gitlab", "token"), ("actions", "runtime_token")])
def test_a_job_whose_token_is_not_known(upload: str, lacking: str) -> None:
    """Nothing is attached to it, and nobody is asked to."""
    world = World(StandIn())

    async def work(referee: GatewayReferee) -> None:
        await referee.ended(replace(ENDED, **{lacking: None}))

    world.run(work, kind="gitlab" if upload == "gitlab" else "forgejo", upload=(upload,))
    assert world.at_forge.seen == []
    assert len(world.at_receiver.seen) == 1


def test_places_fail_alone() -> None:
    """A forge that refuses keeps nothing from the receiver, and no secret is in what is said."""
    world = World(StandIn(), says(403))
    world.run(asked, upload=("gitlab",))
    assert len(world.at_receiver.seen) == 1
    assert world.figures["deliveries_total gitlab refused"] == 1
    (line,) = world.log.warned
    assert line == {
        "message": "evidence of a job is not where it belongs", "task": "103", "place": "gitlab",
        "error": "GitLab answered 403: Forbidden: the job is over, or its token may not",
    }  # fmt: skip


@pytest.mark.parametrize(
    "answer, found",
    [
        (says(500), "failed"),
        (says(200, b'{"status":"success","data":{"resultType":"matrix","result":[]}}'), "empty"),
    ],
)
def test_what_is_found(answer: Answer, found: str) -> None:
    """Is counted, and brought to the receiver in any case: it says why there is nothing."""
    world = World(answer)
    world.run(asked)
    assert world.figures[f"jobs_total {found}"] == 1
    assert {query.state for query in world.document().queries} == {found}
    assert [line["message"] for line in world.log.warned] == (
        ["Prometheus has answered nothing about a job"] if found == "failed" else []
    )


def test_what_came_in_part() -> None:
    """One bad query among good ones."""
    server = StandIn()
    server.wrong["up"] = says(400, b'{"status":"error","errorType":"bad_data","error":"no"}')
    world = World(server)
    world.run(asked)
    assert world.figures["jobs_total partial"] == 1


def test_a_slow_prometheus() -> None:
    """Has no more than the budget, of which an upload keeps a part."""
    world = World(silent)
    world.run(asked, budget=0.2, upload=("gitlab",))
    assert any("0.15 s that they were given" in sentence for sentence in world.document().problems)
    assert len(world.at_forge.seen) == 1


@pytest.mark.parametrize(
    "upload, seconds", [((), 0.0), (("{tmp}",), 0.0), (("gitlab",), 2.0), (("actions", "{tmp}"), 2.0)]
)
def test_reports_wait_where_the_jobs_token_is_needed(
    tmp_path: Path, upload: tuple[str, ...], seconds: float
) -> None:
    """The receiver and a directory take evidence at any time."""
    told: list[float] = []

    async def work(referee: GatewayReferee) -> None:
        told.append(referee.budget_seconds)

    World(StandIn()).run(work, upload=tuple(one.replace("{tmp}", str(tmp_path)) for one in upload))
    assert told == [seconds]


def test_a_prometheus_that_is_away() -> None:
    """Is not asked each time."""
    world = World(says(502))

    async def work(referee: GatewayReferee) -> None:
        for number in range(4):
            await referee.ended(replace(ENDED, task_id=str(number)))

    world.run(work)
    documents = [decode(gzip.decompress(seen.body)) for seen in world.at_receiver.seen]
    (last,) = (document for document in documents if document.task == "3")
    assert "Prometheus was not asked" in last.problems[0]


def test_a_job_that_the_selector_does_not_fit() -> None:
    """Nobody is asked, and why is told."""
    world = World(StandIn())

    async def work(referee: GatewayReferee) -> None:
        await referee.ended(replace(ENDED, job=Job()))

    world.run(work, selector='repo="{repository}"')
    assert world.figures == {"jobs_total skipped": 1}
    assert world.at_receiver.seen == []
    assert world.log.warned[0]["error"] == "{repository} of the selector is not known of this job"


def test_a_report_that_went_before() -> None:
    """Is counted and told."""
    world = World(StandIn())

    async def work(referee: GatewayReferee) -> None:
        referee.late(ENDED)

    world.run(work)
    assert world.figures == {"late_total": 1}
    assert world.log.texts == [
        "the end of a job is reported before its evidence is complete: the budget is spent"
    ]


def test_the_gateway_stops_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not at the receiver by then is told."""
    monkeypatch.setattr(module, "_LAST_SECONDS", 0.1)
    world = World(StandIn(), kept=says(404))
    world.run(asked)
    assert world.log.warned == [
        {"message": "evidence of jobs is not complete at the receiver: the gateway stops", "jobs": 1}
    ]
