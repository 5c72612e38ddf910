"""When each series of Gitea's runner changes, and that it does not otherwise."""

from __future__ import annotations

from typing import NamedTuple, get_args

import pytest

from jobmeter.gateway.figures.dialects.act_runner import FAMILIES
from jobmeter.gateway.figures.events import (
    Declared,
    Draining,
    Event,
    Fetched,
    FetchOutcome,
    LogReported,
    Result,
    StageChanged,
    StateReported,
    StepChanged,
    TaskBegan,
    TaskClosing,
    TaskEnded,
    Waiting,
    WorkBegan,
)
from jobmeter.gateway.figures.runner import MAX_RUNNING, MAX_STEPS
from tests.gateway.figures.told import AT, JOB, LARGE, SMALL, Told, changes

DECLARED = Declared("large-1", "v0.6.1", ("ubuntu-latest",), 4)
BEGAN = TaskBegan("12", AT, JOB)


class Row(NamedTuple):
    """After what was told ``before``, this ``event`` makes these changes and no other."""

    event: Event
    changes: dict[str, float]
    before: tuple[Event, ...] = ()


ROWS = {
    "declare": Row(
        DECLARED, {'info{name="large-1",version="v0.6.1"}': 1, "capacity": 4, "job_capacity_utilization_ratio": 0},
    ),
    "declare, nothing is known": Row(Declared(None), {'info{name="",version=""}': 1}),
    "declare, a capacity that is none": Row(
        Declared("large-1", "v0.6.1", (), 0), {"capacity": 0}, (DECLARED, BEGAN, TaskEnded("12", "success", 1)),
    ),
    "fetch, a task": Row(
        Fetched("task", 0.25),
        {
            'poll_fetch_total{result="task"}': 1, "poll_fetch_duration_seconds_count": 1,
            "poll_fetch_duration_seconds_sum": 0.25,
        },
    ),
    "fetch, nothing": Row(
        Fetched("empty", 0.25),
        {
            'poll_fetch_total{result="empty"}': 2, "poll_fetch_duration_seconds_count": 1,
            "poll_fetch_duration_seconds_sum": 0.25,
        },
        (Fetched("empty", None),),
    ),
    "fetch, our own deadline": Row(Fetched("empty", None), {'poll_fetch_total{result="empty"}': 1}),
    "fetch, an error": Row(
        Fetched("error", 2),
        {
            'poll_fetch_total{result="error"}': 1, "poll_fetch_duration_seconds_count": 1,
            "poll_fetch_duration_seconds_sum": 2, 'client_errors_total{method="FetchTask"}': 1,
        },
    ),
    "fetch, not known to the forge": Row(
        Fetched("unauthenticated", 0.5),
        {"poll_fetch_duration_seconds_count": 1, "poll_fetch_duration_seconds_sum": 0.5},
    ),
    "back-off": Row(Waiting(4), {"poll_backoff_seconds": 4}, (Waiting(2),)),
    "back-off, the same": Row(Waiting(2), {}, (Waiting(2),)),
    "back-off stays after a task": Row(
        Fetched("task", None), {'poll_fetch_total{result="task"}': 1}, (Waiting(16),),
    ),
    "begin": Row(BEGAN, {"job_running": 1, "job_capacity_utilization_ratio": 0.25}, (DECLARED,)),
    "begin, capacity unknown": Row(BEGAN, {"job_running": 1}),
    "begin, delivered twice": Row(BEGAN, {}, (DECLARED, BEGAN)),
    "begin, one more than there may be": Row(
        TaskBegan("5", AT), {"job_running": 5, "job_capacity_utilization_ratio": 1.25},
        (DECLARED, *(TaskBegan(str(number), AT) for number in range(1, 5))),
    ),
    "begin, capacity one": Row(
        BEGAN, {"job_running": 1, "job_capacity_utilization_ratio": 1}, (Declared(None, capacity=1),),
    ),
    "begin, a capacity that is none": Row(BEGAN, {"job_running": 1}, (Declared(None, capacity=0),)),
    "begin, less than no capacity": Row(BEGAN, {"job_running": 1}, (Declared(None, capacity=-1),)),
    "first step": Row(WorkBegan("12", 3.5), {}, (BEGAN,)),
    "a step": Row(StepChanged("12", 0, "Checkout", 1.5), {}, (BEGAN,)),
    "a stage": Row(StageChanged("12", "get_sources", "running", "docker_run"), {}, (BEGAN,)),
    "drain": Row(Draining(True), {}, (DECLARED, BEGAN)),
    "last reports begin": Row(
        TaskClosing("12"), {"job_running": 0, "job_capacity_utilization_ratio": 0}, (DECLARED, BEGAN),
    ),
    "last reports begin again": Row(TaskClosing("12"), {}, (DECLARED, BEGAN, TaskClosing("12"))),
    "begin, its work was over before": Row(
        TaskBegan("12", AT, JOB, closing=True), {}, (DECLARED, TaskBegan("12", AT, JOB, closing=True)),
    ),
    "last reports of no task": Row(TaskClosing("13"), {}, (DECLARED, BEGAN)),
    "end, before any last report": Row(
        TaskEnded("12", "success", 65.5),
        {
            "job_running": 0, "job_capacity_utilization_ratio": 0, 'job_total{status="success"}': 1,
            "job_duration_seconds_count": 1, "job_duration_seconds_sum": 65.5,
        },
        (DECLARED, BEGAN),
    ),
    "end, after the last reports": Row(
        TaskEnded("12", "failure", 1),
        {'job_total{status="failure"}': 1, "job_duration_seconds_count": 1, "job_duration_seconds_sum": 1},
        (DECLARED, BEGAN, TaskClosing("12")),
    ),
    "end, told twice": Row(TaskEnded("12", "success", 2), {}, (DECLARED, BEGAN, TaskEnded("12", "success", 2))),
    "end, the begin was not seen": Row(TaskEnded("12", "unknown", None), {'job_total{status="unknown"}': 1}),
    "log rows taken": Row(
        LogReported(True, 0.5, 0, "12"),
        {'report_log_total{result="success"}': 1, "report_log_duration_seconds_count": 1,
         "report_log_duration_seconds_sum": 0.5},
        (BEGAN,),
    ),
    "log rows taken, some left": Row(
        LogReported(True, None, 7, "12"), {'report_log_total{result="success"}': 1, "report_log_buffer_rows": 7},
        (BEGAN,),
    ),
    "log rows not taken": Row(
        LogReported(False, 0.5, 7, "12"),
        {'report_log_total{result="error"}': 1, "report_log_duration_seconds_count": 1,
         "report_log_duration_seconds_sum": 0.5, 'client_errors_total{method="UpdateLog"}': 1},
        (BEGAN,),
    ),
    "rows of two tasks, the last writer wins": Row(
        LogReported(True, None, 2, "13"), {'report_log_total{result="success"}': 2, "report_log_buffer_rows": 2},
        (BEGAN, TaskBegan("13", AT), LogReported(True, None, 7, "12")),
    ),
    "rows of two tasks, as many as that one had before": Row(
        LogReported(True, None, 7, "12"), {'report_log_total{result="success"}': 3},
        (BEGAN, TaskBegan("13", AT), LogReported(True, None, 7, "12"), LogReported(True, None, 2, "13")),
    ),
    "rows of a task that is not known": Row(
        LogReported(True, None, 2), {'report_log_total{result="success"}': 1, "report_log_buffer_rows": 2},
    ),
    "state taken": Row(
        StateReported(True, 0.5),
        {'report_state_total{result="success"}': 1, "report_state_duration_seconds_count": 1,
         "report_state_duration_seconds_sum": 0.5},
    ),
    "state not taken": Row(
        StateReported(False, 0.5),
        {'report_state_total{result="error"}': 1, "report_state_duration_seconds_count": 1,
         "report_state_duration_seconds_sum": 0.5, 'client_errors_total{method="UpdateTask"}': 1},
    ),
}  # fmt: skip
FROM_THE_START = {
    "uptime_seconds": 0, "poll_backoff_seconds": 0, "job_running": 0, "report_log_buffer_rows": 0,
    "poll_fetch_duration_seconds_count": 0, "poll_fetch_duration_seconds_sum": 0, "job_duration_seconds_count": 0,
    "job_duration_seconds_sum": 0, "report_log_duration_seconds_count": 0, "report_log_duration_seconds_sum": 0,
    "report_state_duration_seconds_count": 0, "report_state_duration_seconds_sum": 0,
}  # fmt: skip
"""All without a label; the rest comes with its first event."""


def shown(told: Told) -> dict[str, float]:
    """What Gitea's runner shows, without its prefix."""
    return {line.removeprefix("act_runner_"): value for line, value in told.of().items()}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_exactly_that_changes(row: Row) -> None:
    """Every other series has the value that it had, and no other appears or goes."""
    told = Told().tell(Draining(False), *row.before)
    before = shown(told)
    assert changes(before, shown(told.tell(row.event))) == row.changes


def test_the_table_is_whole() -> None:
    """Each name changes in a row, but for the uptime; each event and each outcome is in one."""
    lines = {line.partition("{")[0] for row in ROWS.values() for line in row.changes}
    changed = {line.removesuffix("_count").removesuffix("_sum") for line in lines}
    assert {family.name for family in FAMILIES} - changed == {"uptime_seconds"}
    assert {type(row.event) for row in ROWS.values()} == set(get_args(Event))
    outcomes = {row.event.outcome for row in ROWS.values() if isinstance(row.event, Fetched)}
    assert outcomes == set(get_args(FetchOutcome))


def test_before_anything_happens() -> None:
    """What has no label is there at 0, what has one is not."""
    assert shown(Told().tell(Draining(False))) == FROM_THE_START


def test_the_uptime_is_that_of_the_runner() -> None:
    """Since it was first seen; nothing else changes with time."""
    told = Told().tell(DECLARED)
    before = shown(told)
    told.clock.now += 90.5
    assert changes(before, shown(told)) == {"uptime_seconds": 90.5}
    told.tell(DECLARED, of=SMALL)
    assert told.of("small-1")["act_runner_uptime_seconds"] == 0


@pytest.mark.parametrize("result", get_args(Result))
def test_each_way_to_end(result: Result) -> None:
    """It has a status of its own."""
    ended = shown(Told().tell(BEGAN, TaskEnded("12", result, 1.0)))
    assert {line: value for line, value in ended.items() if line.startswith("job_total")} == {
        f'job_total{{status="{result}"}}': 1
    }


def test_a_task_that_is_delivered_again() -> None:
    """It is counted once, and what is known of it by then is shown."""
    told = Told("act_runner", "jobmeter").tell(TaskBegan("12", None), TaskBegan("12", AT, JOB))
    infos = [line for line in told.of() if line.startswith("jobmeter_runner_job_info")]
    assert len(infos) == 1
    assert 'repo="acme/engine"' in infos[0]
    told.tell(TaskEnded("12", "success", 1), TaskBegan("12", AT, JOB), TaskEnded("12", "success", 1))
    assert told.of()['act_runner_job_total{status="success"}'] == 1


def test_a_task_that_goes_on_after_its_end() -> None:
    """It runs again, as the job that it was; its steps are counted once too."""
    told = Told("act_runner", "jobmeter").tell(
        BEGAN, StepChanged("12", 0, "0", 3), TaskEnded("12", "unknown", 9)
    )
    told.tell(TaskBegan("12", None), StepChanged("12", 0, "0", 3))
    series = told.of()
    assert series["act_runner_job_running"] == 1
    counts = [
        series[line] for line in series if line.startswith("jobmeter_runner_step_duration_seconds_count")
    ]
    assert counts == [1]
    assert any(line.startswith("jobmeter_runner_job_info") and "acme/engine" in line for line in series)
    assert told.tell(TaskEnded("12", "success", 9)).of()['act_runner_job_total{status="unknown"}'] == 1


@pytest.mark.parametrize("seconds", [-0.5, float("nan"), float("inf")])
def test_a_duration_that_is_none(seconds: float) -> None:
    """A clock was set: the job is counted, its duration is not; nor is that of a step."""
    steps = Told("jobmeter").tell(BEGAN, StepChanged("12", 0, "Checkout", seconds)).all()
    assert {value for line, value in steps.items() if line.startswith("jobmeter_runner_step")} == {0}
    ended = shown(Told().tell(BEGAN, TaskEnded("12", "success", seconds)))
    assert (ended['job_total{status="success"}'], ended["job_duration_seconds_count"]) == (1, 0)
    assert ended["job_duration_seconds_sum"] == 0


def test_runners_do_not_share_figures() -> None:
    """What happens to one does not happen to the other."""
    told = Told().tell(DECLARED).tell(DECLARED, of=SMALL)
    before = told.of("small-1")
    told.tell(BEGAN, Fetched("task", 1), TaskEnded("12", "success", 1), of=LARGE)
    assert changes(before, told.of("small-1")) == {}


def test_steps_are_counted_once() -> None:
    """Each report of a state tells of all steps again."""
    told = Told("jobmeter").tell(BEGAN)
    for seconds in (None, 1.5, 1.5, None):
        told.tell(StepChanged("12", 0, "Checkout", seconds))
    told.tell(StepChanged("12", 1, "Build", 20.0), StepChanged("99", 0, "Checkout", 1.0))
    assert told.of()['jobmeter_runner_step_duration_seconds_count{runner="large-1"}'] == 2
    assert told.of()['jobmeter_runner_step_duration_seconds_sum{runner="large-1"}'] == 21.5
    of_step = 'job="build",repo="acme/engine",step="Checkout",workflow="ci.yml"'
    assert told.all()[f"jobmeter_runner_steps_total{{{of_step}}}"] == 1
    assert told.all()[f"jobmeter_runner_step_seconds_total{{{of_step}}}"] == 1.5


def test_the_first_step_begins_once() -> None:
    """However often it is told, and of no task that there is not."""
    told = Told("jobmeter").tell(BEGAN, WorkBegan("12", 3.5), WorkBegan("12", 9.0), WorkBegan("13", 1.0))
    assert told.of()['jobmeter_runner_job_startup_seconds_count{runner="large-1"}'] == 1
    assert told.of()['jobmeter_runner_job_startup_seconds_sum{runner="large-1"}'] == 3.5


def test_a_runner_that_tells_of_endless_work() -> None:
    """Tasks and steps are bounded, whatever it says."""
    told = Told("jobmeter").tell(*(TaskBegan(str(number), AT) for number in range(MAX_RUNNING + 5)))
    infos = [line for line in told.of() if line.startswith("jobmeter_runner_job_info")]
    assert len(infos) == MAX_RUNNING
    assert 'task_id="4"' not in " ".join(infos)
    last = str(MAX_RUNNING)
    told.tell(
        *(TaskEnded(str(number), "success", None) for number in range(MAX_RUNNING + 5) if str(number) != last)
    )
    ended = told.of()['jobmeter_runner_jobs_total{runner="large-1",status="success"}']
    told.tell(TaskEnded(str(MAX_RUNNING + 4), "success", None))
    assert (
        told.of()['jobmeter_runner_jobs_total{runner="large-1",status="success"}'] == ended == MAX_RUNNING + 4
    )
    told.tell(*(StepChanged(last, number, "x", 1.0) for number in range(MAX_STEPS + 5)))
    assert told.of()['jobmeter_runner_step_duration_seconds_count{runner="large-1"}'] == MAX_STEPS
