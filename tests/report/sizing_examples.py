"""Sizing advice as it happens: the examples of golden files and of the documentation."""

from __future__ import annotations

from msgspec.structs import replace

from jobmeter.model.sizing.advise import advise, answer
from jobmeter.model.sizing.answer import Advice
from jobmeter.model.sizing.observation import Observation
from jobmeter.model.sizing.parameters import Parameters
from tests.model.sizing.histories import GIB, MIB, Truth, observed, spiky, steady


def pod() -> list[Observation]:
    """A build with a database beside it: cache-heavy, one spike, one failure, one kill of the database's."""
    truths = spiky(24, 800 * MIB, every=19, times=1.5)
    for truth in truths:
        truth.cache_bytes = 9 * GIB
    builds = observed(truths, memory_limit=4 * GIB, cpu_limit=4.0)
    bases = observed(steady(24, 300 * MIB, cores=0.2, seed=3), memory_limit=512 * MIB, name="postgres")
    killed = observed([Truth(need_bytes=GIB, cores=0.2)], memory_limit=512 * MIB, name="postgres", first=11)
    bases[11] = replace(killed[0], outcome="killed")
    runs = [
        replace(build, containers=build.containers + base.containers, outcome=base.outcome)
        for build, base in zip(builds, bases, strict=True)
    ]
    runs[7] = replace(runs[7], outcome="failed", duration_seconds=80.0)
    return runs


def confident() -> Advice:
    """A build that always needs the same and requests five times that, throttled a little."""
    truths = steady(30, 800 * MIB, cores=2.3)
    for truth in truths:
        truth.cache_bytes = 9 * GIB
    return answer(observed(truths, memory_limit=4 * GIB, cpu_limit=2.0))


def mixed() -> Advice:
    """Two containers, of which one was killed and its need is not known."""
    return answer(pod(), Parameters(cpu_percentile="p99", buffer_percent=25.0))


def learning() -> Advice:
    """One run."""
    return answer(observed(steady(1, GIB)))


def unknown() -> Advice:
    """No run at all."""
    return advise([])


def matrix() -> Advice:
    """Two legs."""
    legs = [
        Truth(need_bytes=size, matrix={"os": system})
        for _ in range(6)
        for system, size in (("linux", 300 * MIB), ("windows", 2 * GIB))
    ]
    return answer(observed(legs))


SIZINGS = {each.__name__: each for each in (confident, mixed, learning, unknown, matrix)}
