"""The literal names of each dialect, and what they show."""

from __future__ import annotations

import re
from typing import Any

import pytest

from jobmeter.exporter.dialects.jobmeter import JOB_INFO_LABELS
from jobmeter.gateway.figures.dialects.jobmeter import JOB_LABELS
from jobmeter.gateway.figures.events import (
    Declared,
    Draining,
    Result,
    StageChanged,
    TaskBegan,
    TaskClosing,
    TaskEnded,
)
from jobmeter.gateway.figures.words import EXECUTOR_STAGES, STAGES, STATES
from jobmeter.gateway.forges import trace
from scripts.dashboards.ephemerd import NEEDS_GATEWAY, page
from tests.gateway.figures.told import AT, JOB, LAB, LARGE, SMALL, Someone, Told, a_working_day

ACT_RUNNER = {
    "act_runner_info": ("gauge", "Runner metadata. Always 1. Labels carry version and name."),
    "act_runner_capacity": ("gauge", "Configured maximum concurrent jobs."),
    "act_runner_poll_fetch_total": ("counter", "Total number of FetchTask RPCs by result (task, empty, error)."),
    "act_runner_poll_fetch_duration_seconds": (
        "histogram", "Latency of FetchTask RPCs, excluding expected long-poll timeouts."),
    "act_runner_poll_backoff_seconds": ("gauge", "Last observed polling backoff interval in seconds."),
    "act_runner_job_total": (
        "counter", "Total jobs processed by status (success, failure, cancelled, skipped, unknown)."),
    "act_runner_job_duration_seconds": ("histogram", "Duration of job execution from start to finish."),
    "act_runner_report_log_total": ("counter", "Total UpdateLog RPCs by result (success, error)."),
    "act_runner_report_log_duration_seconds": ("histogram", "Latency of UpdateLog RPCs."),
    "act_runner_report_state_total": ("counter", "Total UpdateTask (state) RPCs by result (success, error)."),
    "act_runner_report_state_duration_seconds": ("histogram", "Latency of UpdateTask RPCs."),
    "act_runner_report_log_buffer_rows": ("gauge", "Current number of buffered log rows awaiting send."),
    "act_runner_client_errors_total": ("counter", "Total client RPC errors by method."),
    "act_runner_uptime_seconds": ("gauge", "Seconds since the runner daemon started."),
    "act_runner_job_running": ("gauge", "Number of jobs currently executing."),
    "act_runner_job_capacity_utilization_ratio": (
        "gauge", "Ratio of running jobs to configured capacity (0.0-1.0)."),
}  # fmt: skip
CI_RUNNER = {
    "ci_docker_machines": ("counter", "The total number of machines created."),
    "ci_docker_machines_provider": ("gauge", "The current number of machines in given state."),
    "ci_runner_builds": ("gauge", "The current number of running builds."),
    "ci_runner_version_info": (
        "gauge", "A metric with a constant '1' value labeled by different build stats fields."),
    "ci_ssh_docker_machines": ("counter", "The total number of machines created."),
    "ci_ssh_docker_machines_provider": ("gauge", "The current number of machines in given state."),
}  # fmt: skip
NO_MACHINES = [
    f'ci_{kind}_machines{series}"}} 0.0'
    for kind in ("docker", "ssh_docker")
    for series in (
        '{type="created', '{type="removed', '{type="used', '_provider{state="acquired', '_provider{state="creating',
        '_provider{state="idle', '_provider{state="removing', '_provider{state="used',
    )
]  # fmt: skip
CANCEL: Result = "cancelled"


def heads(text: str) -> dict[str, tuple[str, str]]:
    """Kind and help by name."""
    helps = dict(re.findall(r"^# HELP (\S+) (.*)$", text, re.MULTILINE))
    kinds = dict(re.findall(r"^# TYPE (\S+) (.*)$", text, re.MULTILINE))
    return {name: (kinds[name], help_text) for name, help_text in helps.items()}


def lines(told: Told, name: str) -> list[str]:
    return [line for line in told.all() if line.startswith(name)]


# --- act_runner


def test_names_of_giteas_runner() -> None:
    """All of them, in its words."""
    assert heads(a_working_day("act_runner").text()) == ACT_RUNNER


# --- ci_runner


def test_names_of_alloycis_runner() -> None:
    """Those of its documentation, in its words, and those of its program."""
    told = a_working_day("ci_runner")
    found = heads(told.text())
    assert {name: head for name, head in found.items() if name in CI_RUNNER} == CI_RUNNER
    assert found.keys() - CI_RUNNER.keys() == {
        "ci_runner_errors", "ci_runner_failed_jobs_total",
        *(
            f"ci_{kind}_machines_provider_{name}"
            for kind in ("docker", "ssh_docker")
            for name in ("actions_total", "machine_states", "machine_creation_duration_seconds")
        ),
    }  # fmt: skip
    assert found["ci_runner_errors"][0] == "counter"


def test_what_is_there_from_the_start() -> None:
    """Machines and errors at 0, which program this is; builds and failures come with the first."""
    written = Told("ci_runner").text().splitlines()
    assert [line for line in NO_MACHINES if line not in written] == []
    for level in ("panic", "fatal", "error", "warning"):
        assert f'ci_runner_errors{{level="{level}"}} 0.0' in written
    assert (
        'ci_runner_version_info{architecture="amd64",branch="",built_at="",go_version="python3.11.7",'
        'name="jobmeter-gateway",os="linux",revision="",version="1.2"} 1.0'
    ) in written
    assert "ci_runner_builds" not in " ".join(written)
    assert "ci_runner_failed_jobs_total" not in " ".join(written)


@pytest.mark.parametrize(
    "told_stage, told_state, stage, state",
    [
        ("prepare_script", "pending", "prepare_script", "pending"),
        ("build_script", "running", "build_script", "running"),
        ("step_script", "running", "build_script", "running"),
        ("step_my_own_name", "running", "build_script", "running"),
        ("archive_cache_on_failure", "failed", "archive_cache", "finished"),
        ("upload_artifacts_on_success", "success", "upload_artifacts", "finished"),
        ("cleanup_file_variables", "canceled", "cleanup_file_variables", "canceled"),
        ("my_own_section", "timedout", "get_sources", "timedout"),
        ("get_sources", "on fire", "get_sources", "running"),
    ],
)
def test_where_a_build_is(told_stage: str, told_state: str, stage: str, state: str) -> None:
    """Words of later runners are those of this one; a section of the job's own is no stage."""
    told = Told("ci_runner").tell(
        TaskBegan("31", AT),
        StageChanged("31", "get_sources", "running", "docker_run"),
        StageChanged("31", told_stage, told_state, "nothing_known"),
        of=LAB,
    )
    assert lines(told, "ci_runner_builds") == [
        f'ci_runner_builds{{executor_stage="docker_run",runner="t3stT0ke",stage="{stage}",state="{state}"}}'
    ]


def test_builds_are_there_while_they_are() -> None:
    """As many as there are at the same place; two runners with one short name are one."""
    told = Told("ci_runner").tell(TaskBegan("31", AT), TaskBegan("32", AT), of=LAB)
    told.tell(TaskBegan("33", AT), of=Someone("token:t3stT0keX"))
    told.tell(TaskBegan("34", AT), of=LARGE)
    empty = 'executor_stage="",runner="{}",stage="",state=""'
    assert {line: told.all()[line] for line in lines(told, "ci_runner_builds")} == {
        f"ci_runner_builds{{{empty.format('t3stT0ke')}}}": 3,
        f"ci_runner_builds{{{empty.format('0a1b2c3d')}}}": 1,
    }
    for number in ("31", "32"):
        told.tell(TaskEnded(number, "success", 1.0), of=LAB)
    told.tell(TaskEnded("34", "success", 1.0), of=LARGE)
    assert len(lines(told, "ci_runner_builds")) == 1


@pytest.mark.parametrize(
    "result, reason, counted",
    [
        ("failure", None, "script_failure"),
        ("failure", "script_failure", "script_failure"),
        ("failure", "runner_system_failure", "runner_system_failure"),
        ("failure", "made up", "unknown_failure"),
        (CANCEL, "unknown_failure", "unknown_failure"),
        (CANCEL, None, None),
        ("success", None, None),
        ("skipped", None, None),
        ("unknown", None, None),
    ],
)
def test_failed_jobs(result: Result, reason: str | None, counted: str | None) -> None:
    """What a runner calls failed counts, also after a cancellation."""
    told = Told("ci_runner").tell(TaskBegan("31", AT), TaskEnded("31", result, 1.0, reason), of=LAB)
    expected = (
        [f'ci_runner_failed_jobs_total{{failure_reason="{counted}",runner="t3stT0ke"}}'] if counted else []
    )
    assert lines(told, "ci_runner_failed_jobs_total") == expected


def test_what_is_logged_and_which_machines_there_are() -> None:
    """Numbers of the process are in every page."""
    told = Told("ci_runner").tell(TaskBegan("31", AT), of=LAB)
    told.process.log_entries["warning"] += 2
    told.process.docker_machines.acted("created", 45.0)
    told.process.ssh_docker_machines.now({"stuck-on-removing": 1})
    for shown in (told.all(), told.of("t3stT0ke")):
        assert shown['ci_runner_errors{level="warning"}'] == 2
        assert shown['ci_docker_machines{type="created"}'] == 1
        assert shown['ci_docker_machines_provider_actions_total{action="created"}'] == 1
        assert shown["ci_docker_machines_provider_machine_creation_duration_seconds_sum"] == 45.0
        assert shown['ci_ssh_docker_machines_provider_machine_states{state="stuck-on-removing"}'] == 1


def test_stages_of_a_trace_are_known() -> None:
    """Each that a trace may tell of is one here, and so is what is said of the executor."""
    assert trace.STAGES <= STAGES
    for executor in ("shell", "docker"):
        read = trace.Trace(executor)
        for stage in (read.now, *read.feed(0, b"section_start:1795300000:step_script\r\x1b[0K")):
            assert stage.state in STATES
            assert stage.executor_stage in EXECUTOR_STAGES


# --- jobmeter


def test_a_running_job_joins_with_the_exporters() -> None:
    """The same names of labels, and what both know of a job."""
    assert {*JOB_LABELS, "runner"} == set(JOB_INFO_LABELS)
    told = Told("jobmeter").tell(TaskBegan("12", AT, JOB))
    (info,) = lines(told, "jobmeter_runner_job_info")
    assert dict(re.findall(r'(\w+)="([^"]*)"', info)) == {
        "repo": "acme/engine", "workflow": "ci.yml", "job": "build", "run_id": "4711", "attempt": "2", "task_id": "12",
        "forge": "forgejo", "server_url": "https://forge.example", "ref": "refs/heads/main", "event": "push",
        "runner": "large-1",
    }  # fmt: skip
    told.tell(TaskClosing("12"))
    assert len(lines(told, "jobmeter_runner_job_info")) == 1
    told.tell(TaskEnded("12", "success", 1.0))
    assert lines(told, "jobmeter_runner_job_info") == []


def test_no_ratio_without_a_capacity() -> None:
    """What is not known is not 0."""
    told = Told("jobmeter", "act_runner").tell(Declared("large-1"), TaskBegan("12", AT))
    assert not [line for line in told.all() if "capacity" in line or "utilization" in line]


def test_counted_words_are_there_from_the_start() -> None:
    """`increase()` would not see the first of each otherwise."""
    shown = Told("jobmeter").tell(Draining(False)).all()
    found = {line for line in shown if "_total{" in line}
    assert len(found) == 4 + 5 + 2 + 2 + 3
    assert {shown[line] for line in found} == {0}


# --- ephemerd


def panels_of_jobs() -> list[dict[str, Any]]:
    return [panel for panel in page()["panels"] if panel["description"].endswith(NEEDS_GATEWAY)]


def test_the_six_panels_find_their_names() -> None:
    """Of each series that a query asks for there is one, with the labels by which it is added up."""
    shown = a_working_day("ephemerd").text()
    queries = [target["expr"] for panel in panels_of_jobs() for target in panel["targets"]]
    assert len(queries) == 6
    for query in queries:
        (name,) = re.findall(r"ephemerd_\w+", query)
        labels = re.findall(r"\w+", "".join(re.findall(r"sum by \((.*?)\)", query)))
        (line, *_) = [line for line in shown.splitlines() if re.match(rf"{name}[{{ ]", line)]
        assert [label for label in labels if f'{label}="' not in line] == []


def test_all_runners_of_the_host() -> None:
    """Their jobs and their capacity are one number; the host drains when all of them do."""
    told = Told("ephemerd")
    for someone, capacity in ((LARGE, 60), (SMALL, None), (LAB, 4)):
        told.tell(Declared(someone.name, capacity=capacity), TaskBegan("12", AT), of=someone)
    told.tell(Draining(True), of=LARGE).tell(Draining(True), of=LAB)
    numbers = ("ephemerd_jobs_active", "ephemerd_concurrent_capacity", "ephemerd_draining")
    assert [told.all()[name] for name in numbers] == [3, 64, 0]
    told.tell(Draining(True), TaskClosing("12"), of=SMALL)
    assert [told.all()[name] for name in numbers] == [2, 64, 1]
    assert [told.of("small-1")[name] for name in numbers] == [0, 0, 1]
