from __future__ import annotations

import pytest

from jobmeter.model.exits import Exit
from jobmeter.model.sizing.observation import decode, encode, leg_name, observe, stable_names
from jobmeter.model.statistics import Statistic
from jobmeter.model.summary import ContainerSummary, Summary
from tests.model.sizing.histories import GIB, MIB, Truth, metered
from tests.report.examples import EXAMPLES


def box(name: str = "build", **fields: object) -> ContainerSummary:
    return ContainerSummary(name=name, **fields)  # type: ignore[arg-type]


def run(*containers: ContainerSummary, reason: str = "success") -> Summary:
    summary = metered(1, Truth(need_bytes=GIB))
    summary.containers, summary.exit = list(containers), Exit(reason=reason)
    return summary


@pytest.mark.parametrize(
    "fields, need",
    [
        ({}, None),
        ({"memory_working_set_peak_bytes": 300, "memory_high_water_bytes": 200}, 300),
        ({"memory_working_set_peak_bytes": 300, "memory_high_water_bytes": 400}, 400),
        ({"memory_high_water_bytes": 400}, 400),
        ({"memory_bytes": Statistic(peak=500.0)}, 500),
        ({"memory_working_set_peak_bytes": 300, "memory_bytes": Statistic(peak=500.0)}, 300),
        ({"memory_charged_peak_bytes": 900}, None),
    ],
)
def test_the_need_is_the_highest_of_working_set_and_high_water(
    fields: dict[str, object], need: int | None
) -> None:
    """The charged peak is never a need; without a working set it is the sum of RSS; what is missing stays missing."""
    container = ContainerSummary(name="build", **fields)  # type: ignore[arg-type]
    (use,) = observe(run(container)).containers

    assert use.memory_need_bytes == need


@pytest.mark.parametrize(
    "reason, outcome",
    [
        ("success", "ok"),
        ("unknown", "ok"),
        ("failure", "failed"),
        ("signal", "failed"),
        ("timeout", "failed"),
        ("cancelled", "failed"),
        ("a word of a later release", "failed"),
        ("lost", "lost"),
        ("oom", "killed"),
    ],
)
def test_how_a_run_ended(reason: str, outcome: str) -> None:
    """A sidecar never sees an exit code, so unknown counts as whole; what is not known to be whole does not."""
    assert observe(run(box(), reason=reason)).outcome == outcome


@pytest.mark.parametrize(
    "container, reason, killed_at, outcome",
    [
        (
            box(memory_limit_bytes=GIB, memory_working_set_peak_bytes=900 * MIB, oom_kills=1),
            "oom",
            GIB,
            "killed",
        ),
        (
            box(memory_limit_bytes=GIB, memory_high_water_bytes=2 * GIB, oom_kills=2),
            "unknown",
            2 * GIB,
            "killed",
        ),
        (box(memory_limit_bytes=GIB, memory_working_set_peak_bytes=GIB, oom_kills=1), "success", GIB, "ok"),
        (
            box(memory_limit_bytes="unlimited", memory_working_set_peak_bytes=7, oom_kills=1),
            "oom",
            7,
            "killed",
        ),
        (box(memory_working_set_peak_bytes=7), "oom", 7, "killed"),
        (box(memory_limit_bytes=1000, memory_working_set_peak_bytes=950), "failure", 1000, "killed"),
        (box(memory_limit_bytes=1000, memory_working_set_peak_bytes=950), "success", None, "ok"),
        (box(memory_limit_bytes=1000, memory_working_set_peak_bytes=949), "failure", None, "failed"),
        (
            box(memory_limit_bytes=1000, memory_working_set_peak_bytes=999, oom_kills=0),
            "failure",
            None,
            "failed",
        ),
        (box(memory_limit_bytes=1000, memory_high_water_bytes=990, oom_kills=0), "failure", 1000, "killed"),
        (box(memory_limit_bytes=1000, memory_charged_peak_bytes=1000), "failure", None, "failed"),
        (box(), "oom", None, "killed"),
    ],
)
def test_a_kill_says_what_was_not_enough(
    container: ContainerSummary, reason: str, killed_at: int | None, outcome: str
) -> None:
    """Its limit, or what it held; also where nothing saw the kill but all of the limit was held at a bad end."""
    found = observe(run(container, reason=reason))

    assert (found.containers[0].killed_at_bytes, found.outcome) == (killed_at, outcome)


def test_of_several_containers_the_one_that_was_hit_is_the_killed_one() -> None:
    """By the kernel's count; where only the end says so, the one nearest to its limit."""
    build = box("build", memory_limit_bytes=4 * GIB, memory_working_set_peak_bytes=GIB)
    redis = box("redis", memory_limit_bytes=100 * MIB, memory_working_set_peak_bytes=90 * MIB)
    counted = box("db", memory_limit_bytes=GIB, memory_working_set_peak_bytes=MIB, oom_kills=1)

    probable = observe(run(build, redis, reason="oom"))
    certain = observe(run(build, redis, counted, reason="oom"))

    assert [use.killed_at_bytes for use in probable.containers] == [None, 100 * MIB]
    assert [use.killed_at_bytes for use in certain.containers] == [None, None, GIB]


def test_nested_containers_count_in_the_one_around_them() -> None:
    """Its numbers include theirs; a kill at a limit of their own is no kill at its limit."""
    outer = box(
        "dind", id="a", memory_limit_bytes=8 * GIB, memory_working_set_peak_bytes=2 * GIB, oom_kills=1
    )
    inner = box("test", id="b", parent="a", memory_limit_bytes=GIB, oom_kills=1)

    (use,) = observe(run(outer, inner, reason="oom")).containers

    assert (use.name, use.killed_at_bytes) == ("dind", 2 * GIB)


def test_what_is_new_in_each_run_is_not_in_a_name() -> None:
    """Containers are known again by name, so no numbers of tasks and no ids; two of a name are numbered."""
    names = [
        "build",
        "FORGEJO-ACTIONS-TASK-12_WORKFLOW-ci_JOB-build",
        "GITEA-ACTIONS-TASK-4711-WORKFLOW-ci-JOB-build-" + "ab12" * 16,
        "runner-t1_abcd-project-5-concurrent-0-7f3a9bc0d1e2f3a4-build",
        "0123456789abcdef0123456789abcdef_node20_a1b2c3",
        "buildx_buildkit_builder-019aa5e2-4f00-7abc-8def-0123456789ab0",
        "deadbeefcafe",
        "feedfacade",
        "build",
        "postgres:16",
    ]

    assert stable_names([box(name) for name in names]) == [
        "build",
        "FORGEJO-ACTIONS-TASK-*_WORKFLOW-ci_JOB-build",
        "GITEA-ACTIONS-TASK-*-WORKFLOW-ci-JOB-build-*",
        "runner-*-*-build",
        "*_node20_*",
        "buildx_buildkit_builder-*",
        "deadbeefcafe",
        "feedfacade",
        "build (2)",
        "postgres:16",
    ]


def test_throttling_is_told_in_cores() -> None:
    """Time withheld by the duration; unknown stays unknown."""
    (some,) = observe(run(box(throttled_seconds=300.0))).containers
    (none,) = observe(run(box())).containers

    assert some.throttled_cores == 0.5
    assert none.throttled_cores is None


def test_a_leg_has_one_name() -> None:
    """However its values are ordered; without a matrix it is empty."""
    assert leg_name({"python": 3.12, "os": "linux"}) == leg_name({"os": "linux", "python": 3.12})
    assert leg_name({"python": 3.12, "os": "linux"}) == "os=linux, python=3.12"
    assert leg_name(None) == leg_name({}) == ""


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "hostile"])
def test_the_stored_form_is_small_and_read_back(name: str) -> None:
    """Of every example of a run that JSON can hold."""
    observation = observe(EXAMPLES[name]()[0])

    assert decode(encode(observation)) == observation
    assert len(encode(observation)) < 150 + 200 * max(1, len(observation.containers))
