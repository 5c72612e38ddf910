"""Exit records: netlink messages into values, and the kernel's own."""

from __future__ import annotations

import contextlib
import os
import struct
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.linux.taskstats import ExitRecords, parse_exit_records
from jobmeter.model.errors import KernelFormatError, SourceUnavailable
from jobmeter.model.readings import ExitRecord

HEADERS = bytes(20)
AGGR_PID, AGGR_TGID, PID, STATS = 4, 5, 1, 3
LAST_OF_GROUP = 0x20
# Sizes of struct taskstats: Linux 6.1 is version 13, 6.18 is version 16.
SIZES = [(12, 384), (13, 416), (16, 560)]


def stats(
    version: int = 13,
    size: int = 416,
    *,
    flag: int = LAST_OF_GROUP,
    name: bytes = b"cc1",
    times: tuple[int, int, int] = (1_250_000, 250_000, 1_500_000),
) -> bytes:
    """struct taskstats with the fields that are read, each at the offset of linux/taskstats.h.

    ``times`` are user and system time as sampled, and what the scheduler says, in microseconds.
    """
    found = bytearray(size)
    fields = [
        (0, "=H", version),
        (8, "=B", flag),
        (128, "=I", 4242),
        (132, "=I", 77),
        (72, "=Q", times[2] * 1000),
        (152, "=Q", times[0]),
        (160, "=Q", times[1]),
        (200, "=Q", 2048),
        (248, "=Q", 4096),
        (256, "=Q", 8192),
        (368, "=I", 4240),
        (376, "=Q", 2_500_000),
    ]
    for offset, form, value in fields:
        struct.pack_into(form, found, offset, value)
    found[80 : 80 + len(name)] = name
    return bytes(found)


def attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def message(payload: bytes, kind: int = AGGR_PID) -> bytes:
    return HEADERS + attribute(kind, attribute(PID, struct.pack("=I", 4242)) + attribute(STATS, payload))


RECORD = ExitRecord(
    pid=4242, tgid=4240, parent_pid=77, name="cc1", user_seconds=1.25, system_seconds=0.25, certain_seconds=1.5,
    lifetime_seconds=2.5, high_water_bytes=2048 * 1024, read_bytes=4096, write_bytes=8192, last_of_group=True,
)  # fmt: skip


@pytest.mark.parametrize("version, size", SIZES)
def test_a_record_of_each_kernel(version, size) -> None:
    """The fields stay where they were when the struct grew."""
    assert list(parse_exit_records(message(stats(version, size)))) == [RECORD]


@pytest.mark.parametrize(
    "times, user, system",
    [
        pytest.param((1000, 500, 1500), 0.001, 0.0005, id="both agree"),
        pytest.param(
            (0, 8000, 100), 0, 0.0041, id="two ticks hit a task that ran for less: at most a tick above"
        ),
        pytest.param((4000, 0, 9000), 0.009, 0, id="fewer ticks hit it than it ran for"),
        pytest.param((4000, 4000, 16000), 0.008, 0.008, id="the shares are those of the samples"),
        pytest.param((0, 0, 700), 0.0007, 0, id="no tick hit it"),
        pytest.param((4000, 0, 0), 0.004, 0, id="a kernel that does not say"),
        pytest.param((0, 0, 0), 0, 0, id="nothing"),
    ],
)
def test_times_are_the_schedulers_where_samples_are_chance(times, user, system) -> None:
    """Sampled times are right on average only; the scheduler's are exact but for the last tick."""
    (found,) = parse_exit_records(message(stats(times=times)), tick_seconds=0.004)
    assert [found.user_seconds, found.system_seconds] == pytest.approx([user, system])


def test_several_records_in_one_message() -> None:
    """Each task of a message is a record; other attributes are passed over, nested flags are masked."""
    text = message(stats()) + attribute(9, b"new") + message(stats(flag=0), AGGR_PID | 0x8000)[20:]
    found = list(parse_exit_records(text))
    assert [record.last_of_group for record in found] == [True, False]


@pytest.mark.parametrize("payload", [b"", message(stats(), AGGR_TGID)[20:], attribute(AGGR_PID, b"")])
def test_a_message_without_a_record(payload) -> None:
    """Sums of thread groups and empty messages are no records."""
    assert list(parse_exit_records(HEADERS + payload)) == []


@pytest.mark.parametrize(
    "name, text",
    [(b"x" * 32, "x" * 32), (b"", ""), (b"a\0b", "a"), (b"\xff", "�"), (b"(sd-pam)", "(sd-pam)")],
)
def test_names(name, text) -> None:
    """A name ends at its first zero byte and may hold anything before."""
    assert next(parse_exit_records(message(stats(name=name)))).name == text


@pytest.mark.parametrize(
    "text",
    [
        message(stats(version=11)),
        message(stats(16)[:383]),
        message(b""),
        HEADERS + struct.pack("=HH", 500, AGGR_PID),
        HEADERS + struct.pack("=HH", 2, AGGR_PID),
        HEADERS + struct.pack("=HH", 0, 0),
    ],
)
def test_an_old_or_cut_struct_is_one_clear_error(text) -> None:
    """A kernel before 5.17 is named with what it gave."""
    with pytest.raises(KernelFormatError, match=r"too old|longer than its message"):
        list(parse_exit_records(text))


@given(st.binary(max_size=600) | st.binary(max_size=64).map(lambda data: message(data + stats())))
def test_any_message_is_records_or_a_kernel_format_error(text) -> None:
    """Nothing that arrives is a traceback."""
    with contextlib.suppress(KernelFormatError):
        list(parse_exit_records(text))


@pytest.fixture
def exit_records():
    try:
        found = ExitRecords()
    except SourceUnavailable as error:
        pytest.skip(str(error))
    yield found
    found.close()


def test_the_kernels_record_of_a_child(exit_records: ExitRecords) -> None:
    """A child that lives for a moment leaves its time, parent and memory."""
    # No bare fork: a library that another test has loaded may start threads in its child.
    child = os.posix_spawn(sys.executable, [sys.executable, "-c", "sum(range(3_000_000))"], os.environ)
    _, _, usage = os.wait4(child, 0)
    deadline = time.monotonic() + 5
    found: list[ExitRecord] = []
    while not found and time.monotonic() < deadline:
        found = [record for record in exit_records.read() if record.pid == child]
    (record,) = found
    assert (record.tgid, record.parent_pid, record.last_of_group) == (child, os.getpid(), True)
    assert record.user_seconds + record.system_seconds == pytest.approx(
        usage.ru_utime + usage.ru_stime, abs=0.02
    )
    assert record.high_water_bytes > 1_000_000
    assert exit_records.lost == 0


def test_wrong_cpus_are_refused_with_a_reason() -> None:
    """One sentence, and the socket is closed again."""
    with pytest.raises(SourceUnavailable, match="exit records"):
        ExitRecords("/nonesuch/cpus")
