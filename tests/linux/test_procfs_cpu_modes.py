"""Text of /proc about the whole machine into values."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.linux import procfs
from jobmeter.linux.procfs import CPU_MODES, parse_cpu_modes
from jobmeter.model.errors import KernelFormatError
from tests.support.hosts import HOSTS

STAT = (HOSTS / "hybrid/proc/stat").read_bytes()


def test_modes_of_a_real_machine() -> None:
    """They add up to what is known of it as busy, idle and stolen."""
    modes = dict(parse_cpu_modes(STAT))
    sample, _ = procfs.parse_host_stat(STAT)
    assert tuple(modes) == CPU_MODES
    assert modes["idle"] + modes["iowait"] == sample.idle_seconds
    assert modes["steal"] == sample.steal_seconds
    assert sum(modes.values()) == pytest.approx(
        (sample.busy_seconds or 0) + (sample.idle_seconds or 0) + (sample.steal_seconds or 0)
    )


def test_guests_are_not_counted_twice() -> None:
    """What comes behind the eight modes is in the first two."""
    modes = parse_cpu_modes(b"cpu  100 200 300 400 500 600 700 800 90 10\ncpu0 1 2 3\n")
    assert modes == {mode: float(second) for second, mode in enumerate(CPU_MODES, 1)}


@pytest.mark.parametrize("text", [b"", b"intr 5\n", b"cpu  1 2 3 4 5 6 7\n", b"cpu  1 2 3 4 5 6 7 x\n"])
def test_what_is_not_the_kernels(text: bytes) -> None:
    """It is refused, with the line."""
    with pytest.raises(KernelFormatError, match="line of /proc/"):
        parse_cpu_modes(text)


@given(st.binary(max_size=200))
def test_nothing_but_the_one_error(text: bytes) -> None:
    """Whatever the bytes."""
    with contextlib.suppress(KernelFormatError):
        parse_cpu_modes(text)
