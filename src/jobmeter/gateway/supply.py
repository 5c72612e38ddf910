"""Which runners of a forge could take a job now."""

from collections.abc import Iterator

from jobmeter.gateway.figures.runners import Runners
from jobmeter.gateway.port import Front
from jobmeter.gateway.queue import Supply


def supply_of(forge: str, front: Front, runners: Runners, *, held: bool) -> Iterator[Supply]:
    """Of each that is known at this forge; ``held``: nothing is fetched for anybody.

    Labels are those that a runner declares. GitLab's declare none, so they are not known.
    """
    declared = {one.key: one.declared for one in runners.shown().values() if one.forge == forge}
    for runner in front.standing():
        said = declared.get(runner.key)
        yield Supply(
            labels=frozenset(said.labels) if said is not None and said.labels else None,
            free=runner.capacity is None or len(runner.tasks) < runner.capacity,
            held=held or runner.draining,
        )
