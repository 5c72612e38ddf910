"""What a sidecar can say of how a job ended."""

from __future__ import annotations

import pytest

from jobmeter.model.oom import biggest_process, collector_exit, memory_sufficed, out_of_memory
from jobmeter.model.summary import ContainerSummary, ProcessSummary, Summary

MIB = 2**20


def summary(*containers: ContainerSummary) -> Summary:
    processes = [
        ProcessSummary(pid=1, name="java", container="build", peak_memory_bytes=300 * MIB),
        ProcessSummary(pid=2, name="psql", container="db", peak_memory_bytes=30 * MIB),
    ]
    return Summary(
        run_uid="r", start_time="", end_time="", duration_seconds=1, sample_count=1, containers=list(containers),
        top_mem_processes=processes,
    )  # fmt: skip


def test_no_kill_is_no_oom() -> None:
    """A counter at zero or one that could not be read proves nothing."""
    found = summary(ContainerSummary(name="a", oom_kills=0), ContainerSummary(name="b"))
    assert out_of_memory(found) is None
    assert collector_exit(found).reason == "unknown"


@pytest.mark.parametrize(
    "kills, sufficed", [([], False), ([0], True), ([0, None], False), ([None], False), ([0, 1], False)]
)
def test_that_memory_sufficed_is_said_only_where_every_kill_is_counted(kills, sufficed) -> None:
    """A count that could not be read to the end rules nothing out."""
    found = summary(*(ContainerSummary(name=str(i), oom_kills=one) for i, one in enumerate(kills)))
    assert memory_sufficed(found) is sufficed


def test_the_innermost_container_with_a_kill_is_named() -> None:
    """A parent's counter includes the kills of those nested in it, so they count once."""
    found = out_of_memory(
        summary(
            ContainerSummary(name="pod", id="p", oom_kills=2),
            ContainerSummary(name="db", parent="p", oom_kills=2, memory_limit_bytes=64 * MIB),
        ),
        certain=False,
    )
    assert found is not None
    assert (found.kills, found.certain, found.limit, found.biggest) == (
        2,
        False,
        "64 MiB",
        "psql with 30 MiB",
    )


def test_an_oom_kill_is_the_reason() -> None:
    """The kernel's counter proves it."""
    found = collector_exit(
        summary(ContainerSummary(name="build", oom_kills=1, memory_limit_bytes="unlimited"))
    )
    assert (found.reason, found.certainty) == ("oom", "certain")
    assert found.detail == (
        "The kernel killed a process of the job for want of memory: no memory limit was readable, "
        "the biggest process was java with 300 MiB."
    )


@pytest.mark.parametrize(
    "working_set, charged, certainty",
    [
        (63 * MIB, 64 * MIB, "probable"),
        (50 * MIB, 64 * MIB, None),
        (None, 64 * MIB, None),
        (63 * MIB, None, None),
    ],
)
def test_a_container_at_its_limit_is_suspected(working_set, charged, certainty) -> None:
    """Page cache alone fills any limit, so the working set must be there too; it stays unproven."""
    found = collector_exit(
        summary(
            ContainerSummary(
                name="build", memory_limit_bytes=64 * MIB, memory_working_set_peak_bytes=working_set,
                memory_charged_peak_bytes=charged,
            )
        )
    )  # fmt: skip
    assert (found.reason, found.certainty) == ("unknown", certainty)


def test_the_biggest_process_of_a_container() -> None:
    """Of all or of one; a container without a listed process has none."""
    found = summary()
    assert biggest_process(found) == "java with 300 MiB"
    assert biggest_process(found, "db") == "psql with 30 MiB"
    assert biggest_process(found, "cache") is None


def test_what_makes_a_container_is_not_blamed() -> None:
    """Until its exec the first process of a container is runc's own, which is larger than many a program."""
    found = summary()
    found.top_mem_processes[0].name = "runc:[2:INIT]"
    assert biggest_process(found) == "psql with 30 MiB"
