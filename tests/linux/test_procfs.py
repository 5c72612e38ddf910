"""Text of /proc into values."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.linux import procfs
from jobmeter.model.account import Interface
from jobmeter.model.errors import KernelFormatError
from jobmeter.model.readings import ProcessReading
from tests.support.hosts import CONTAINER, HOSTS
from tests.support.kernel import stat_line

STAT = (HOSTS / "hybrid/proc/4242/stat").read_bytes()
STATUS = (HOSTS / "hybrid/proc/4242/status").read_bytes()
PARSERS: list[Callable[[bytes], object]] = [
    procfs.parse_stat,
    procfs.parse_status_high_water,
    procfs.parse_status_ignores_sigchld,
    procfs.parse_cgroup,
    procfs.parse_host_stat,
    procfs.parse_meminfo,
    procfs.parse_net_dev,
    procfs.parse_interfaces,
    procfs.parse_boot_time,
]
SAMPLES = [
    STAT,
    STATUS,
    *((HOSTS / "hybrid/proc" / name).read_bytes() for name in ("stat", "meminfo", "4242/cgroup")),
]


def test_a_real_stat_line() -> None:
    """As the kernel wrote it for a shell that had reaped 0.83 s of children."""
    assert procfs.parse_stat(STAT) == ProcessReading(
        pid=4242,
        name="sh",
        state="S",
        parent_pid=1,
        faults=67,
        user_seconds=0.0,
        system_seconds=0.0,
        reaped_user_seconds=0.77,
        reaped_system_seconds=0.06,
        threads=1,
        start_seconds=5606.3,
        rss_bytes=365 * 4096,
    )


@pytest.mark.parametrize(
    "name", ["sh", "a b", ") R 1 (", "((", "))", "", "x) S 1 1 1", "tab\tnew", "(sd-pam)"], ids=repr
)
def test_a_name_may_hold_anything(name) -> None:
    """Blanks and brackets in a name do not move the fields behind it."""
    found = procfs.parse_stat(stat_line(7, name=name, ticks=(1, 2, 3, 4), rss_pages=5))
    assert (found.pid, found.name, found.user_seconds, found.rss_bytes) == (7, name, 0.01, 5 * 4096)


def test_a_name_that_is_no_text() -> None:
    """The kernel passes on what bytes a program gave."""
    assert procfs.parse_stat(stat_line(7).replace(b"work", b"\xff\xfe")).name == "��"


def test_negative_pages_are_none() -> None:
    """The kernel's counter of pages is kept per CPU and may be read below zero."""
    assert procfs.parse_stat(stat_line(7, rss_pages=-3)).rss_bytes == 0


@pytest.mark.parametrize(
    "parse, text, expected",
    [
        (procfs.parse_status_high_water, STATUS, 1640 * 1024),
        (procfs.parse_status_high_water, b"Name:\tkthreadd\nState:\tS\n", None),
        (procfs.parse_status_high_water, b"", None),
        (procfs.parse_status_high_water, b"Name:\tVmHWM:\t1\nVmHWM:\t  12 kB", 12288),
        (procfs.parse_status_ignores_sigchld, STATUS, False),
        (procfs.parse_status_ignores_sigchld, b"SigIgn:\t0000000000010000\n", True),
        (procfs.parse_status_ignores_sigchld, b"SigIgn:\t0000000000001000\n", False),
        (procfs.parse_status_ignores_sigchld, b"", False),
        (
            procfs.parse_meminfo,
            b"MemTotal: 8 kB\nMemFree: 1 kB\nMemAvailable: 5 kB\nSwapTotal: 0 kB\n",
            {"MemTotal": 8192, "MemAvailable": 5120, "SwapTotal": 0},
        ),
        (procfs.parse_meminfo, b"MemTotal: 8 kB\n", {"MemTotal": 8192}),
        (procfs.parse_meminfo, b"SwapTotal: 8 kB\nSwapFree: 3 kB\n", {"SwapTotal": 8192, "SwapFree": 3072}),
        (procfs.parse_meminfo, b"", {}),
        (procfs.parse_net_dev, b"", (0, 0)),
        (procfs.parse_interfaces, b"", ()),
        (procfs.parse_boot_time, b"cpu  1 2\nbtime 1795200000\nprocesses 7\n", 1795200000),
        (procfs.parse_boot_time, b"cpu  1 2\n", None),
        (procfs.parse_cgroup, b"", {}),
        (procfs.parse_cgroup, b"0::/\n", {"": "/"}),
        (procfs.parse_cgroup, b"0::/a:b/c (deleted)\n", {"": "/a:b/c"}),
        (
            procfs.parse_cgroup,
            b"4:cpu,cpuacct:/x\n1:name=systemd:/y\n0::/z\n",
            {"cpu": "/x", "cpuacct": "/x", "name=systemd": "/y", "": "/z"},
        ),
    ],
)
def test_good_and_absent(parse, text, expected) -> None:
    """What is there is read; what is absent is none or left out, never zero."""
    assert parse(text) == expected


@pytest.mark.parametrize(
    "parse, text",
    [
        (procfs.parse_stat, b""),
        (procfs.parse_stat, b"\n"),
        (procfs.parse_stat, STAT[:60]),
        (procfs.parse_stat, STAT.replace(b" 77 ", b" x ")),
        (procfs.parse_stat, STAT.replace(b"4242 (", b"(")),
        (procfs.parse_stat, stat_line(1, ticks=(10**400, 0, 0, 0))),
        (procfs.parse_status_high_water, b"VmHWM:\t\n"),
        (procfs.parse_status_high_water, b"VmHWM:\tmuch kB\n"),
        (procfs.parse_status_ignores_sigchld, b"SigIgn:\tnone\n"),
        (procfs.parse_host_stat, b""),
        (procfs.parse_host_stat, b"intr 5\n"),
        (procfs.parse_host_stat, b"cpu  1 2 3\n"),
        (procfs.parse_host_stat, b"cpu  1 2 3 4 5 6 7 x\n"),
        (procfs.parse_meminfo, b"MemTotal:\n"),
        (procfs.parse_meminfo, b"MemAvailable: all kB\n"),
        (procfs.parse_net_dev, b"a\nb\neth0: 1 2 3\n"),
        (procfs.parse_net_dev, b"a\nb\neth0: x 0 0 0 0 0 0 0 y 0 0 0 0 0 0 0\n"),
        (procfs.parse_interfaces, b"a\nb\neth0: 1 2 3\n"),
        (procfs.parse_boot_time, b"btime soon\n"),
        (procfs.parse_cgroup, b"/docker/1\n"),
        (procfs.parse_cgroup, b"0:/\n"),
    ],
)
def test_malformed_text_is_one_clear_error(parse, text) -> None:
    """The message names the file and shows the beginning of what was there."""
    with pytest.raises(KernelFormatError, match=r"/proc/") as caught:
        parse(text)
    assert len(str(caught.value)) < 250


@given(st.sampled_from(PARSERS), st.binary(max_size=300))
def test_any_bytes_are_values_or_a_kernel_format_error(parse, text) -> None:
    """Nothing a kernel could say is a traceback."""
    with contextlib.suppress(KernelFormatError):
        parse(text)


@given(
    st.sampled_from(PARSERS),
    st.sampled_from(SAMPLES),
    st.integers(0, 2000),
    st.integers(0, 9),
    st.binary(max_size=8),
)
def test_damaged_text_is_values_or_a_kernel_format_error(parse, text, at, cut, put) -> None:
    """Real text with a piece cut out and another put in."""
    with contextlib.suppress(KernelFormatError):
        parse(text[:at] + put + text[at + cut :])


def test_the_whole_machine() -> None:
    """Busy is user + nice + system + irq + softirq; idle includes iowait; guest time is in user time."""
    found, cpus = procfs.parse_host_stat(
        b"cpu  100 20 30 400 50 6 7 80 10 1\ncpu0 1\ncpu1 1\nintr 5\nctxt 9\n"
    )
    assert found.busy_seconds == pytest.approx(1.63)
    assert (found.idle_seconds, found.steal_seconds) == (4.5, 0.8)
    assert cpus == 2


def test_a_real_machine() -> None:
    """As the kernel of the hybrid host says it."""
    found, cpus = procfs.parse_host_stat((HOSTS / "hybrid/proc/stat").read_bytes())
    assert cpus == 2
    assert found.busy_seconds == pytest.approx((278670 + 1438 + 59865 + 777) / 100)
    assert procfs.parse_meminfo((HOSTS / "hybrid/proc/meminfo").read_bytes())["MemTotal"] == 24684084 * 1024


NET_DEV = b"""Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs
    lo: 1000 1 0 0 0 0 0 0 1000 1 0 0 0 0 0 0
  eth0: 200 2 3 4 0 0 0 0 30 5 6 7 0 0 0 0
docker0: 50 1 0 0 0 0 0 0 60 1 0 0 0 0 0 0
br-4f0c2a9d81b3: 50 1 0 0 0 0 0 0 60 1 0 0 0 0 0 0
veth12ab: 50 1 0 0 0 0 0 0 60 1 0 0 0 0 0 0
 wlan0:5 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0
"""


def test_network_counters_of_what_leads_outside() -> None:
    """A byte of a container within passes three interfaces and is counted once."""
    assert procfs.parse_net_dev(NET_DEV) == (205, 36)


def test_each_interface() -> None:
    """All but the loopback, with packets, errors and what was dropped."""
    found = procfs.parse_interfaces(NET_DEV)
    assert found[0] == Interface("eth0", 200, 2, 3, 4, 30, 5, 6, 7)
    assert [one.name for one in found] == ["eth0", "docker0", "br-4f0c2a9d81b3", "veth12ab", "wlan0"]


def test_names_of_interfaces_stay_apart() -> None:
    """Whatever bytes are in them: they may be any but blanks, slashes and colons."""
    names = (b"\xff1", b"\xfe1", b"x\x01", b"x\x02", b"x\\x01", "é".encode(), "x\u2003".encode(), b"x")
    text = b"a\nb\n" + b"".join(name + b": 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0\n" for name in names)
    assert [one.name for one in procfs.parse_interfaces(text)] == [
        "\\xff1", "\\xfe1", "x\\x01", "x\\x02", "x\\x5cx01", "é", "x\\xe2\\x80\\x83", "x",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name, outside",
    [
        ("eth0", True), ("ens3", True), ("tap0", True), ("wg0", True), ("lo", False), ("lo1", True),
        ("br0", False), ("cni-podman0", False), ("podman1", False), ("cali8a1", False), ("flannel.1", False),
        ("nerdctl0", False), ("virbr0", False), ("lxcbr0", False),
    ],
)  # fmt: skip
def test_which_interfaces_lead_outside(name, outside) -> None:
    """Bridges, inner ends and overlays do not."""
    assert procfs.leads_outside(name) is outside


@pytest.mark.parametrize(
    "host, pid, key, path",
    [
        ("hybrid", 4242, "memory", f"/docker/{CONTAINER}"),
        ("hybrid", 4242, "freezer", "/"),
        ("hybrid", 4242, "", f"/docker/{CONTAINER}"),
        ("v1", 4242, "cpuacct", f"/docker/{CONTAINER}"),
        ("v2", 4242, "", f"/system.slice/docker-{CONTAINER}.scope"),
        ("private_cgroupns", "self", "", "/"),
        ("private_cgroupns", 4242, "", f"/../{CONTAINER}"),
    ],
)
def test_cgroups_of_a_process(host, pid, key, path) -> None:
    """Each controller's path, co-mounted ones apart, the unified hierarchy under an empty name."""
    assert procfs.parse_cgroup((HOSTS / host / f"proc/{pid}/cgroup").read_bytes())[key] == path
