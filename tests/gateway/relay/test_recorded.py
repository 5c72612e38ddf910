"""The recorded traffic of real runners through the relay: what arrives, and what its figures say."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import NamedTuple

import pytest

from jobmeter.gateway.figures.events import (
    Declared,
    Fetched,
    LogReported,
    StateReported,
    TaskBegan,
    TaskEnded,
)
from jobmeter.gateway.forges import actions, gitlab, messages
from jobmeter.gateway.relay.options import ForgeOptions, Kind
from jobmeter.gateway.relay.relay import Relay
from tests.gateway.relay.rig import Messages, Told, until
from tests.support.captures import Exchange, Scenario, scenarios
from tests.support.forges.recorded import RecordedForge, end_to_end
from tests.support.forges.serving import Got, request, serving, wire

NOT_REPLAYABLE = {
    "chatty-100k-lines": "a body of which only the beginning was recorded",
    "fault-drop-mid-updatelog": "requests that never fully arrived",
    "fault-drop-mid-trace": "requests that never fully arrived",
    "fault-stall-8s-fetchtask": "no answer was recorded",
    "sigquit-mid-job": "no answer was recorded",
    "fault-502-at-job-end-75s": "reports that the relay holds while the forge is away",
    "fault-502-at-job-end-60s": "reports that the relay holds while the forge is away",
    "fault-drop-after-fetchtask-with-task": "an answer that the runner must not get",
    "fault-drop-after-updatelog": "answers that the runner must not get",
    "fault-drop-after-trace": "answers that the runner must not get",
}
"""What is lost on the way is shown with the faults."""
_UNANSWERED = frozenset({"act_runner/sigkill-mid-job", "gitlab-runner/sigkill-mid-job"})


class Tale(NamedTuple):
    """What the figures of one scenario say: tasks that began, and how they ended, in order."""

    began: int = 0
    ended: tuple[str, ...] = ()


NOTHING, ONE = Tale(), Tale(1, ("success",))
FAILED, CANCELLED = Tale(1, ("failure",)), Tale(1, ("cancelled",))
TWO = Tale(2, ("success", "success"))
TALES = {
    "act_runner/daemon-once": ONE,
    "act_runner/daemon-once-failing-job": FAILED,
    "act_runner/daemon-once-two-waiting": TWO,
    "act_runner/declare-idle-120s": NOTHING,
    "act_runner/ephemeral-daemon": ONE,
    "act_runner/ephemeral-daemon-again": NOTHING,
    "act_runner/fault-502-fetchtask-10s": NOTHING,
    "act_runner/fault-502-updates-8s": ONE,
    "act_runner/handover-once": ONE,
    "act_runner/https-insecure": ONE,
    "act_runner/https-own-ca-h2": ONE,
    "act_runner/job-cancelled": CANCELLED,
    "act_runner/job-failure": FAILED,
    "act_runner/job-forks": ONE,
    "act_runner/job-success": ONE,
    "act_runner/path-prefix-404": NOTHING,
    "act_runner/register": NOTHING,
    "act_runner/register-ephemeral": NOTHING,
    "act_runner/sigterm-mid-job": ONE,
    "forgejo-runner/declare-idle-65s": NOTHING,
    "forgejo-runner/fault-502-updates-8s": ONE,
    "forgejo-runner/handover-one-job": ONE,
    "forgejo-runner/job-cancelled": CANCELLED,
    "forgejo-runner/job-failure": FAILED,
    "forgejo-runner/job-forks": ONE,
    "forgejo-runner/job-success": ONE,
    "forgejo-runner/one-job": ONE,
    "forgejo-runner/one-job-cancelled": CANCELLED,
    "forgejo-runner/one-job-failing": FAILED,
    "forgejo-runner/one-job-no-job": NOTHING,
    "forgejo-runner/one-job-sigterm": FAILED,
    "forgejo-runner/register": NOTHING,
    "forgejo-runner/sigkill-mid-job": Tale(1),
    "forgejo-runner/sigterm-mid-job": FAILED,
    "gitlab-runner/fault-502-final-put-x3": ONE,
    "gitlab-runner/fault-502-trace-x4": ONE,
    "gitlab-runner/job-artifact": ONE,
    "gitlab-runner/job-cancelled-canceled": CANCELLED,
    "gitlab-runner/job-cancelled-canceling": FAILED,
    "gitlab-runner/job-failure": FAILED,
    "gitlab-runner/job-forks": ONE,
    "gitlab-runner/job-success": ONE,
    "gitlab-runner/run-idle-75s": NOTHING,
    "gitlab-runner/run-single-failing-job": FAILED,
    "gitlab-runner/run-single-job": ONE,
    "gitlab-runner/run-single-no-job": NOTHING,
    "gitlab-runner/run-single-no-job-longpoll-50": NOTHING,
    "gitlab-runner/run-single-sigterm": FAILED,
    "gitlab-runner/run-single-two-waiting": TWO,
    "gitlab-runner/sigterm-mid-job": FAILED,
    "gitlab-runner/verify": NOTHING,
}


_REFUSED = {"act_runner/ephemeral-daemon-again"}
"""Its registration was good for one job."""


def name_of(scenario: Scenario) -> str:
    return f"{scenario.runner}/{scenario.name}"


REPLAYED = [one for one in scenarios() if name_of(one) in TALES]


def test_all_recordings_are_named():
    """Each is replayed, or there is a reason why it is not."""
    for scenario in scenarios():
        replayed = name_of(scenario) in TALES
        assert replayed != (scenario.name in NOT_REPLAYABLE or name_of(scenario) in _UNANSWERED)


async def replay(scenario: Scenario) -> tuple[list[Exchange], RecordedForge, list[Got], Told, Messages]:
    """Each request once the one before is answered, in the order in which they began."""
    exchanges = sorted(
        (one for one in scenario.exchanges() if one.response is not None), key=lambda one: one.t
    )
    forge, told, log, got = RecordedForge(exchanges), Told(), Messages(), []
    await forge.listen()
    kind: Kind = "gitlab" if scenario.runner == "gitlab-runner" else "gitea"
    steady = 0.0005
    options = ForgeOptions(
        name="forge", kind=kind, url=forge.url, fetch_interval=steady, fetch_interval_max=steady
    )
    relay = Relay(options, log, told)
    async with relay.life(), serving(relay.application) as port, wire(port) as runner:
        for exchange in exchanges:
            await until(lambda: all(poller.standing == "ready" for poller in relay.pollers))
            asked = exchange.request
            said = said_headers(exchange, exchanges)
            await runner.send(request(asked.method, asked.path, *said, body=asked.body))
            got.append(await runner.answer())
    await forge.go_away()
    return exchanges, forge, got, told, log


def said_headers(exchange: Exchange, exchanges: list[Exchange]) -> list[tuple[str, str]]:
    """A request's headers; the token of a job that is hidden there is the one that came with the job."""
    tokens = {
        str(one.response.json["id"]): one.response.json["token"]
        for one in exchanges
        if one.response is not None and one.response.status == 201 and one.request.path.endswith("/request")
    }
    job = exchange.request.path.partition("/jobs/")[2].partition("/")[0]
    return [
        (name, tokens[job] if value == "<job-token>" else value)
        for name, value in end_to_end(exchange.request)
    ]


@pytest.mark.parametrize("scenario", REPLAYED, ids=name_of)
def test_a_recording_passes_and_is_counted(scenario):
    """Bodies are the same on both sides, byte for byte, and each figure is that of the recording."""
    exchanges, forge, got, told, log = asyncio.run(replay(scenario))
    assert len(forge.seen) == len(got) == len(exchanges)
    version = 0
    for exchange, seen, answer in zip(exchanges, forge.seen, got, strict=True):
        asked, answered = exchange.request, exchange.response
        assert answered is not None
        assert (seen.method, seen.target) == (asked.method, asked.path)
        version = assert_request(exchange, seen.body, version)
        kept = [(name.lower(), value) for name, value in said_headers(exchange, exchanges)]
        passed = [
            (name, value)
            for name, value in seen.headers
            if name.lower() not in ("host", "content-length") and not name.startswith("x-forwarded-")
        ]
        assert passed == kept
        assert (answer.status, answer.body) == (answered.status, answered.body)
        assert [pair for pair in answer.headers if pair[0] != "content-length"] == [
            (name.lower(), value) for name, value in end_to_end(answered)
        ]
    assert_figures(scenario, exchanges, told)
    if "502" not in scenario.name:
        assert log.texts == ["the forge refuses a runner"] * (name_of(scenario) in _REFUSED)


def assert_request(exchange: Exchange, body: bytes, version: int) -> int:
    """Byte for byte; of a poll that a daemon had begun before the recording, all but the version that it knew."""
    asked, answered = exchange.request, exchange.response
    assert answered is not None
    if not asked.path.endswith("/FetchTask"):
        assert body == asked.body
        return version
    said = int(asked.json.get("tasksVersion", 0))
    if said in (0, version):
        assert body == asked.body
    else:
        assert version == 0
        assert messages.decode("runner.v1.FetchTaskRequest", "proto", body).tasks_version == 0
    if answered.status != 200:
        return version
    return 0 if "task" in answered.json else int(answered.json.get("tasksVersion", 0))


def assert_figures(scenario: Scenario, exchanges: list[Exchange], told: Told) -> None:
    """Against what the statuses and paths of the recording say."""
    counted: Counter[str] = Counter()
    accepted = False
    for exchange in exchanges:
        assert exchange.response is not None
        path, status = exchange.request.path.partition("?")[0], exchange.response.status
        ok = status in (200, 201, 202, 204)
        accepted = accepted or (ok and not path.endswith(("/Ping", "/Register", "/runners")))
        if path.endswith(("/FetchTask", "/jobs/request")) and accepted:
            tasks = status == 201 or "task" in (exchange.response.json or {})
            unknown = status in (403, 500)
            counted[
                "unauthenticated" if unknown else "error" if not ok else "task" if tasks else "empty"
            ] += 1
        elif path.endswith(("/UpdateLog", "/trace")):
            counted[f"log {ok}"] += 1
        elif path.endswith("/UpdateTask") or exchange.request.method == "PUT":
            counted[f"state {ok}"] += 1
    seen: Counter[str] = Counter(event.outcome for event in told.of(Fetched))
    seen.update(f"log {event.ok}" for event in told.of(LogReported))
    seen.update(f"state {event.ok}" for event in told.of(StateReported))
    assert seen == counted
    tale = TALES[name_of(scenario)]
    assert len(told.of(TaskBegan)) == tale.began
    assert tuple(event.result for event in told.of(TaskEnded)) == tale.ended
    assert len({key for key, _ in told.events}) == (1 if accepted else 0)
    assert bool(told.of(Declared)) == accepted


def test_reports_of_several_runners_are_told_apart():
    """Figures go to who shows the credentials, whichever names the recordings gave them."""
    assert actions.proof({"x-runner-uuid": "a", "x-runner-token": "b"}, b"") != actions.proof(
        {"x-runner-uuid": "a", "x-runner-token": "c"}, b""
    )
    one, other = b'{"token": "t", "system_id": "a"}', b'{"token": "t", "system_id": "b"}'
    assert gitlab.proof({}, one) != gitlab.proof({}, other)
