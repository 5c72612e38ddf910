from __future__ import annotations

import pytest

from jobmeter.model.job import Host
from jobmeter.model.summary import ContainerSummary, Section, Summary
from jobmeter.model.timeline import ContainerTrack, Timeline
from jobmeter.report import figures
from tests.report.examples import sidecar


def run_of(*containers: ContainerSummary, cpus: int | None = None) -> Summary:
    return Summary(
        run_uid="u",
        start_time="",
        end_time="",
        duration_seconds=10.0,
        sample_count=1,
        containers=list(containers),
        host=Host(cpus=cpus),
    )


def test_tree_puts_the_nested_below_their_parents_and_the_busiest_first() -> None:
    """A container is found by its parent's id; its depth says how deep it is nested."""
    summary, _ = sidecar()

    ordered = [(depth, container.name) for depth, container in figures.tree(summary.containers)]

    assert ordered == [(0, "job"), (1, "buildkit-cache-warmer"), (0, "postgres")]


def test_tree_lists_containers_that_are_nested_in_each_other() -> None:
    """A circle of parents hides nobody."""
    circle = [ContainerSummary(name="a", parent="b"), ContainerSummary(name="b", parent="a")]

    assert sorted(container.name for _, container in figures.tree(circle)) == ["a", "b"]


def test_capacity_is_the_limits_only_where_all_containers_have_one() -> None:
    """An unlimited container may use the whole machine; a limit above it is no limit."""
    limited = ContainerSummary(name="a", cpu_limit_cores=1.5)
    free = ContainerSummary(name="b", cpu_limit_cores="unlimited")

    assert figures.capacity_cores(run_of(limited, cpus=8)) == 1.5
    assert figures.capacity_cores(run_of(limited, free, cpus=8)) == 8
    assert figures.capacity_cores(run_of(limited, cpus=1)) == 1
    assert figures.capacity_cores(run_of(free)) is None


def test_memory_peak_says_what_it_is_the_peak_of() -> None:
    """The best number there is, with its name."""
    box = ContainerSummary(name="a", memory_charged_peak_bytes=3)
    assert figures.memory_peak(box) == ("charged with page cache", 3)
    box.memory_high_water_bytes = 2
    assert figures.memory_peak(box) == ("largest process", 2)
    assert figures.memory_peak(ContainerSummary(name="b")) is None


def test_only_the_container_that_proc_accounts_for_is_a_lower_bound() -> None:
    """A cgroup's account misses nothing, also when its neighbour's is a lower bound."""
    summary, _ = sidecar()

    marks = {box.name: figures.doubt(summary, box) for box in summary.containers}

    assert marks == {"job": "", "buildkit-cache-warmer": "", "postgres": "≥ "}
    assert figures.doubt(summary) == "≥ "


def test_exit_records_are_close_to_either_side() -> None:
    """They are marked as an estimate, which is no lower bound."""
    box = ContainerSummary(name="a", cpu_source="exit_records", cpu_seconds=2.0)
    summary = run_of(box)
    summary.cpu_complete = False

    assert (figures.doubt(summary), figures.doubt(summary, box)) == ("≈ ", "≈ ")
    assert figures.marked("2 s", "≈ ") == "≈ 2 s"
    assert figures.marked("", "≈ ") == ""


def test_tracks_follow_the_containers_and_keep_strangers() -> None:
    """Tracks are matched by name, also two of one name."""
    boxes = [ContainerSummary(name="a", id="1", cpu_seconds=2.0), ContainerSummary(name="a", id="2")]
    timeline = Timeline(containers=[ContainerTrack(name=name) for name in ("x", "a", "a")])

    pairs = figures.tracks(run_of(*boxes), timeline)

    assert [(track.name, box.id if box else None) for track, box in pairs] == [
        ("a", "1"),
        ("a", "2"),
        ("x", None),
    ]


@pytest.mark.parametrize(
    "read, drawn",
    [
        ([1, 2, None], [1, 2, 2]),
        ([1, None, None], [1, None, None]),
        ([None, 2, 3], [None, 2, 3]),
        ([None], [None]),
    ],
)
def test_memory_is_drawn_to_the_end(read: list[int | None], drawn: list[int | None]) -> None:
    """When the command has ended it has none that could be read; what was read before is the last of it."""
    timeline = Timeline(containers=[ContainerTrack(name="job", memory_bytes=read)])

    ((track, _),) = figures.tracks(run_of(), timeline)

    assert track.memory_bytes == drawn
    assert timeline.containers[0].memory_bytes == read


def test_section_seconds_survive_times_that_are_none() -> None:
    """Mixed and broken times give no duration, and no error."""
    good = Section(name="s", start_time="2026-11-21T12:00:00.000Z", end_time="2026-11-21T12:00:01.500Z")
    mixed = Section(name="s", start_time="2026-11-21T12:00:00", end_time="2026-11-21T12:00:01Z")

    assert figures.section_seconds(good) == 1.5
    assert figures.section_seconds(mixed) is None


def test_a_job_whose_containers_were_not_seen_has_no_cpu_time() -> None:
    """That nothing is left over is no number of the job; what is left over is a lower bound."""
    unseen, rest = run_of(), run_of()
    unseen.unattributed_cpu_seconds, rest.unattributed_cpu_seconds = 0.0, 1.5

    assert figures.total_cpu_seconds(unseen) is None
    assert figures.average_cores(unseen) is None
    assert figures.total_cpu_seconds(rest) == 1.5
