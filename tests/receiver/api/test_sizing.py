"""What a job should request, asked of a running receiver."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from jobmeter.model.exits import Exit
from jobmeter.model.sizing.advise import answer
from jobmeter.model.sizing.answer import Advice
from jobmeter.model.sizing.observation import observe
from jobmeter.model.sizing.parameters import Parameters
from jobmeter.model.sizing.sketch import RELATIVE_ERROR
from jobmeter.model.statistics import Statistic
from jobmeter.model.summarize import rfc3339_of
from jobmeter.model.summary import Summary
from jobmeter.model.uid import uuid7
from tests.model.budgets.runs import MIB, box, run_of
from tests.receiver.api.running import RunningReceiver
from tests.receiver.api.test_runs import plain, records_of, uid

CORES = Statistic(peak=2.0, p99=1.9, p95=1.5, p75=1.2, p50=1.0, avg=0.9)


def build(number: int, organization: str, need: int = 300 * MIB, **fields: Any) -> Summary:
    """A run of a job that is another one in each organization."""
    container = box(memory_working_set_peak_bytes=need, cpu_cores=CORES, memory_limit_bytes=2048 * MIB)
    summary = run_of(
        container,
        run_uid=uuid7(1_760_000_000_000 + number, organization.encode().ljust(11)[:11]),
        end_time=f"2026-11-21T12:{number // 60:02}:{number % 60:02}.000Z",
    )
    job = replace(summary.job, organization=organization, repository=f"{organization}/engine")
    summary.job = replace(
        job, **{name: fields.pop(name) for name in ("repository", "matrix") if name in fields}
    )
    for name, value in fields.items():
        setattr(summary, name, value)
    return summary


def ask(receiver: RunningReceiver, organization: str, query: str = "", repository: str = "engine") -> Advice:
    found = receiver.get(f"/api/v1/sizing/repo/{organization}/{repository}/ci.yaml/build{query}")
    assert found.status_code == 200, found.text
    return msgspec.json.decode(found.content, type=Advice)


def expected(runs: list[Summary], parameters: Parameters | None = None) -> Advice:
    advice = answer([observe(run) for run in runs], parameters or Parameters())
    return msgspec.json.decode(msgspec.json.encode(advice), type=Advice)


def test_the_advice_is_that_of_the_stored_runs(receiver: RunningReceiver) -> None:
    """Of this job alone, backtest and evidence included."""
    runs = [build(number, "stored", (300 + number) * MIB) for number in range(6)]
    for run in [*runs, build(7, "neighbour", 9000 * MIB)]:
        receiver.push(run)

    found = ask(receiver, "stored")

    assert found == expected(runs)
    assert found.meta.confidence_phase == "confident"
    assert found.backtest is not None
    assert found.backtest.runs == 5


@pytest.mark.parametrize(
    "query, parameters",
    [
        ("?runs=2", Parameters(runs=2)),
        ("?buffer=0", Parameters(buffer_percent=0)),
        ("?buffer=12.5", Parameters(buffer_percent=12.5)),
        ("?cpu_percentile=p50", Parameters(cpu_percentile="p50")),
        (
            "?runs=3&buffer=4e2&cpu_percentile=peak",
            Parameters(runs=3, buffer_percent=400, cpu_percentile="peak"),
        ),
    ],
)
def test_the_parameters_are_those_of_the_advice(
    receiver: RunningReceiver, query: str, parameters: Parameters
) -> None:
    """Each does what it does without a receiver."""
    runs = [build(number, "asked", (400 - 9 * number) * MIB) for number in range(5)]
    for run in runs:
        receiver.push(run)

    found = ask(receiver, "asked", query)

    assert found == expected(runs, parameters)
    assert found != expected(runs)


@pytest.mark.parametrize(
    "query, sentence",
    [
        ("runs=0", "runs is '0'; accepted is a whole number from 1 to 100."),
        ("runs=101", "runs is '101'; accepted is a whole number from 1 to 100."),
        ("runs=many", "runs is 'many'; accepted is a whole number from 1 to 100."),
        ("buffer=-1", "buffer is '-1'; accepted are percentages from 0 to 400."),
        ("buffer=401", "buffer is '401'; accepted are percentages from 0 to 400."),
        ("buffer=1e999", "buffer is '1e999'; accepted are percentages from 0 to 400."),
        ("buffer=nan", "buffer is 'nan'; accepted are percentages from 0 to 400."),
        ("buffer=1_0", "buffer is '1_0'; accepted are percentages from 0 to 400."),
        (
            "cpu_percentile=p42",
            "cpu_percentile is 'p42'; accepted are peak, p99, p95, p75, p50, avg.",
        ),
        (
            "percentile=p95",
            "The parameter 'percentile' is not known; accepted are runs, buffer, cpu_percentile, days.",
        ),
        ("days=0", "days is '0'; accepted is a whole number from 1 to 731."),
        ("days=732", "days is '732'; accepted is a whole number from 1 to 731."),
        ("runs=1&runs=2", "The parameter runs is given more than once."),
    ],
)
def test_what_is_not_accepted_is_a_problem(receiver: RunningReceiver, query: str, sentence: str) -> None:
    """One sentence with the parameter, its value, and what is accepted."""
    found = receiver.get(f"/api/v1/sizing/repo/acme/engine/ci.yaml/build?{query}")

    assert (found.status_code, found.json()["detail"]) == (400, sentence)


def test_all_runs_of_some_days(receiver: RunningReceiver) -> None:
    """A heavy one too that the window of runs has forgotten; of a day that is not asked for nothing is told."""
    day = 86_400_000
    now = int(time.time() * 1000) // day * day + 1  # Today, whenever that is.
    ages = [400, 300, *[2] * 20, *[0] * 25]
    needs = [2000, 900, *[310] * 20, *[300] * 25]
    runs = [
        build(number, "period", need * MIB, start_time=rfc3339_of((now - age * day) / 1000))
        for number, (age, need) in enumerate(zip(ages, needs, strict=True))
    ]
    for run in runs:
        receiver.push(run)

    year, week, today = (ask(receiver, "period", f"?days={days}") for days in (366, 7, 1))
    window = ask(receiver, "period")

    needed = [found.evidence[0].memory_need_bytes for found in (year, week, today, window)]
    assert needed == [900 * MIB, 310 * MIB, 300 * MIB, 300 * MIB]
    assert [found.meta.runs_analyzed for found in (year, week, today)] == [46, 45, 25]
    assert year.containers == expected(runs[1:], Parameters(runs=100)).containers
    assert year.evidence[0].memory_need_median_bytes == pytest.approx(300 * MIB, rel=RELATIVE_ERROR)
    assert "All runs of 3 days from" in year.meta.reason
    assert year.backtest is None
    assert ask(receiver, "period", "?days=366&buffer=0") != year


@pytest.mark.parametrize("path", ["nonesuch/engine", "a%00b/engine", "nonesuch/%F0%9F%90%8D"])
def test_of_a_job_without_a_run_nothing_is_known(receiver: RunningReceiver, path: str) -> None:
    """That is an answer: who asks before the first run starts with the default."""
    found = receiver.get(f"/api/v1/sizing/repo/{path}/ci.yaml/build")

    assert found.status_code == 200
    assert found.json() == plain(answer([], Parameters()))
    assert found.json()["meta"]["confidence_phase"] == "unknown"


@pytest.mark.parametrize("query", ["", "?days=7"])
def test_of_a_job_that_is_not_known_others_of_the_repository_are_named(
    receiver: RunningReceiver, query: str
) -> None:
    """The most similar first: a name may have been mistyped."""
    names = ("build", "built/all", "deploy", "release")
    for number, name in enumerate(names):
        run = build(number, "near")
        receiver.push(replace(run, job=replace(run.job, job=name)))

    def reason(job: str, repository: str = "engine") -> str:
        found = receiver.get(f"/api/v1/sizing/repo/near/{repository}/ci.yaml/{job}{query}")
        return str(found.json()["meta"]["reason"])

    default = "No run was observed; the default is 4 GiB and 0.50 cores."
    assert reason("bild") == (
        f"{default} Known jobs of near/engine: ci.yaml/build, ci.yaml/built%2Fall, ci.yaml/deploy and 1 more."
    )
    assert "near/engine: ci.yaml/release, " in reason("releases")
    assert reason("build", "other") == default


def test_both_forms_of_a_repository_are_one(receiver: RunningReceiver) -> None:
    """The full path and the name alone, asked for and stored."""
    runs = [
        build(number, "forms", repository="engine" if number % 2 else "forms/engine") for number in range(4)
    ]
    for run in runs:
        receiver.push(run)

    assert ask(receiver, "forms") == expected(runs)
    assert ask(receiver, "forms", repository="forms%2Fengine") == expected(runs)


def test_each_leg_has_its_last_runs(receiver: RunningReceiver) -> None:
    """The many runs of one leg do not push those of another out."""
    rare = [build(number, "legs", 900 * MIB, matrix={"os": "windows"}) for number in range(3)]
    often = [build(number, "legs", matrix={"os": "linux"}) for number in range(3, 30)]
    for run in rare + often:
        receiver.push(run)

    found = ask(receiver, "legs", "?runs=3")

    assert found.meta.runs_analyzed == 6
    assert found.evidence[0].memory_need_bytes == 900 * MIB


def test_a_killed_run_is_known_as_one(receiver: RunningReceiver) -> None:
    """What was not enough is doubled."""
    killed = build(9, "killed", exit=Exit(reason="oom", code=137))
    runs = [build(number, "killed") for number in range(3)] + [killed]
    for run in runs:
        receiver.push(run)

    found = ask(receiver, "killed")

    assert found == expected(runs)
    assert (found.containers[0].memory.request_bytes or 0) >= 2 * 2048 * MIB


def test_what_is_no_summary_and_what_goes_on_is_left_out(receiver: RunningReceiver) -> None:
    """A receiver takes whatever it is sent; a run without an end shows no need."""
    runs = [build(number, "odd") for number in range(3)]
    for run in runs:
        receiver.push(run)
    names = {"organization": "odd", "repository": "odd/engine", "workflow": "ci.yaml", "job": "build"}
    for odd in ({"containers": "none"}, {"duration_seconds": 1e300, "containers": [{"name": "x"}]}):
        receiver.push(odd, **names)

    assert ask(receiver, "odd") == expected(runs)


def test_a_summary_of_another_collector_counts(receiver: RunningReceiver) -> None:
    """The older form names neither run nor schema, and its memory is a sum of RSS."""
    summary = {
        "start_time": "2026-02-06T14:00:00Z",
        "end_time": "2026-02-06T14:10:00Z",
        "duration_seconds": 600,
        "containers": [{"name": "runner", "memory_bytes": {"peak": 900 * MIB}, "cpu_cores": {"p95": 1.5}}],
    }
    receiver.push(summary, organization="older", repository="engine", workflow="ci.yaml", job="build")

    found = ask(receiver, "older")

    assert (found.containers[0].name, found.meta.confidence_phase) == ("runner", "learning")
    assert found.containers[0].memory.request_bytes == 2752 * MIB  # Three times that, in steps of 64 MiB.


def test_a_run_that_is_streamed_counts_at_its_end(receiver: RunningReceiver) -> None:
    """As long as it goes on, what it needs is not known."""
    records = records_of(701)
    start = records[0]
    job = replace(start.job, organization="streamed")  # type: ignore[union-attr]
    records[0] = replace(start, job=job)
    path = "/".join(str(part).replace("/", "%2F") for part in (job.repository, job.workflow, job.job))

    def analyzed() -> int:
        found = receiver.get(f"/api/v1/sizing/repo/streamed/{path}")
        assert found.status_code == 200, found.text
        return int(found.json()["meta"]["runs_analyzed"])

    receiver.stream(records[:-1])
    assert analyzed() == 0
    receiver.stream(records)
    assert receiver.get(f"/api/v1/runs/{uid(701)}").json()["state"] == "finished"
    assert analyzed() == 1
