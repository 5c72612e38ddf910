"""Since when a cgroup has been there. The kernel keeps no date of its making.

The time of its directory is that of the first look at it; a later one after the inode was dropped for want of memory,
and, once someone has set an attribute or an extended one, as systemd does, that of the last directory made or removed
in it (kernfs_init_inode, kernfs_iattrs and kernfs_add_one in fs/kernfs of the kernel). So the earliest sign counts, of
all there are. It may be too early only for a process that was moved in long after its start.
"""

import os
import time
from collections.abc import Iterable

from jobmeter.linux import procfs
from jobmeter.linux.files import read_file
from jobmeter.model.errors import KernelFormatError


def began(directories: Iterable[str], root: str, now: float) -> float:
    """The earliest sign of a cgroup with these directories, in seconds since 1970; ``now`` where there is none.

    ``root`` is /proc.
    """
    signs = [now]
    for directory in directories:
        try:
            signs.append(os.stat(directory).st_ctime)
            pids = [pid for pid in map(int, read_file(f"{directory}/cgroup.procs").split()) if pid]
        except (OSError, ValueError, KernelFormatError):
            continue
        if pids and (age := age_seconds(root, min(pids))) is not None:
            signs.append(now - age)
    # A directory that was looked at before the clock was set, just after the machine's start, may be dated before that.
    return max(min(signs), now - time.clock_gettime(time.CLOCK_BOOTTIME))


def age_seconds(root: str, pid: int) -> float | None:
    """For how long a process has been there (proc_pid_stat(5)); None where it cannot be told."""
    try:
        start = procfs.parse_stat(read_file(f"{root}/{pid}/stat")).start_seconds
    except (OSError, KernelFormatError):
        return None
    return time.clock_gettime(time.CLOCK_BOOTTIME) - start
