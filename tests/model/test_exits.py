"""How a run ended."""

from __future__ import annotations

import pytest

from jobmeter.model.exits import Exit, OutOfMemory, exit_code, from_wait_status

CERTAIN_OOM = OutOfMemory(1, certain=True, limit="64 MiB", biggest="cc1 with 60 MiB")
PROBABLE_OOM = OutOfMemory(2, certain=False)
KILLED = 9
CORE_DUMPED = 0x80 | 11


@pytest.mark.parametrize(
    "status, known, expected",
    [
        (0, {}, Exit(reason="success", code=0, certainty="certain")),
        (1 << 8, {}, Exit(reason="failure", code=1, certainty="certain")),
        (255 << 8, {}, Exit(reason="failure", code=255, certainty="certain")),
        (
            KILLED,
            {},
            Exit(
                reason="signal", code=137, signal="SIGKILL", detail="Killed by SIGKILL.", certainty="certain"
            ),
        ),
        (
            KILLED,
            {"memory_sufficed": True},
            Exit(
                reason="signal",
                code=137,
                signal="SIGKILL",
                detail="Killed by SIGKILL, not by the kernel for lack of memory.",
                certainty="certain",
            ),
        ),
        (
            CORE_DUMPED,
            {"memory_sufficed": True},
            Exit(
                reason="signal", code=139, signal="SIGSEGV", detail="Killed by SIGSEGV.", certainty="certain"
            ),
        ),
        (
            40,
            {},
            Exit(reason="signal", code=168, signal="SIG40", detail="Killed by SIG40.", certainty="certain"),
        ),
        (0, {"out_of_memory": CERTAIN_OOM}, Exit(reason="success", code=0, certainty="certain")),
        (
            KILLED,
            {"out_of_memory": CERTAIN_OOM},
            Exit(
                reason="oom", code=137, signal="SIGKILL", detail=CERTAIN_OOM.sentence(), certainty="certain"
            ),
        ),
        (
            2 << 8,
            {"out_of_memory": PROBABLE_OOM},
            Exit(reason="oom", code=2, detail=PROBABLE_OOM.sentence(), certainty="probable"),
        ),
        (
            15,
            {"cancelled_by": "SIGTERM"},
            Exit(
                reason="cancelled",
                code=143,
                signal="SIGTERM",
                detail="The job was asked to stop by SIGTERM.",
                certainty="certain",
            ),
        ),
        (0, {"cancelled_by": "SIGTERM"}, Exit(reason="success", code=0, certainty="certain")),
    ],
)
def test_a_wait_status_becomes_a_reason(status, known, expected) -> None:
    """The code is the shell's; success stays success, and an OOM kill explains any failure."""
    assert from_wait_status(status, **known) == expected


@pytest.mark.parametrize("status, code", [(0, 0), (3 << 8, 3), (9, 137), (CORE_DUMPED, 139), (15, 143)])
def test_exit_codes_are_the_shells(status, code) -> None:
    """128 + N for signal N, with or without a core dump."""
    assert exit_code(status) == code


@pytest.mark.parametrize(
    "known, sentence",
    [
        (
            CERTAIN_OOM,
            "The kernel killed a process of the job for want of memory: the memory limit is 64 MiB, "
            "the biggest process was cc1 with 60 MiB.",
        ),
        (
            PROBABLE_OOM,
            "The kernel killed 2 processes of the job for want of memory: no memory limit was readable.",
        ),
    ],
)
def test_an_oom_kill_is_told_in_one_sentence(known, sentence) -> None:
    """How many, the limit and the biggest process, where they are known."""
    assert known.sentence() == sentence
