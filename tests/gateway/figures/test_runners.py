"""Which runners are known, and what they are called."""

from __future__ import annotations

import pytest

from jobmeter.gateway.figures.events import Declared, Draining, Event, Fetched, TaskBegan, TaskEnded
from jobmeter.gateway.figures.runners import MAX_RUNNERS, SILENT_SECONDS, Runners
from jobmeter.gateway.forges import port
from tests.gateway.figures.told import AT, JOB, LARGE, SMALL, Clock, Someone, Told

HERE = Draining(False)


def runners(*them: Someone, clock: Clock | None = None) -> Runners:
    made = Runners(clock=clock or Clock())
    for one in them:
        made.tell(one, HERE)
    return made


@pytest.mark.parametrize(
    "them, names",
    [
        ([LARGE, SMALL], ["large-1", "small-1"]),
        ([Someone("0a1b2c3d-6c55")], ["0a1b2c3d"]),
        ([Someone("token:t3stT0ken")], ["t3stT0ke"]),
        ([Someone("token:")], ["unnamed"]),
        ([Someone("1a", " \n ")], ["1a"]),
        ([Someone("1a", "x"), Someone("2b", "x"), Someone("3c", "y")], ["x", "x-2b", "y"]),
        ([Someone("aaaaaaaa-1", "x"), Someone("aaaaaaaa-2", "x"), Someone("aaaaaaaa-3", "x")],
         ["x", "x-aaaaaaaa", "x-aaaaaaaa-3"]),
        ([Someone("1a", "x-2b"), Someone("2a", "x"), Someone("2b", "x")], ["x-2b", "x", "x-2"]),
        ([Someone("1a", "a\r\nb\udcff")], ["a  b�"]),
        ([Someone("1a", "n" * 5000)], ["n" * 1023 + "…"]),
    ],
)  # fmt: skip
def test_names(them: list[Someone], names: list[str]) -> None:
    """The runner's own, else the beginning of its key; no two are the same."""
    assert list(runners(*them).shown()) == names


def test_one_key_at_two_forges() -> None:
    """A registration that was copied makes two runners, and tasks of one number are two."""
    known = Runners(clock=Clock())
    for forge, someone in (("forgejo", Someone("1a", "large")), ("gitea", Someone("1a", "small"))):
        known.tell(someone, TaskBegan("12", AT, JOB), forge)
    found = known.shown()
    assert {name: (one.forge, list(one.running)) for name, one in found.items()} == {
        "large": ("forgejo", ["12"]),
        "small": ("gitea", ["12"]),
    }


def test_a_name_that_comes_later() -> None:
    """A runner that was there before the gateway says its name when it starts again."""
    known = runners(Someone("1a"))
    known.tell(Someone("1a", "large-1"), HERE)
    assert list(known.shown()) == ["large-1"]


def test_identities_of_the_wire() -> None:
    """What the dialects of the wire call an identity is one here."""
    known = Runners(clock=Clock())
    known.tell(port.Identity(key="1a", name="large-1", labels=("linux",), version="v1"), HERE)
    assert list(known.shown()) == ["large-1"]


def test_a_runner_that_the_forge_does_not_know() -> None:
    """Anybody can ask with made-up credentials; of a known runner it is counted."""
    known = Runners(clock=Clock())
    known.tell(LARGE, Fetched("unauthenticated", 0.1))
    assert known.shown() == {}
    known.tell(LARGE, HERE)
    known.tell(LARGE, Fetched("unauthenticated", 0.1))
    assert known.shown()["large-1"].unauthenticated == 1


@pytest.mark.parametrize(
    "event, silent, stays",
    [
        (HERE, SILENT_SECONDS, True),
        (HERE, SILENT_SECONDS + 1, False),
        (TaskBegan("12", AT), SILENT_SECONDS * 20, True),
        (Draining(True), SILENT_SECONDS * 20, True),
    ],
)
def test_a_silent_runner_is_gone(event: Event, silent: float, stays: bool) -> None:
    """But not one that has a job."""
    clock = Clock()
    known = runners(SMALL, clock=clock)
    known.tell(LARGE, event)
    clock.now += silent
    known.tell(SMALL, HERE)
    assert ("large-1" in known.shown()) == stays
    assert "small-1" in known.shown()


def test_sums_outlive_runners() -> None:
    """Jobs of runners that are there for one job each are in them."""
    told = Told("ephemerd")
    for number in range(3):
        one = Someone(str(number), f"once-{number}")
        told.tell(TaskBegan("12", AT, JOB), TaskEnded("12", "success", 5.0), of=one)
        told.clock.now += 2 * SILENT_SECONDS
    assert told.runners.shown() == {}
    ended = 'ephemerd_jobs_total{provider="forgejo",repo="acme/engine",status="success"}'
    assert told.all()[ended] == 3


def test_there_are_not_too_many() -> None:
    """The one that is silent for longest goes; those that run something stay."""
    clock = Clock()
    known = Runners(max_runners=3, clock=clock)
    for number in range(5):
        clock.now += 1
        known.tell(Someone(str(number)), TaskBegan("12", AT) if number == 0 else HERE)
        known.tell(Someone("1"), HERE)
    assert set(known.shown()) == {"0", "1", "4"}
    assert MAX_RUNNERS == 1000


def test_what_it_declared_last_is_shown() -> None:
    """A runner has one name and one release."""
    told = Told().tell(Declared("old", "v1"), Declared("new", "v2"))
    assert [line for line in told.of() if "info" in line] == ['act_runner_info{name="new",version="v2"}']
