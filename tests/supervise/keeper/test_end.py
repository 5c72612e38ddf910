"""What is said of how a runner ended."""

from __future__ import annotations

import pytest

from jobmeter.supervise.keeper.end import Ended, detail_of, of_want, of_want_so_far

MIB = 1024 * 1024


@pytest.mark.parametrize(
    "fields, sentence",
    [
        (
            {"reason": "exit", "code": 1, "cpu_seconds": 3.21, "memory_peak_bytes": 120 * MIB},
            "The runner ended with exit code 1 after 12.5 s; "
            "it had used 3.2 s of CPU time and at most 120 MiB of memory.",
        ),
        (
            {"reason": "signal", "code": 137, "signal": "SIGKILL", "cpu_seconds": 0.5},
            "The runner was killed by SIGKILL after 12.5 s; it had used 500 ms of CPU time.",
        ),
        (
            {"reason": "oom", "code": 1, "oom_kills": 3, "memory_limit_bytes": 256 * MIB},
            "The kernel killed 3 processes of the job for want of memory, whose limit is 256 MiB, "
            "and the runner ended with exit code 1 after 12.5 s; it had used what nobody could read.",
        ),
        (
            {
                "reason": "oom",
                "code": 137,
                "signal": "SIGKILL",
                "oom_kills": 1,
                "memory_peak_bytes": 64 * MIB,
            },
            "The kernel killed a process of the job for want of memory, and the runner ended by SIGKILL after 12.5 s; "
            "it had used at most 64 MiB of memory.",
        ),
        (
            {"reason": "timeout", "code": 143, "signal": "SIGTERM", "cpu_seconds": 70.0},
            "The job was ended after 12.5 s, its time limit is 12.0 s; it had used 1 m 10 s of CPU time.",
        ),
        (
            {"reason": "exit", "code": 2, "pids_limit": 20, "forks_refused": 0, "cpu_seconds": 0.5},
            "The runner ended with exit code 2 after 12.5 s; it had used 500 ms of CPU time.",
        ),
        (
            {"reason": "exit", "code": 2, "pids_limit": 20, "forks_refused": 3, "cpu_seconds": 0.5},
            "The job had reached its limit of 20 processes and threads, and the runner ended with exit code 2 after "
            "12.5 s; it had used 500 ms of CPU time.",
        ),
        (
            {"reason": "signal", "code": 134, "signal": "SIGABRT", "forks_refused": 1, "cpu_seconds": 0.5},
            "The job had reached a limit of processes and threads, and the runner was killed by SIGABRT after 12.5 s; "
            "it had used 500 ms of CPU time.",
        ),
        (
            {"reason": "stopped", "code": 143, "cpu_seconds": 1.0},
            "The runner was stopped after 12.5 s; it had used 1.0 s of CPU time.",
        ),
    ],
)
def test_the_sentence_of_an_end(fields, sentence) -> None:
    """The cause, when, and what had been used; what is not known is left out."""
    assert detail_of(Ended(detail="", at=0.0, duration_seconds=12.5, **fields), 12.0) == sentence


@pytest.mark.parametrize(
    "kills, sentence",
    [
        (None, None),
        (0, None),
        (
            2,
            "The kernel killed 2 processes of the job for want of memory, whose limit is 64 MiB, "
            "and the runner ended after 12.5 s; it had used 1.0 s of CPU time.",
        ),
    ],
)
def test_the_cause_of_a_job_without_a_result(kills, sentence) -> None:
    """A runner that ended by itself may have lost its job to the kernel."""
    ended = Ended(
        reason="exit", detail="", at=0.0, code=0, duration_seconds=12.5, cpu_seconds=1.0,
        memory_limit_bytes=64 * MIB, oom_kills=kills,
    )  # fmt: skip
    assert of_want(ended) == sentence


@pytest.mark.parametrize(
    "known, sentence",
    [
        (
            (1, 64 * MIB, 63 * MIB),
            "The kernel killed a process of the job for want of memory, whose limit is 64 MiB; "
            "it has used at most 63 MiB of memory.",
        ),
        ((2, None, None), "The kernel killed 2 processes of the job for want of memory."),
    ],
)
def test_what_a_job_has_lost_that_goes_on(known, sentence) -> None:
    """As of a death, but nothing has ended."""
    assert of_want_so_far(*known) == sentence
