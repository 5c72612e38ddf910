"""Which runners could take a job."""

from __future__ import annotations

import pytest

from jobmeter.gateway.figures.events import Declared
from jobmeter.gateway.figures.runners import Runners
from jobmeter.gateway.queue import Supply
from jobmeter.gateway.supply import supply_of
from tests.gateway.figures.told import LAB, LARGE, SMALL
from tests.gateway.fronts import Front, State

LABELS = frozenset(("docker", "arm64"))


@pytest.mark.parametrize(
    "state, held, expected",
    [
        (State(LARGE.key), False, Supply(LABELS, True, False)),
        (State(LARGE.key, capacity=2, tasks=("1",)), False, Supply(LABELS, True, False)),
        (State(LARGE.key, capacity=1, tasks=("1",)), False, Supply(LABELS, False, False)),
        (State(LARGE.key, draining=True), False, Supply(LABELS, True, True)),
        (State(LARGE.key), True, Supply(LABELS, True, True)),
        (State(LAB.key), False, Supply(None, True, False)),
        (State(SMALL.key), False, Supply(None, True, False)),
    ],
)
def test_a_runner(state: State, held: bool, expected: Supply) -> None:
    """By what it declared, the slots that it has, and whether anything is fetched for it."""
    runners = Runners()
    runners.tell(LARGE, Declared("large-1", "v1", ("docker", "arm64")), "forge")
    runners.tell(LARGE, Declared("large-1", "v1", ("of-another-forge",)), "other")
    runners.tell(LAB, Declared(None), "forge")
    assert list(supply_of("forge", Front(state), runners, held=held)) == [expected]
