"""Whether a daemon lives, and whether it can do its work."""

from __future__ import annotations

from jobmeter.ops.health import healthy, readiness
from tests.ops.asgi import ask


def test_a_process_that_answers_is_healthy() -> None:
    """Whatever else may be wrong: who asks would restart it."""
    answer = ask(healthy)
    assert (answer.status, answer.text) == (200, "ok\n")


def test_what_keeps_it_from_its_work_is_one_sentence() -> None:
    """503 while the probe finds something, and 200 again when it does not; it is asked each time."""
    troubles = iter([None, "the disk is full", None])

    async def probe() -> str | None:
        return next(troubles)

    ready = readiness(probe)
    found = [ask(ready) for _ in range(3)]
    assert [(one.status, one.text) for one in found] == [
        (200, "ok\n"), (503, "the disk is full\n"), (200, "ok\n"),
    ]  # fmt: skip
    assert {one.headers["content-type"] for one in found} == {"text/plain; charset=utf-8"}
