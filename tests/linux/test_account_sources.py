"""What the files of a cgroup give: of both versions alike, of every device, of every process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from jobmeter.linux.account_reader import AccountReader
from jobmeter.linux.descriptors import Descriptors
from jobmeter.model.account import DeviceCount
from tests.support.hosts import job_directories
from tests.support.kernel_files import pages_of


def test_user_and_system_time_of_version_1(tmp_path: Path) -> None:
    """In hundredths of a second, summing up to what was used."""
    (tmp_path / "cpuacct.usage").write_text("2216686662\n")
    (tmp_path / "cpuacct.stat").write_text("user 75\nsystem 145\n")
    reader = AccountReader({"cpuacct": str(tmp_path)}, Descriptors(10), {})
    account = reader.read()
    assert (account.cpu_user_seconds, account.cpu_system_seconds) == (0.75, 1.45)
    reader.close()


IO = {
    "v1": (
        ("blkio", "blkio.throttle.io_service_bytes"),
        "253:0 Read 1\n253:0 Write 9\n7:0 Read 2\n7:0 Write 4\nTotal 16\n", "253:0 Read 1\n253:0 Write 9\nTotal 10\n",
        "7:0 Read 1\n7:0 Write 0\nTotal 1\n", "Total 0\n",
    ),
    "v2": (
        ("", "io.stat"),
        "253:0 rbytes=1 wbytes=9 rios=1 wios=1\n7:0 rbytes=2 wbytes=4 rios=1 wios=1\n",
        "253:0 rbytes=1 wbytes=9 rios=1 wios=1\n", "7:0 rbytes=1 wbytes=0 rios=1 wios=0\n", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("detailed", [False, True])
@pytest.mark.parametrize("version", IO)
def test_what_devices_did_stays_when_they_go(tmp_path: Path, version: str, detailed: bool) -> None:
    """The kernel forgets them; one that comes again counts on."""
    (controller, name), *texts = IO[version]
    file = tmp_path / name
    file.write_text(texts[-1])
    reader = AccountReader({controller: str(tmp_path)}, Descriptors(10), {}, detailed=detailed)
    none = reader.read(whole=True)
    assert none.io_written_bytes == (0 if version == "v2" else None)
    found = []
    for text in texts:
        file.write_text(text)
        account = reader.read(whole=True)
        found.append((account.io_read_bytes, account.io_written_bytes))
    assert found == [(3, 13), (3, 13), (4, 13), (4, 13)]
    devices = (DeviceCount("253:0", 1, 9), DeviceCount("7:0", 3, 4)) if detailed else None
    assert account.io_bytes_by_device == devices
    reader.close()


def test_every_process_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel gives a page of them at once."""
    (tmp_path / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in range(10_000, 11_200)))
    monkeypatch.setattr(os, "pread", pages_of(4096))
    for room in (0, 10):
        reader = AccountReader({"": str(tmp_path)}, Descriptors(room), {}, detailed=True)
        assert reader.read().process_count == 1200
        reader.close()


DEVICES = {
    "v1": ((DeviceCount("8:0", 4096, 20971520), DeviceCount("8:16", 8192, 0)), None),
    "v2": (
        (DeviceCount("254:0", 12288, 20971520), DeviceCount("254:16", 4096, 0)),
        (DeviceCount("254:0", 3, 41), DeviceCount("254:16", 1, 0)),
    ),
}


@pytest.mark.parametrize("host", DEVICES)
def test_each_device_is_read_where_it_is_wanted(host: str) -> None:
    """Beside the sums over all of them, which stay the same."""
    plain, detailed = (
        AccountReader(job_directories(host), Descriptors(100), {}, detailed=wanted)
        for wanted in (False, True)
    )
    account = detailed.read()
    assert (account.io_bytes_by_device, account.io_operations_by_device) == DEVICES[host]
    assert account.process_count == 2
    alone = replace(account, io_bytes_by_device=None, io_operations_by_device=None, process_count=None)
    assert plain.read() == alone
    for reader in (plain, detailed):
        reader.close()


def test_devices_of_descendants_are_in_the_account(tmp_path: Path) -> None:
    """Version 1 keeps them in files of their own."""
    (tmp_path / "blkio.throttle.io_service_bytes").write_text("8:0 Read 1\n8:0 Write 2\nTotal 3\n")
    (tmp_path / "blkio.throttle.io_service_bytes_recursive").write_text(
        "8:0 Read 10\n8:0 Write 20\nTotal 30\n"
    )
    reader = AccountReader({"blkio": str(tmp_path)}, Descriptors(0), {})
    account = reader.read()
    assert (account.io_read_bytes, account.io_written_bytes) == (10, 20)
    reader.close()
