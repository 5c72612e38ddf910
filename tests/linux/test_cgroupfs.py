"""Text of cgroup files into values."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.linux import cgroupfs
from jobmeter.model.account import DeviceCount
from jobmeter.model.errors import KernelFormatError
from jobmeter.model.sample import Stall
from tests.support.hosts import CONTAINER, HOSTS

V2 = HOSTS / f"v2/sys/fs/cgroup/system.slice/docker-{CONTAINER}.scope"
V1 = HOSTS / "v1/sys/fs/cgroup"
PARSERS: list[Callable[[bytes], object]] = [
    cgroupfs.parse_number,
    cgroupfs.parse_pressure,
    cgroupfs.parse_io_stat,
    cgroupfs.parse_io_stat_devices,
    cgroupfs.parse_blkio_bytes,
    cgroupfs.parse_blkio_devices,
    cgroupfs.parse_cpu_max,
    cgroupfs.parse_cpu_quota,
    cgroupfs.parse_byte_limit,
    lambda text: cgroupfs.parse_flat_keyed(text, b"usage_usec", b"oom_kill"),
    cgroupfs.parse_cpuacct_stat,
    lambda text: cgroupfs.parse_cfs_quota(text, b"100000"),
    lambda text: cgroupfs.parse_cfs_quota(b"100000", text),
]
SAMPLES = [path.read_bytes() for folder in (V1, V2) for path in sorted(folder.rglob("*")) if path.is_file()]


@pytest.mark.parametrize(
    "parse, text, expected",
    [
        (cgroupfs.parse_number, b"843154350\n", 843154350),
        (cgroupfs.parse_number, b"0", 0),
        (cgroupfs.parse_pressure, (V2 / "cpu.pressure").read_bytes(), Stall(0.75506, 0.754967)),
        (cgroupfs.parse_pressure, b"some avg10=0.00 avg60=0.00 avg300=0.00 total=5\n", Stall(5e-6, None)),
        (cgroupfs.parse_pressure, b"", Stall()),
        (cgroupfs.parse_io_stat, (V2 / "io.stat").read_bytes(), (16384, 20971520)),
        (cgroupfs.parse_io_stat, b"254:0 \n", (0, 0)),
        (cgroupfs.parse_io_stat, b"", (0, 0)),
        (
            cgroupfs.parse_blkio_bytes,
            (V1 / f"blkio/docker/{CONTAINER}/blkio.throttle.io_service_bytes").read_bytes(),
            (12288, 20971520),
        ),
        (
            cgroupfs.parse_io_stat_devices,
            b"8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n7:0 \n254:0 wios=5\n",
            (
                (DeviceCount("8:0", 1, 2), DeviceCount("254:0", 0, 0)),
                (DeviceCount("8:0", 3, 4), DeviceCount("254:0", 0, 5)),
            ),
        ),
        (cgroupfs.parse_io_stat_devices, b"", ((), ())),
        (
            cgroupfs.parse_blkio_devices,
            b"8:0 Read 1\n8:0 Write 2\n8:0 Sync 3\n8:0 Total 3\n7:1 Write 5\nTotal 8\n",
            (DeviceCount("8:0", 1, 2), DeviceCount("7:1", 0, 5)),
        ),
        (cgroupfs.parse_blkio_devices, b"Total 0\n", ()),
        (cgroupfs.parse_blkio_bytes, b"Total 0\n", None),
        (cgroupfs.parse_blkio_bytes, b"", None),
        (cgroupfs.parse_cpuacct_stat, b"user 75\nsystem 145\n", (75, 145)),
        (cgroupfs.parse_cpu_quota, b"max 50000\n", ("unlimited", 50000)),
        (cgroupfs.parse_cpu_quota, b"20000\n", (20000, 100000)),
        (cgroupfs.parse_cpu_max, b"50000 100000\n", 0.5),
        (cgroupfs.parse_cpu_max, b"max 100000\n", "unlimited"),
        (cgroupfs.parse_cpu_max, b"max\n", "unlimited"),
        (cgroupfs.parse_cpu_max, b"250000", 2.5),
        (cgroupfs.parse_byte_limit, b"67108864\n", 67108864),
        (cgroupfs.parse_byte_limit, b"max\n", "unlimited"),
        (cgroupfs.parse_byte_limit, b"9223372036854771712\n", "unlimited"),
        (cgroupfs.parse_byte_limit, b"0\n", 0),
    ],
)
def test_good_and_absent(parse, text, expected) -> None:
    """Units are seconds, bytes and cores; no limit is a word; what is not told is none."""
    assert parse(text) == expected


@pytest.mark.parametrize(
    "quota, period, cores",
    [(b"50000\n", b"100000\n", 0.5), (b"-1\n", b"100000\n", "unlimited"), (b"400000", b"100000", 4)],
)
def test_the_quota_of_v1(quota, period, cores) -> None:
    """A negative quota is no limit."""
    assert cgroupfs.parse_cfs_quota(quota, period) == cores


@pytest.mark.parametrize(
    "text, names, values",
    [
        (b"a 1\nb 2\n", (b"a", b"b"), [1, 2]),
        (b"a 1\nb 2", (b"b", b"a"), [2, 1]),
        (b"total_a 1\na 2\n", (b"a",), [2]),
        (b"aa 1\n", (b"a",), [None]),
        (b"x a 1\n", (b"a",), [None]),
        (b"", (b"a",), [None]),
        ((V2 / "cpu.stat").read_bytes(), (b"usage_usec", b"throttled_usec", b"none"), [784439, 731504, None]),
        ((V2 / "memory.events").read_bytes(), (b"oom_kill", b"oom"), [1, 2]),
        (
            (V2 / "memory.stat").read_bytes(),
            (b"inactive_file", b"file", b"slab"),
            [21061632, 21192704, 596040],
        ),
    ],
)
def test_flat_keyed_files(text, names, values) -> None:
    """A key is a whole word at the beginning of a line."""
    assert cgroupfs.parse_flat_keyed(text, *names) == values


@pytest.mark.parametrize(
    "parse, text",
    [
        (cgroupfs.parse_number, b""),
        (cgroupfs.parse_number, b"max"),
        (cgroupfs.parse_number, b"1 2"),
        (cgroupfs.parse_number, b"9" * 400),
        (cgroupfs.parse_number, b"9" * 5000),
        (cgroupfs.parse_pressure, b"some\n"),
        (cgroupfs.parse_pressure, b"some avg10=0.00 total=many\n"),
        (cgroupfs.parse_pressure, b"some total=" + b"9" * 400),
        (cgroupfs.parse_io_stat, b"254:0 rbytes=x"),
        (cgroupfs.parse_io_stat, b"254:0 wbytes="),
        (cgroupfs.parse_blkio_bytes, b"8:0 Read x\n"),
        (cgroupfs.parse_cpu_max, b""),
        (cgroupfs.parse_cpu_max, b"some 100000"),
        (cgroupfs.parse_cpu_max, b"100 0"),
        (cgroupfs.parse_cpu_max, b"9" * 400 + b" 1"),
        (cgroupfs.parse_byte_limit, b""),
        (cgroupfs.parse_byte_limit, b"64M"),
        (lambda text: cgroupfs.parse_cfs_quota(text, b"0"), b"1"),
        (lambda text: cgroupfs.parse_cfs_quota(b"1", text), b"-5"),
        (lambda text: cgroupfs.parse_flat_keyed(text, b"a"), b"a x\n"),
        (lambda text: cgroupfs.parse_flat_keyed(text, b"a"), b"a \n"),
    ],
)
def test_malformed_text_is_one_clear_error(parse, text) -> None:
    """The message shows the beginning of what was there."""
    with pytest.raises(KernelFormatError) as caught:
        parse(text)
    assert len(str(caught.value)) < 200


@given(st.sampled_from(PARSERS), st.binary(max_size=200))
def test_any_bytes_are_values_or_a_kernel_format_error(parse, text) -> None:
    """Nothing a kernel could say is a traceback."""
    with contextlib.suppress(KernelFormatError):
        parse(text)


@given(
    st.sampled_from(PARSERS),
    st.sampled_from(SAMPLES),
    st.integers(0, 900),
    st.integers(0, 9),
    st.binary(max_size=8),
)
def test_damaged_text_is_values_or_a_kernel_format_error(parse, text, at, cut, put) -> None:
    """Real text with a piece cut out and another put in."""
    with contextlib.suppress(KernelFormatError):
        parse(text[:at] + put + text[at + cut :])
