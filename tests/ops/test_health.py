"""Whether a daemon lives, whether it can do its work, and in which phase it is."""

from __future__ import annotations

import asyncio

from jobmeter.ops.health import Health, healthy, readiness
from tests.ops.asgi import ask

FULL = "the disk is full"


class Daemon:
    """Its trouble and its clock are set by a test."""

    def __init__(self, grace_seconds: float = 0.0) -> None:
        self.trouble: str | None = None
        self.now = 100.0
        self.health = Health(self._probe, grace_seconds, lambda: self.now)
        self._handlers = {route.path: route.handler for route in self.health.routes("Whether it works")}

    async def _probe(self) -> str | None:
        return self.trouble

    def ready(self, trouble: str | None, after_seconds: float = 0.0) -> str | None:
        """What it is told that asks some time later, when this is the trouble."""
        self.trouble, self.now = trouble, self.now + after_seconds
        answer = ask(self._handlers["/readyz"])
        assert (answer.status, answer.text) in ((200, "ok\n"), (503, answer.text))
        return None if answer.status == 200 else answer.text.removesuffix("\n")

    def phase(self) -> str:
        return ask(self._handlers["/debug/process/state"]).text


def test_a_process_that_answers_is_healthy() -> None:
    """Whatever else may be wrong: who asks would restart it."""
    answer = ask(healthy)
    assert (answer.status, answer.text) == (200, "ok\n")


def test_what_keeps_it_from_its_work_is_one_sentence() -> None:
    """503 while the probe finds something, and 200 again when it does not; it is asked each time."""
    troubles = iter([None, FULL, None])

    async def probe() -> str | None:
        return next(troubles)

    ready = readiness(probe)
    found = [ask(ready) for _ in range(3)]
    assert [(one.status, one.text) for one in found] == [
        (200, "ok\n"), (503, "the disk is full\n"), (200, "ok\n"),
    ]  # fmt: skip
    assert {one.headers["content-type"] for one in found} == {"text/plain; charset=utf-8"}


def test_a_daemon_is_not_ready_before_its_first_work_is_done() -> None:
    """Its grace is for later."""
    daemon = Daemon(grace_seconds=60)
    assert daemon.ready("nothing is read yet") == "nothing is read yet"
    assert daemon.ready("nothing is read yet", 100) == "nothing is read yet"
    assert daemon.ready(None) is None


def test_a_short_trouble_is_passed_over() -> None:
    """One that lasts is not; after it the grace is whole again."""
    daemon = Daemon(grace_seconds=10)
    assert daemon.ready(None) is None
    for _ in range(2):
        assert daemon.ready(FULL, 50) is None
        assert daemon.ready(FULL, 9) is None
        assert daemon.ready(None, 9) is None
        assert daemon.ready(FULL, 9) is None
        assert daemon.ready(FULL, 10) == FULL
        assert daemon.ready(FULL, 1) == FULL
        assert daemon.ready(None) is None


def test_without_a_grace_a_trouble_counts_at_once() -> None:
    """As it does when none is asked for."""
    daemon = Daemon()
    assert [daemon.ready(one) for one in (None, FULL, None)] == [None, FULL, None]


def test_a_daemon_goes_through_its_phases() -> None:
    """It runs once its first work is done, also when nobody has asked whether it is ready, and until it stops."""
    daemon = Daemon()
    daemon.trouble = "nothing is read yet"
    assert daemon.phase() == "starting\n"
    daemon.trouble = None
    assert daemon.phase() == "running\n"
    daemon.trouble = FULL
    assert daemon.phase() == "running\n"
    daemon.health.stopping()
    assert daemon.phase() == "graceful-shutdown\n"
    assert daemon.ready(None) == "the daemon stops"


def test_a_daemon_that_is_stopped_while_it_starts_does_not_run_any_more() -> None:
    """Although its first work is done then."""

    async def probe() -> str | None:
        health.stopping()
        return None

    health = Health(probe)
    asyncio.run(health.trouble())
    assert asyncio.run(health.trouble()) == "the daemon stops"


def test_only_who_may_see_the_inside_is_told_the_phase() -> None:
    """Probes are for everyone."""
    found = {route.path: route.access for route in Daemon().health.routes("")}
    assert found == {"/healthz": "open", "/readyz": "open", "/debug/process/state": "debug"}
