"""How many jobs wait, why, and how long they did."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from jobmeter.gateway.queue import MAX_JOBS, MAX_ROWS, Queue, Supply, queue_families
from jobmeter.gateway.waiting import Kind
from jobmeter.model.errors import JobmeterError
from tests.gateway.fronts import Messages

DOCKER, BIG = frozenset(("docker",)), frozenset(("docker", "big"))


class Api:
    """Answers what a test wants; a text is an error."""

    def __init__(self) -> None:
        self.answers: list[object] = []
        self.targets: list[str] = []

    async def get(self, target: str) -> bytes:
        self.targets.append(target)
        answer = self.answers.pop(0) if self.answers else []
        if isinstance(answer, str):
            raise JobmeterError(answer)
        return json.dumps(answer).encode()


class Rig:
    """A queue, its API and the clock."""

    def __init__(self, kind: Kind = "forgejo", scopes: Sequence[str] = ("admin",)) -> None:
        self.api, self.log, self.now = Api(), Messages(), 1000.0
        self.supply: list[Supply] = []
        self.queue = Queue(
            "forge", kind, scopes, self.api, lambda: self.supply, self.log, interval_seconds=30.0,
            clock=lambda: self.now,
        )  # fmt: skip

    def look(self, *answers: object, after: float = 30.0) -> None:
        """One look, so long after the one before."""
        self.now += after
        self.api.answers = list(answers)
        asyncio.run(self.queue.look())

    def series(self) -> dict[str, float]:
        """As they are scraped."""
        registry = CollectorRegistry()
        registry.register(_Families(self.queue))
        lines = generate_latest(registry).decode().splitlines()
        return {
            name: float(value)
            for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))
        }

    def counted(self) -> dict[tuple[str, str], float]:
        """Waiting jobs by labels and reason."""
        found = {}
        for name, value in self.series().items():
            if match := re.match(r'jobmeter_queue_waiting_jobs\{.*labels="(.*)",reason="(.*)"\}', name):
                found[match[1], match[2]] = value
        return found


class _Families(Collector):
    def __init__(self, *queues: Queue) -> None:
        self._queues = queues

    def collect(self) -> list[Metric]:
        return list(queue_families(self._queues))


def job(number: int, *labels: str, status: str = "waiting") -> dict[str, object]:
    """One of Forgejo's."""
    return {"id": number, "runs_on": list(labels or ("docker",)), "status": status}


@pytest.mark.parametrize(
    "supply, reason",
    [
        ([], "no_runner"),
        ([Supply(frozenset(("host",)), True, False)], "no_runner"),
        ([Supply(DOCKER, False, False), Supply(BIG, True, False)], "free"),
        ([Supply(DOCKER, False, False)], "busy"),
        ([Supply(DOCKER, False, False), Supply(DOCKER, True, True)], "busy"),
        ([Supply(DOCKER, True, True)], "held"),
        ([Supply(None, True, False)], "unknown"),
    ],
)
def test_why_a_job_waits(supply: list[Supply], reason: str) -> None:
    """By the runners that are known here; one that waits for others is blocked whoever there is."""
    rig = Rig()
    rig.supply = supply
    rig.look([job(1), job(2, status="blocked")])
    assert rig.counted() == {("docker", reason): 1, ("docker", "blocked"): 1}


def test_how_long_a_job_waited() -> None:
    """From the look that first saw it to the one that does not; what was there before is not known."""
    rig = Rig()
    rig.look([job(1)])
    assert rig.series()['jobmeter_queue_oldest_seconds{forge="forge"}'] == 0
    rig.look([job(1), job(2)])
    rig.look([job(2)])
    assert rig.series()['jobmeter_queue_oldest_seconds{forge="forge"}'] == 30
    rig.look([])
    series = rig.series()
    assert series['jobmeter_queue_wait_seconds_count{forge="forge",labels="docker"}'] == 1
    assert series['jobmeter_queue_wait_seconds_sum{forge="forge",labels="docker"}'] == 60
    assert series['jobmeter_queue_wait_seconds_bucket{forge="forge",labels="docker",le="60.0"}'] == 1
    assert series['jobmeter_queue_wait_seconds_bucket{forge="forge",labels="docker",le="30.0"}'] == 0


def test_a_row_is_there_before_the_first_wait_has_ended() -> None:
    """Prometheus takes the first value of a series for where it begins."""
    rig = Rig()
    rig.look([job(1)])
    assert rig.series()['jobmeter_queue_wait_seconds_count{forge="forge",labels="docker"}'] == 0


def test_a_job_that_was_blocked_waits_since_it_is_not() -> None:
    """What it waited for others is no want of runners."""
    rig = Rig()
    rig.look([job(1, status="blocked")])
    rig.look([job(1)])
    rig.look([])
    assert rig.series()['jobmeter_queue_wait_seconds_sum{forge="forge",labels="docker"}'] == 30


def test_a_forge_that_tells_since_when() -> None:
    """Is believed from the first look on."""
    rig = Rig("gitlab", ["projects/7"])
    rig.look([{"id": 1, "tag_list": [], "status": "pending", "queued_duration": 100.0}])
    assert rig.series()['jobmeter_queue_oldest_seconds{forge="forge"}'] == 100
    rig.look([])
    assert rig.series()['jobmeter_queue_wait_seconds_sum{forge="forge",labels=""}'] == 130


def test_a_forge_that_does_not_answer() -> None:
    """Is asked more and more seldom; it is said once, what waits is not known then, and waits go on."""
    rig = Rig()
    assert rig.series() == {}
    rig.look([job(1)])
    rig.look([job(1), job(2)])
    waits = []
    for _ in range(7):
        rig.look("the forge's API answers 502")
        waits.append(rig.queue.wait_seconds)
    assert waits == [60, 120, 240, 480, 600, 600, 600]
    series = rig.series()
    assert series['jobmeter_queue_up{forge="forge"}'] == 0
    assert not any(name.startswith(("jobmeter_queue_waiting", "jobmeter_queue_oldest")) for name in series)
    rig.look([job(1)])
    assert rig.queue.wait_seconds == 30
    assert rig.series()['jobmeter_queue_wait_seconds_sum{forge="forge",labels="docker"}'] == 240
    assert rig.log.said == ["waiting jobs cannot be counted", "waiting jobs are counted again"]


def test_an_answer_that_cannot_be_read() -> None:
    """Is a failure like any other."""
    rig = Rig()
    rig.look({"message": "no"})
    assert (rig.queue.up, rig.queue.wait_seconds) == (False, 60)


def test_pages_are_read_to_their_end() -> None:
    """And no further than is looked at; the same job in two scopes is one."""
    rig = Rig("gitlab", ["projects/7", "projects/8"])
    page = [{"id": number, "tag_list": [], "status": "pending"} for number in range(100)]
    rig.look(page, [*page[:50], {"id": 200, "tag_list": [], "status": "pending"}], page[:1])
    assert [re.sub(r".*projects/(\d).*page=", r"\1 ", one) for one in rig.api.targets] == [
        "7 1",
        "7 2",
        "8 1",
    ]
    assert rig.counted() == {("", "no_runner"): 101}
    rig.api.targets.clear()
    rig.look(*[page] * 1000)
    assert len(rig.api.targets) == 2 * MAX_JOBS / 100


def test_labels_are_bounded() -> None:
    """The fullest are told apart."""
    rig = Rig()
    rig.look([job(number, f"label-{min(number, MAX_ROWS + 50)}") for number in range(MAX_ROWS + 60)])
    found = rig.counted()
    assert len(found) == MAX_ROWS + 1
    assert sum(found.values()) == MAX_ROWS + 60
    assert found[f"label-{MAX_ROWS + 50}", "no_runner"] == 10


def test_it_looks_again_and_again() -> None:
    """For ever."""
    rig = Rig()

    async def work() -> None:
        rig.queue._interval_seconds = 0.001
        watching = asyncio.create_task(rig.queue.watch())
        while len(rig.api.targets) < 3:
            await asyncio.sleep(0.001)
        watching.cancel()

    asyncio.run(work())
