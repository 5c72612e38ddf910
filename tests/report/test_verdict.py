from __future__ import annotations

import pytest

from jobmeter.model.exits import Exit
from jobmeter.model.sample import Pressure, Stall
from jobmeter.model.summary import ProgramSummary
from jobmeter.report.notes import remarks
from jobmeter.report.terminal import render_terminal
from jobmeter.report.verdict import RUNNING, cause, tone, verdict
from tests.report.examples import EXAMPLES, MIB, make_build, only_begun, oom_kill, sidecar


@pytest.mark.parametrize(
    "name, sentence",
    [
        ("build", "failed (exit 2) after 1 m 05 s — 1.51 of 2 cores, memory peak 740 MiB"),
        ("oom", "killed for lack of memory after 12 s — limit 512 MiB, largest process ld.lld (498 MiB)"),
        (
            "sidecar",
            "ran 8 m 00 s — ≥ 1.47 of 16 cores, memory peak 3.1 GiB in job, "
            "throttled 2 m 23 s by its CPU limit of 2",
        ),
        ("brief", "succeeded in 3 ms — 2 ms of CPU time, largest process 1.86 MiB"),
        ("unknown", "lost after 30 s: the record stops without an end"),
    ],
)
def test_verdict_says_what_happened_and_what_explains_it(name: str, sentence: str) -> None:
    """One sentence: the end, the time, and the most telling numbers."""
    assert verdict(EXAMPLES[name]()[0]) == sentence


@pytest.mark.parametrize(
    "end, sentence",
    [
        (Exit(reason="lost"), "lost right after its start"),
        (RUNNING, "has begun"),
        (Exit(reason="success"), "succeeded in 4 ms"),
    ],
)
def test_of_a_run_whose_start_alone_was_seen_no_time_is_told(end: Exit, sentence: str) -> None:
    """One without an end was not over when it was last seen."""
    assert verdict(only_begun(end)) == sentence


@pytest.mark.parametrize(
    "end, sentence",
    [
        (Exit(reason="success", code=0), "succeeded in 1 m 05 s"),
        (Exit(reason="signal", code=143, signal="SIGTERM"), "killed by SIGTERM (exit 143) after 1 m 05 s"),
        (Exit(reason="signal", certainty="probable"), "probably killed by a signal after 1 m 05 s"),
        (Exit(reason="oom", certainty="probable"), "probably killed for lack of memory after 1 m 05 s"),
        (Exit(reason="timeout", code=124), "timed out (exit 124) after 1 m 05 s"),
        (Exit(reason="cancelled"), "cancelled after 1 m 05 s"),
    ],
)
def test_verdict_names_each_end(end: Exit, sentence: str) -> None:
    """What is only probable is said so."""
    summary, _ = make_build()
    summary.exit = end

    assert verdict(summary).split(" — ")[0] == sentence


def test_an_oom_kill_shows_in_a_run_that_succeeded() -> None:
    """A job may go on after the kernel killed one of its processes: that is the fact to know."""
    summary, _ = make_build()
    summary.exit = Exit(reason="success", code=0)
    summary.containers[0].oom_kills = 2

    assert "2 OOM kills" in verdict(summary)
    assert tone(summary) == "warn"


def test_a_container_near_its_memory_limit_is_named() -> None:
    """The next run may die of it."""
    summary, _ = oom_kill()
    summary.exit = Exit(reason="success", code=0)
    summary.containers[0].oom_kills = 0

    assert verdict(summary).endswith("100 % of its limit of 512 MiB")


@pytest.mark.parametrize(
    "pressure, words",
    [
        (Pressure(Stall(56.0), Stall(0.0), Stall(12.0)), ["waited for CPU 86 % of the time"]),
        (Pressure(Stall(1.0), Stall(33.0), None), ["waited for memory 51 % of the time"]),
        (Pressure(Stall(70.0), None, None), ["waited for CPU 100 % of the time"]),
        (Pressure(Stall(19.0), Stall(0.0), Stall(12.0)), []),
        (None, []),
    ],
)
def test_what_was_waited_for_most_of_the_time_is_told(pressure: Pressure | None, words: list[str]) -> None:
    """A busy machine explains a slow job better than its own numbers; some waiting is normal."""
    summary, _ = make_build()
    summary.containers[0].pressure = pressure

    assert verdict(summary).split(", memory peak 740 MiB, ")[1:] == words


def test_the_longest_verdict_breaks_between_its_facts() -> None:
    """What was waited for is not torn from the waiting."""
    summary, timeline = make_build()
    summary.containers[0].pressure = Pressure(Stall(56.0))
    summary.exit = Exit(reason="success", code=0)

    assert render_terminal(summary, timeline).splitlines()[:2] == [
        "jobmeter: succeeded in 1 m 05 s — 1.51 of 2 cores, memory peak 740 MiB,",
        "          waited for CPU 86 % of the time",
    ]


def test_the_largest_process_may_be_known_by_its_program_alone() -> None:
    """What lived and died between two ticks is on no list of processes."""
    summary, _ = oom_kill()
    summary.programs = [ProgramSummary(name="cc1plus", count=9, peak_memory_bytes=505 * MIB)]

    assert verdict(summary).endswith("limit 512 MiB, largest process cc1plus (505 MiB)")


def test_cause_carries_its_certainty() -> None:
    """What proves the end is told with how well it is known; a success has no cause."""
    assert (
        cause(oom_kill()[0])
        == "memory.events counted 1 OOM kill while ld.lld (pid 77) was the largest process (certain)"
    )
    assert cause(sidecar()[0]) is None


@pytest.mark.parametrize(
    "detail, told",
    [
        ("Killed by SIGKILL.", None),
        (
            "Killed by SIGKILL, not by the kernel for lack of memory.",
            "Killed by SIGKILL, not by the kernel for lack of memory (certain)",
        ),
    ],
)
def test_a_cause_says_more_than_the_verdict(detail: str, told: str | None) -> None:
    """The verdict has named the signal already."""
    summary, _ = make_build()
    summary.exit = Exit(reason="signal", code=137, signal="SIGKILL", detail=detail, certainty="certain")

    assert cause(summary) == told


def test_a_run_without_containers_names_no_number() -> None:
    """Zero cores would be a number that nobody read."""
    summary, _ = sidecar()
    summary.containers, summary.cpu_seconds, summary.unattributed_cpu_seconds = [], None, 0.0

    assert verdict(summary) == "ran 8 m 00 s — no container was seen"
    assert not any("lower bound" in one.text for one in remarks(summary))
