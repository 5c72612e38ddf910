"""Whatever containers of another machine do, and however it is told: what they use is credited once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from jobmeter.exporter.container import Identity, Row
from jobmeter.model.job import Job
from tests.exporter.test_elsewhere import NOW, OLD, Machine, row

AROUND: dict[str, str | None] = {"a": None, "b": "a", "c": "b", "d": "a", "e": None}
IDS = sorted(AROUND)
DOES = ("uses", "uses", "uses", "starts anew", "alone starts anew", "falls", "wobbles", "ends")
ONE = st.sampled_from(IDS)


class Step(NamedTuple):
    """What happens, and how it is told: who is not read, who is left out, in which order."""

    does: list[tuple[str, str, int]]
    unread: set[str]
    left_out: set[str]
    order: list[str]
    ticks: bool


STEPS = st.lists(
    st.builds(
        Step,
        st.lists(st.tuples(st.sampled_from(DOES), ONE, st.integers(1, 20)), max_size=4),
        st.sets(ONE, max_size=2),
        st.sets(ONE, max_size=2),
        st.permutations(IDS),
        st.booleans(),
    ),
    max_size=12,
)


TOLD = Step([], set(), set(), IDS, True)
"""All as they are."""


class Life:
    """One container as it is: its counter, and what of it was told last; ``fell`` if that was of before a fall."""

    def __init__(self, started: float, counter: int = 0) -> None:
        self.started = started
        self.counter = self.told = counter
        self.was_told = self.fell = self.wobbles = self.was_away = self.was_missed = False
        self.unread = 0

    @property
    def untold(self) -> int:
        return self.counter if self.fell else self.counter - self.told


class World:
    """All that is ``used``; ``lost`` is what of it no telling can show, at most.

    ``early`` is what was told of those around before it was told of who used it, at most: what they use next makes up
    for it.
    """

    def __init__(self, *, starts_are_told: bool) -> None:
        self.machine = Machine()
        self.starts_are_told = starts_are_told
        self.used = self.lost = self.early = 0
        self.lives = {one: Life(OLD, 50) for one in IDS}
        self.live(TOLD)

    def live(self, step: Step) -> None:
        for does, one, amount in step.does:
            self.happens(does, one, amount)
        for one, life in self.lives.items():
            life.unread = life.unread + 1 if one in step.unread else 0
            life.was_missed |= one in step.left_out | step.unread
            life.was_away |= one in step.left_out - step.unread or life.unread > 5
        rows = [
            self.row(one)
            for one in step.order
            if one not in step.unread | step.left_out and one in self.lives
        ]
        for life in self.lives.values():
            life.wobbles = False
        still = step.unread & self.lives.keys()
        self.machine.tells(*rows, still=still)
        if step.ticks:
            self.machine.ticks()

    def happens(self, does: str, one: str, amount: int) -> None:
        life = self.lives.get(one)
        if does == "ends":
            self.stop([each for each in within(one) if each in self.lives])
        elif does == "uses" and life is not None:
            self.used += amount
            for each in around(one):
                self.lives[each].counter += amount
        elif does == "wobbles" and life is not None:
            life.wobbles = life.was_told and not life.fell
        elif does == "falls" and life is not None:
            self.lost += life.untold
            life.counter, life.fell = 0, True
        elif all(each in self.lives for each in around(one) if each != one):
            self.start_anew([one] if does == "alone starts anew" and life is not None else within(one))

    def start_anew(self, which: list[str]) -> None:
        self.stop([one for one in which if one in self.lives])
        for one in which:
            self.lives[one] = Life(NOW + self.machine.passed - 1000.0 + 5.0)
            self.lives[one].fell = not self.starts_are_told

    def stop(self, which: list[str]) -> None:
        for one in which:
            self.lost += self.lives.pop(one).untold

    def row(self, one: str) -> Row:
        life = self.lives[one]
        if life.fell:
            self.lost += 2 * life.counter
        if (life.was_away or life.wobbles) and AROUND[one] is not None:
            self.early += life.untold
        if life.was_missed and not life.was_told:
            self.early += life.counter  # What lies in it was told of before, and may be over by now.
        life.was_away = life.was_missed = False
        tells = life.counter - life.counter // 4 if life.wobbles else life.counter
        life.told = tells if life.fell else max(life.told, tells)
        life.was_told, life.fell = True, False
        started = life.started if self.starts_are_told else None
        identity = Identity(job=Job(repository=f"acme/{one}"))
        return row(one, float(tells), started=started, parent=AROUND[one], identity=identity)


def around(one: str | None) -> Iterator[str]:
    while one is not None:
        yield one
        one = AROUND[one]


def within(one: str) -> list[str]:
    return [each for each in IDS if one in around(each)]


@given(steps=STEPS, starts_are_told=st.booleans())
def test_what_is_used_is_credited_once(steps: list[Step], starts_are_told: bool) -> None:
    """Never more than it was; all of it but what fell before it was told."""
    world = World(starts_are_told=starts_are_told)
    for step in (*steps, TOLD):
        world.live(step)
    world.machine.ticks(after=3.0)
    credited = sum(sums.cpu_seconds for sums in world.machine.sums().values())
    assert world.used - world.lost <= credited <= world.used + world.early
