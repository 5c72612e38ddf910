"""Names of block devices, and the file systems on them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobmeter.linux.block_devices import BlockDevices, parse_mounts, read_filesystems


@pytest.mark.parametrize(
    "link, name",
    [
        ("../../devices/pci0000:00/block/sda", "/dev/sda"),
        ("../../devices/virtual/block/dm-0", "/dev/dm-0"),
        ("../../block/cciss!c0d0", "/dev/cciss/c0d0"),
    ],
)
def test_a_device_is_named_as_sysfs_does(tmp_path: Path, link: str, name: str) -> None:
    """By its number, and it is asked once."""
    place = tmp_path / "dev/block/8:0"
    place.parent.mkdir(parents=True)
    place.symlink_to(link)
    devices = BlockDevices(str(tmp_path))
    assert devices.name("8:0") == name
    place.unlink()
    assert devices.name("8:0") == name


def test_a_device_of_which_nothing_is_known(tmp_path: Path) -> None:
    """It is told by its number."""
    assert BlockDevices(str(tmp_path)).name("8:0") == "8:0"


MOUNTS = rb"""sysfs /sys sysfs rw,nosuid 0 0
/dev/sda1 / ext4 rw,relatime 0 0
/dev/sda1 /var ext4 rw,relatime 0 0
/dev/sdb1 /mnt/two\040words xfs rw 0 0
/dev/loop0 /snap/core/1 squashfs ro 0 0
/dev/sdc1 /gone ext4 rw 0 0
/dev/fuse /slow fuse rw 0 0
/dev/sdd1 /slower fuse.any\377 rw 0 0
/dev/fuse /slowest some rw 0 0
overlay /var/lib/docker/overlay2/x/merged overlay rw 0 0
/dev/short
"""


def test_mounts_of_block_devices() -> None:
    """Without images, which are full, and what a process serves, which may hang; blanks are escaped there."""
    assert list(parse_mounts(MOUNTS)) == [
        ("/dev/sda1", b"/"),
        ("/dev/sda1", b"/var"),
        ("/dev/sdb1", b"/mnt/two words"),
        ("/dev/sdc1", b"/gone"),
    ]
    assert list(parse_mounts(b"")) == []
    assert list(parse_mounts(b"/dev/sdd1 /any fuse.\xff rw 0 0\n")) == []


def test_each_file_system_is_told_once(tmp_path: Path) -> None:
    """Reached through the first process's root; what is not there is left out."""
    (tmp_path / "1/root/mnt/two words").mkdir(parents=True)
    (tmp_path / "1/mounts").write_bytes(MOUNTS)
    found = read_filesystems(str(tmp_path))
    assert [one.device for one in found] == ["/dev/sda1", "/dev/sdb1"]
    here = os.statvfs(tmp_path)
    assert found[0].size_bytes == here.f_blocks * here.f_frsize
    assert 0 < found[0].used_bytes <= found[0].size_bytes
    assert read_filesystems(str(tmp_path / "none")) == ()
