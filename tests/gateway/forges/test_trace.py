"""The stage of a GitLab job by the markers in its trace."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.gateway.forges import gitlab
from jobmeter.gateway.forges.port import LogReport
from jobmeter.gateway.forges.trace import MAX_STEPS, Stage, Trace
from tests.support.captures import scenarios

MARKED = [
    "prepare_executor",
    "prepare_script",
    "get_sources",
    "restore_cache",
    "download_artifacts",
    "step_script",
    "after_script",
    "archive_cache",
    "upload_artifacts_on_success",
    "cleanup_file_variables",
]


def start(name: str, options: str = "") -> bytes:
    return f"section_start:1795260179:{name}{options}\r\x1b[0K".encode()


def end(name: str) -> bytes:
    return f"section_end:1795260179:{name}\r\x1b[0K".encode()


def section(name: str, text: bytes = b"text\n") -> bytes:
    return start(name) + text + end(name)


WHOLE = b"Running with gitlab-runner\n" + b"".join(map(section, MARKED)) + b"Job succeeded\n"


def stages_of(changes: list[Stage]) -> list[str]:
    return [stage.stage for stage in changes]


def stages(trace: Trace, text: bytes) -> list[str]:
    return stages_of(trace.feed(0, text))


@pytest.mark.parametrize(
    "executor, before, preparing, running",
    [
        (None, "created", "prepare", "prepare"),
        ("shell", "created", "prepare", "prepare"),
        ("kubernetes", "created", "prepare", "prepare"),
        ("docker", "created", "docker_prepare", "docker_run"),
        ("docker+machine", "created", "docker_prepare", "docker_run"),
    ],
)
def test_a_whole_job(executor, before, preparing, running):
    """Pending until the executor is ready, then running, through every stage in its order."""
    trace = Trace(executor)
    assert trace.now == Stage("", "pending", before)
    first, *others = trace.feed(0, WHOLE)
    assert first == Stage("prepare_executor", "pending", preparing)
    assert others == [Stage(name, "running", running) for name in MARKED[1:]]
    assert trace.now == others[-1]


def test_when_the_script_began():
    """By the marker of its first part, in any cuts, and not by a later one."""
    text = section("prepare_executor") + start("step_script").replace(b"0179", b"0181") + end("step_script")
    text += section("step_release")
    for cut in range(len(text)):
        trace = Trace()
        trace.feed(0, text[:cut])
        trace.feed(cut, text[cut:])
        assert trace.work_at == 1795260181.0
    assert Trace().work_at is None


def test_secrets_come_before_the_executor():
    """Nothing has been created for the job then."""
    trace = Trace("docker")
    assert trace.feed(0, section("resolve_secrets")) == [Stage("resolve_secrets", "pending", "created")]


@given(st.sets(st.integers(1, len(WHOLE) - 1)))
def test_any_cuts(cuts):
    """However the trace comes, the same stages are seen."""
    trace, seen = Trace(), []
    for first, last in pairwise([0, *sorted(cuts), len(WHOLE)]):
        seen.extend(trace.feed(first, WHOLE[first:last]))
    assert seen == Trace().feed(0, WHOLE)


@given(st.lists(st.tuples(st.integers(0, len(WHOLE)), st.integers(0, len(WHOLE)))))
def test_parts_that_come_again(parts):
    """A part that overlaps what was read, as after an answer that was lost, changes nothing."""
    trace, seen, position = Trace(), [], 0
    for back, length in parts:
        first = max(0, position - back)
        seen.extend(trace.feed(first, WHOLE[first : first + length]))
        position = max(position, min(first + length, len(WHOLE)))
    seen.extend(trace.feed(position, WHOLE[position:]))
    assert seen == Trace().feed(0, WHOLE)


@pytest.mark.parametrize(
    "inner",
    [
        start("my_section", "[collapsed=true]") + end("my_section"),
        section("after_script"),
        section("step_other"),
        end("get_sources"),
        b"section_start:1:after_script\n",
        b"section_start:x:after_script\r\x1b[0K",
    ],
)
def test_what_a_script_writes(inner):
    """Sections within a stage are the script's own, whatever they are called."""
    text = section("step_script", inner) + section("archive_cache")
    assert stages(Trace(), text) == ["step_script", "archive_cache"]


def test_names_that_no_runner_has():
    """They are no stages between stages either."""
    text = section("bundle") + section("step_") + section("Step_script") + section("step_script")
    assert stages(Trace(), text) == ["step_script"]


def test_options_of_a_section():
    """GitLab takes options in brackets after the name."""
    assert stages(Trace(), start("step_script", "[collapsed=true]")) == ["step_script"]
    assert stages(Trace(), start("step_script", "[" + "x" * 257 + "]")) == []


def test_the_longest_marker_in_any_two_parts():
    """It is put together wherever it is cut, whatever stands before it."""
    name = "step_" + "a" * 59
    text = b"before" * 100 + f"section_start:{10**12 - 1}:{name}[{'x' * 256}]\r\x1b[0K".encode()
    for cut in range(len(text)):
        trace = Trace()
        assert trace.feed(0, text[:cut]) == []
        assert stages_of(trace.feed(cut, text[cut:])) == [name]


def test_steps_are_bounded():
    """A script that imitates markers makes no endless label values."""
    text = b"".join(section(f"step_{number}") for number in range(100)) + section("after_script")
    assert stages(Trace(), text) == [f"step_{number}" for number in range(MAX_STEPS)] + ["after_script"]
    again = b"".join(map(section, ["step_a", "step_b", "step_a"]))
    assert stages(Trace(), again) == ["step_a", "step_b", "step_a"]


def test_a_gap():
    """What is missing may have ended the section; a marker that it cut is not put together."""
    trace = Trace()
    trace.feed(0, start("step_script") + b"section_start:1:after_")
    assert trace.feed(1000, b"script\r\x1b[0K" + start("archive_cache")) == [
        Stage("archive_cache", "running", "prepare")
    ]


def test_memory_is_bounded():
    """However long a trace is without markers, about one marker's length of it is held."""
    trace, position = Trace(), 0
    for part in (b"section_start:1:" * 1000, b"section_start:1:step_script[" + b"x" * 100_000, b"y"):
        trace.feed(position, part)
        position += len(part)
        assert len(trace._tail) < 512


@given(
    st.lists(
        st.binary(max_size=40) | st.sampled_from([start("step_script"), end("step_script"), b"\r\x1b[0K"])
    )
)
def test_arbitrary_bytes_in_arbitrary_cuts(parts):
    """Nothing raises, and the cuts do not matter."""
    trace, seen, position = Trace(), [], 0
    for part in parts:
        seen.extend(trace.feed(position, part))
        position += len(part)
    assert seen == Trace().feed(0, b"".join(parts))


@pytest.mark.parametrize("scenario", scenarios("gitlab-runner"), ids=lambda scenario: scenario.name)
def test_recorded_traces(scenario):
    """Real jobs, lost answers and repeated parts among them, go through their stages once and in order."""
    traces: dict[str, Trace] = {}
    seen: dict[str, list[Stage]] = {}
    for exchange in scenario.exchanges():
        asked = exchange.request
        if asked.method != "PATCH" or not asked.arrived:
            continue
        body = asked.body.ljust(asked.len or 0)
        report = gitlab.read_request(asked.method, asked.path, asked.by_name, body)
        assert isinstance(report, LogReport)
        trace = traces.setdefault(report.task_id, Trace("shell"))
        seen.setdefault(report.task_id, []).extend(trace.feed(report.start, body))
    assert bool(seen) == (scenario.name not in WITHOUT_JOB)
    for stages in seen.values():
        assert stages[:4] == [
            Stage("prepare_executor", "pending", "prepare"),
            Stage("prepare_script", "running", "prepare"),
            Stage("get_sources", "running", "prepare"),
            Stage("step_script", "running", "prepare"),
        ]
        expected = ["upload_artifacts_on_success"] if scenario.name == "job-artifact" else []
        if not ENDS_EARLY & {scenario.name}:
            expected.append("cleanup_file_variables")
        assert stages_of(stages[4:]) == expected


ENDS_EARLY = {
    "chatty-100k-lines",
    "job-cancelled-canceled",
    "run-single-sigterm",
    "sigkill-mid-job",
    "sigterm-mid-job",
}
"""Their traces end within or right after the script: killed, or cut by the runner's own limit."""

WITHOUT_JOB = {"run-idle-75s", "run-single-no-job", "run-single-no-job-longpoll-50", "verify"}
