"""Names of block devices, and the file systems on them."""

import os
from collections.abc import Iterator

from jobmeter.model.account import Filesystem

_NOT_COUNTED = frozenset({b"squashfs", b"iso9660", b"udf", b"cramfs", b"erofs"})
"""Images that are full from the beginning."""


class BlockDevices:
    """Knows devices by their numbers; what sysfs(5) says of one is asked once."""

    def __init__(self, root: str = "/sys") -> None:
        self._root = root
        self._names: dict[str, str] = {}

    def name(self, number: str) -> str:
        """``/dev/sda`` of ``8:0``; the number itself where nothing is known of it."""
        if number not in self._names:
            try:
                link = os.readlink(f"{self._root}/dev/block/{number}")
            except OSError:
                self._names[number] = number
            else:
                # A slash in a device's name is an exclamation mark in sysfs.
                self._names[number] = "/dev/" + os.path.basename(link).replace("!", "/")
        return self._names[number]


def read_filesystems(root: str = "/proc") -> tuple[Filesystem, ...]:
    """Those of the host on block devices, each once; what cannot be asked is left out.

    Their mount points are reached through the first process, whose root is the host's.
    """
    try:
        with open(f"{root}/1/mounts", "rb") as file:
            text = file.read()
    except OSError:
        return ()
    found: dict[str, Filesystem] = {}
    for device, mount_point in parse_mounts(text):
        if device in found:
            continue
        try:
            said = os.statvfs(os.fsencode(f"{root}/1/root") + mount_point)
        except OSError:
            continue
        size = said.f_blocks * said.f_frsize
        if size:
            found[device] = Filesystem(device, size, size - said.f_bfree * said.f_frsize)
    return tuple(found.values())


def parse_mounts(text: bytes) -> Iterator[tuple[str, bytes]]:
    """Device and mount point of what /proc/PID/mounts (fstab(5)) has on block devices."""
    for line in text.splitlines():
        fields = line.split(b" ")
        if len(fields) > 2 and fields[0].startswith(b"/dev/") and not _is_left_out(fields[0], fields[2]):
            yield _unescaped(fields[0]).decode("utf-8", "replace"), _unescaped(fields[1])


def _is_left_out(source: bytes, kind: bytes) -> bool:
    # A file system of a process may say any source, and may never answer.
    return kind in _NOT_COUNTED or source == b"/dev/fuse" or kind == b"fuse" or kind.startswith(b"fuse.")


def _unescaped(field: bytes) -> bytes:
    """Blanks and the like are octal there: ``\\040``."""
    for escape, character in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        field = field.replace(escape, character)
    return field
