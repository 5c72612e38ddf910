"""What the metrics listener answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

import pytest
from prometheus_client import CollectorRegistry

from jobmeter.gateway.figures.events import Declared, StageChanged, TaskBegan, TaskClosing
from jobmeter.gateway.figures.exposition import CONTENT_TYPE, Exposition
from jobmeter.gateway.figures.process import ProcessFigures
from jobmeter.gateway.figures.runners import Runners
from jobmeter.gateway.gate import Gate
from jobmeter.gateway.own import OwnFigures
from jobmeter.gateway.pages import Drains, Pages, RunningJobs
from jobmeter.ops.access import Tokens
from jobmeter.ops.application import Application
from jobmeter.ops.health import Health
from tests.exporter.reading import read
from tests.gateway.figures.told import AT, BUILD, JOB, LAB, LARGE, OTHER_JOB, SMALL, Someone
from tests.gateway.fronts import Answered, Front, Messages, State, ask

BROWSER = {"origin": "https://evil.example"}


async def nothing() -> None:
    """No trouble."""


class Daemon:
    """Three runners of two forges, two of them with work, and its pages."""

    def __init__(
        self,
        *,
        dialects: tuple[str, ...] = ("jobmeter",),
        loopback: bool = True,
        read: str | None = None,
        push: str | None = None,
    ) -> None:
        self.runners = Runners()
        for runner, forge in ((LARGE, "forgejo"), (SMALL, "forgejo"), (LAB, "lab")):
            self.runners.tell(runner, Declared(runner.name, "v1", ("ubuntu-latest",), 2), forge)
        self.runners.tell(LARGE, TaskBegan("12", AT, JOB), "forgejo")
        self.runners.tell(LAB, TaskBegan("7", AT + 30, OTHER_JOB), "lab")
        self.runners.tell(LAB, StageChanged("7", "get_sources", "running", "docker_run"), "lab")
        full = State(LARGE.key, "large-1", "full", capacity=1, tasks=("12",), trouble="no answer")
        self.forgejo = Front(full, State(SMALL.key, "small-1", draining=True, silent_seconds=75.2))
        self.lab = Front(State(LAB.key))
        self.fronts = {"forgejo": self.forgejo, "lab": self.lab}
        registry = CollectorRegistry(auto_describe=True)
        OwnFigures(registry, "1.2", Gate([], Messages(), 1.0), self.fronts)
        exposition = Exposition(self.runners, ProcessFigures(BUILD), dialects)
        drains: Drains = "token" if push else "machine" if loopback else "nobody"
        self.log = Messages()
        pages = Pages(
            self.runners, exposition, registry, self.fronts, Health(nothing), self.log, drains=drains
        )
        tokens = Tokens(read, push, loopback=loopback)
        self._application = Application(
            pages.routes(), tokens, Messages(), answered=lambda route, status: None
        )

    def ask(self, target: str, method: str = "GET", **headers: str) -> Answered:
        return ask(self._application, target, method, **headers)

    def drain(self, query: str = "", **headers: str) -> Answered:
        return self.ask(f"/drain{query}", "POST", **headers)


def test_all_runners_and_the_gateway_itself() -> None:
    """In one text, each series with its runner."""
    answer = Daemon(dialects=("jobmeter", "act_runner")).ask(
        "/metrics", accept="application/openmetrics-text"
    )
    assert (answer.status, answer.headers["content-type"]) == (200, CONTENT_TYPE)
    series = list(read(answer.text))
    assert {one.labels["runner"] for one in series if one.name == "act_runner_capacity"} == {
        "large-1", "small-1", "t3stT0ke",
    }  # fmt: skip
    assert {one.labels["version"] for one in series if one.name == "jobmeter_gateway_build_info"} == {"1.2"}
    assert {(one.labels["forge"], one.labels["standing"]) for one in series
            if one.name == "jobmeter_gateway_runners"} == {
        (forge, standing) for forge in ("forgejo", "lab")
        for standing in ("full", "ready", "fetching", "resting", "ended")
    }  # fmt: skip


@pytest.mark.parametrize(
    "name, status", [("large-1", 200), ("t3stT0ke", 200), ("nobody", 404), ("large%2D1", 200)]
)
def test_one_runner(name: str, status: int) -> None:
    """Labelled as its own program would; the gateway's own series are not its."""
    answer = Daemon(dialects=("gitea_runner",)).ask(f"/metrics/{name}")
    assert answer.status == status
    if status == 404:
        assert answer.detail == "There is no runner 'nobody'; /metrics has those that there are."
        return
    series = {one.name: one.labels for one in read(answer.text)}
    assert series["gitea_runner_capacity"] == {}
    assert not any(one.startswith("jobmeter_") for one in series)


def test_jobs_are_listed() -> None:
    """Where they are at the forge, and in which state; one that only reports any more is finished."""
    daemon = Daemon()
    jobs = asyncio.run(_jobs(RunningJobs(daemon.runners, lambda: AT + 60)))
    assert jobs == [
        {"url": "https://forge.example/acme/engine", "state": "running", "duration": "60s", "runner": "large-1",
         "forge": "forgejo", "repository": "acme/engine", "workflow": "ci.yml", "job": "build", "run_id": "4711",
         "task_id": "12"},
        {"url": "https://lab.example/acme/site/-/jobs/7", "state": "running", "stage": "get_sources",
         "executor_stage": "docker_run", "duration": "30s", "runner": "t3stT0ke", "forge": "gitlab",
         "repository": "acme/site", "job": "pages", "run_id": "31", "task_id": "7"},
    ]  # fmt: skip
    daemon.runners.tell(LARGE, TaskClosing("12"), "forgejo")
    daemon.runners.tell(SMALL, TaskBegan("13", None, None), "forgejo")
    lines = daemon.ask("/debug/jobs/list").text.splitlines()
    assert [line.partition("state=")[2].partition(" ")[0] for line in lines] == [
        "finished",
        "running",
        "running",
    ]
    assert "state=running runner=small-1 task_id=13" in lines


async def _jobs(known: RunningJobs) -> list[Mapping[str, str]]:
    return list(await known.jobs())


def test_runners_are_listed() -> None:
    """By the names that their series have; what is not known of one is left out."""
    assert Daemon().ask("/debug/runners/list").text.splitlines() == [
        "runner=large-1 forge=forgejo standing=full jobs=1 capacity=1 trouble=no%20answer",
        "runner=small-1 forge=forgejo standing=ready jobs=0 draining=true silent=75s",
        "runner=t3stT0ke forge=lab standing=ready jobs=0",
    ]


def test_a_runner_is_drained_and_not() -> None:
    """By its name; its forge is told by its key."""
    daemon = Daemon()
    answer = daemon.drain("?runner=small-1")
    assert (answer.status, json.loads(answer.text)) == (200, {"runners": ["small-1"], "draining": True})
    assert json.loads(daemon.drain("?runner=small-1&on=false").text)["draining"] is False
    assert daemon.forgejo.drained == [(SMALL.key, True), (SMALL.key, False)]
    assert daemon.lab.drained == []


def test_runners_of_one_key_at_two_forges() -> None:
    """Each has its name, and only the one that is named is drained."""
    daemon = Daemon()
    daemon.lab.runners[0] = State(SMALL.key, "twin")
    daemon.runners.tell(Someone(SMALL.key, "twin"), Declared("twin"), "lab")
    listed = daemon.ask("/debug/runners/list").text
    assert "runner=small-1 forge=forgejo" in listed
    assert "runner=twin forge=lab" in listed
    assert json.loads(daemon.drain("?runner=twin").text)["runners"] == ["twin"]
    assert (daemon.forgejo.drained, daemon.lab.drained) == ([], [(SMALL.key, True)])


def test_all_runners_are_drained() -> None:
    """That are there."""
    daemon = Daemon()
    answer = json.loads(daemon.drain().text)
    assert answer == {"runners": ["large-1", "small-1", "t3stT0ke"], "draining": True}
    assert daemon.forgejo.drained == [(LARGE.key, True), (SMALL.key, True)]
    assert daemon.lab.drained == [(LAB.key, True)]
    assert daemon.log.said == ["these runners get no more jobs"]


def test_a_drain_says_what_may_still_come() -> None:
    """What a request brings that the forge holds already; nothing is said of those who have their jobs back."""
    daemon = Daemon()
    daemon.lab.runners[0] = State(LAB.key, standing="fetching")
    said = "a request is still held at the forge; a job that it brings is still taken"
    assert json.loads(daemon.drain().text)["note"] == f"Of t3stT0ke: {said}."
    assert daemon.log.said == ["these runners get no more jobs", said]
    assert "note" not in json.loads(daemon.drain("?runner=small-1").text)
    assert "note" not in json.loads(daemon.drain("?runner=t3stT0ke&on=false").text)
    assert daemon.log.said[2:] == ["these runners get no more jobs", "these runners get jobs again"]


def test_a_runner_that_has_gone_cannot_be_drained() -> None:
    """Its series may still be there."""
    daemon = Daemon()
    daemon.lab.runners.clear()
    answer = daemon.drain("?runner=t3stT0ke")
    assert (answer.status, answer.detail) == (404, "The runner 't3stT0ke' has gone.")
    assert json.loads(daemon.drain().text)["runners"] == ["large-1", "small-1"]


@pytest.mark.parametrize(
    "query, status, sentence",
    [
        ("?runner=nobody", 404, "There is no runner 'nobody'; there are large-1, small-1, t3stT0ke."),
        ("?on=maybe", 400, "The parameter on is 'maybe'; accepted are true and false."),
        ("?name=small-1", 400, "The parameter 'name' is not known; accepted are runner, on."),
    ],
)
def test_what_cannot_be_drained(query: str, status: int, sentence: str) -> None:
    """One sentence."""
    answer = Daemon().drain(query)
    assert (answer.status, answer.detail) == (status, sentence)


def test_draining_is_no_question() -> None:
    """A GET changes nothing."""
    assert Daemon().ask("/drain").status == 405


@pytest.mark.parametrize(
    "daemon, headers, status",
    [
        ({}, {}, 200),
        ({}, BROWSER, 403),
        ({}, {"sec_fetch_site": "cross-site"}, 403),
        ({"loopback": False}, {}, 403),
        ({"loopback": False, "read": "r"}, {"authorization": "Bearer r"}, 403),
        ({"push": "p"}, {}, 401),
        ({"push": "p", "read": "r"}, {"authorization": "Bearer r"}, 401),
        ({"push": "p"}, {"authorization": "Bearer p"}, 200),
        ({"push": "p", "loopback": False}, {"authorization": "Bearer p", **BROWSER}, 200),
    ],
)
def test_who_may_drain(daemon: dict[str, object], headers: dict[str, str], status: int) -> None:
    """Who has the push token; without one a program of this machine, and no page of a browser."""
    made = Daemon(**daemon)  # type: ignore[arg-type]
    assert made.drain(**headers).status == status
    assert bool(made.forgejo.drained) == (status == 200)


@pytest.mark.parametrize("path, status", [
    ("/", 200), ("/healthz", 200), ("/readyz", 200), ("/metrics", 401), ("/metrics/large-1", 401),
    ("/debug/jobs/list", 401), ("/debug/runners/list", 401), ("/debug/pprof/", 401), ("/nonesuch", 404),
])  # fmt: skip
def test_who_may_ask(path: str, status: int) -> None:
    """The read token opens all but health."""
    assert Daemon(read="r", loopback=False).ask(path).status == status
    if status == 401:
        assert Daemon(read="r", loopback=False).ask(path, authorization="Bearer r").status == 200
