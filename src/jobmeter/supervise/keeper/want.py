"""What a job that still runs has suffered for want of memory, by the kernel's account of its cgroup."""

from jobmeter.linux.cgroup_limits import read_limits
from jobmeter.linux.cgroup_reader import CgroupGone, CgroupReader
from jobmeter.model.errors import LaunchError
from jobmeter.supervise.keeper.end import Kept, of_want_so_far
from jobmeter.supervise.keeper.grounds import find_grounds


def want_of(kept: Kept) -> str | None:
    """One sentence where the kernel has killed processes of it; None where it has not, or nothing can be read."""
    reader = CgroupReader(kept.cgroups)
    try:
        read = reader.read()
    except CgroupGone:
        return None
    finally:
        reader.close()
    if not read.oom_kills:
        return None
    try:
        limit = read_limits(kept.cgroups, find_grounds().tops).limits.memory_bytes
    except LaunchError:
        limit = None
    return of_want_so_far(read.oom_kills, limit if isinstance(limit, int) else None, read.memory_peak_bytes)
