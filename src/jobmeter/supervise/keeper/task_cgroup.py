"""The cgroup of one task: its limits, what is in it, and its end."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping

from jobmeter.linux import procfs
from jobmeter.linux.cgroup_limits import BoundBy, read_limits
from jobmeter.linux.cgroup_mounts import UNIFIED
from jobmeter.linux.files import read_file
from jobmeter.model.errors import KernelFormatError, LaunchError
from jobmeter.model.exits import Survivor
from jobmeter.supervise.job_cgroup import JobCgroup
from jobmeter.supervise.keeper.grounds import Grounds, find_grounds
from jobmeter.supervise.keeper.spec import Limits

_ACCOUNTS = ("cpuacct", "memory", "pids", UNIFIED)
_PERIOD_MICROSECONDS = 100_000
_ROUND_SECONDS = 0.01
_REMOVAL_SECONDS = 2.0
_ENDING_SECONDS = 5.0
# Written after the limit of memory, and only where the kernel has them: without, a job would go on in swap.
_SWAP = ("memory.memsw.limit_in_bytes", "memory.swap.max")


class TaskCgroup:
    """Directories by controller; "" is the unified hierarchy. A process of the task is in all of them."""

    def __init__(self, directories: Mapping[str, str], tops: Mapping[str, str]) -> None:
        self.directories = dict(directories)
        self._tops = tops
        self._entering = JobCgroup.at(directories)

    @classmethod
    def create(cls, grounds: Grounds, name: str, limits: Limits) -> "TaskCgroup":
        """Make it, with its limits. Raises LaunchError where it is there already, or a limit cannot be set."""
        # A cgroup in the cpu hierarchy of version 1 changes scheduling: only for who asks for it.
        wanted = [*_ACCOUNTS, *(["cpu"] if limits.cpu_cores is not None else [])]
        cgroup = cls(
            {one: f"{grounds.parents[one]}/{name}" for one in wanted if one in grounds.parents}, grounds.tops
        )
        made: list[str] = []
        try:
            for directory in dict.fromkeys(cgroup.directories.values()):  # Controllers may share a hierarchy.
                os.mkdir(directory)
                made.append(directory)
            cgroup._limit(limits)
        except FileExistsError as error:
            _remove(made)
            raise LaunchError(
                f"the cgroup {error.filename} is there already: its task runs or was left"
            ) from None
        except OSError as error:
            _remove(made)
            raise LaunchError(
                f"no cgroup can be made for the task: {error.filename}: {error.strerror}"
            ) from None
        except LaunchError:
            _remove(made)
            raise
        return cgroup

    @classmethod
    def find(cls, grounds: Grounds, name: str) -> "TaskCgroup":
        """The one that was made before, as far as it is still there."""
        there = {one: f"{parent}/{name}" for one, parent in grounds.parents.items()}
        return cls({one: path for one, path in there.items() if os.path.isdir(path)}, grounds.tops)

    def fork(self) -> int:
        """As os.fork(); for ``enter``."""
        return self._entering.fork()

    def enter(self) -> None:
        """Move the calling process in. Raises OSError."""
        self._entering.enter()

    def bounds(self) -> BoundBy:
        """The limits that bind the task: its own and those above."""
        return read_limits(self.directories, self._tops)

    def listed(self) -> list[str]:
        """The pids of its processes, of one hierarchy."""
        for one in (UNIFIED, "pids", "memory", "cpuacct"):
            if one in self.directories:
                return [pid for inner, _, _ in os.walk(self.directories[one]) for pid in _pids(inner)]
        return []

    def survivors(self) -> tuple[Survivor, ...]:
        """The processes in it now."""
        found = ((int(pid), _name(pid)) for pid in sorted(self._all(), key=int))
        return tuple(Survivor(pid, name) for pid, name in found if name is not None)

    def forks_refused(self) -> int | None:
        """How many forks in it have failed by a limit of processes; None where nobody has counted."""
        directory = self.directories.get("pids", self.directories.get(UNIFIED))
        try:
            words = read_file(f"{directory}/pids.events").decode().split()
            return int(words[words.index("max") + 1])
        except (OSError, KernelFormatError, ValueError, IndexError):
            return None

    def signal(self, signum: signal.Signals) -> None:
        """Send a signal to every process in it."""
        for pid in self._all():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(int(pid), signum)

    def kill(self) -> None:
        """Kill everything in it; what was forked meanwhile is left for the next time."""
        with contextlib.suppress(OSError):  # Linux 5.14, version 2.
            _write(f"{self.directories[UNIFIED]}/cgroup.kill" if UNIFIED in self.directories else "", "1")
        self.signal(signal.SIGKILL)

    def end(self, polite_seconds: float = 0.0, reap: Callable[[], object] = lambda: None) -> bool:
        """End everything in it, first asked to for so long; ``reap`` is called meanwhile. False where some stays."""
        begun = time.monotonic()
        if polite_seconds and self._all():
            self.signal(signal.SIGTERM)
        for directory in {self.directories.get("pids"), self.directories.get(UNIFIED)} - {None}:
            with contextlib.suppress(OSError):  # A fork bomb stops.
                _write(f"{directory}/pids.max", "0")
        while self._all():
            late = time.monotonic() - begun
            if late > polite_seconds + _ENDING_SECONDS:
                return False
            if late >= polite_seconds:
                self.kill()
            time.sleep(_ROUND_SECONDS)
            reap()
        return True

    def remove(self) -> list[str]:
        """Remove it; returns the directories that could not be removed."""
        deadline = time.monotonic() + _REMOVAL_SECONDS
        left = _remove(self.directories.values())
        while left and time.monotonic() < deadline:
            time.sleep(_ROUND_SECONDS)
            left = _remove(left)
        return left

    def _all(self) -> set[str]:
        directories = set(self.directories.values())
        return {pid for top in directories for inner, _, _ in os.walk(top) for pid in _pids(inner)}

    def _limit(self, limits: Limits) -> None:
        if limits.cpu_cores is not None:
            quota = max(1000, round(limits.cpu_cores * _PERIOD_MICROSECONDS))
            self._set("cpu", "cpu.cfs_quota_us", str(quota), "cpu.max", f"{quota} {_PERIOD_MICROSECONDS}")
        if limits.memory_bytes is not None:
            size = str(limits.memory_bytes)
            self._set("memory", "memory.limit_in_bytes", size, "memory.max", size)
            for name, value in zip(_SWAP, (size, "0"), strict=True):
                path = f"{self.directories['memory' if 'memory' in self.directories else UNIFIED]}/{name}"
                if os.path.exists(path):
                    _write(path, value)
        if limits.pids is not None:
            self._set("pids", "pids.max", str(limits.pids), "pids.max", str(limits.pids))

    def _set(self, controller: str, old: str, old_value: str, new: str, value: str) -> None:
        """Set a limit by the file of version 1 or that of version 2. Raises LaunchError."""
        one = controller if controller in self.directories else UNIFIED
        path = f"{self.directories.get(one, '')}/{new if one == UNIFIED else old}"
        try:
            if path.endswith("cpu.cfs_quota_us"):
                _write(path.replace("quota", "period"), str(_PERIOD_MICROSECONDS))
            _write(path, value if one == UNIFIED else old_value)
        except OSError as error:
            reason = f"{path}: {error.strerror}"
            raise LaunchError(f"the limit {controller} of the task cannot be set: {reason}") from None


def probe(limits: Limits) -> None:
    """See that a task's cgroup with these limits can be made. Raises LaunchError where it cannot."""
    TaskCgroup.create(find_grounds(), f"jobmeter-probe-{os.getpid()}", limits).remove()


def clear(name: str, before: Mapping[str, str]) -> tuple[Survivor, ...]:
    """End everything in a task's cgroup and remove it; returns what still ran.

    ``before`` are its directories by controller where whoever made it was in another cgroup than we are. Raises
    LaunchError where a process does not end, or the cgroup stays.
    """
    grounds = find_grounds()
    there = {one: path for one, path in before.items() if os.path.isdir(path)}
    cgroup = TaskCgroup({**there, **TaskCgroup.find(grounds, name).directories}, grounds.tops)
    survivors = cgroup.survivors()
    if not cgroup.end():
        left = ", ".join(f"{one.name} ({one.pid})" for one in cgroup.survivors())
        raise LaunchError(f"processes of {name} do not end: {left}")
    if still := cgroup.remove():
        raise LaunchError(f"the cgroup {still[0]} cannot be removed")
    return survivors


def names_of(grounds: Grounds, prefix: str) -> list[str]:
    """The tasks' cgroups that are there, of those whose names begin so."""
    found: set[str] = set()
    for parent in set(grounds.parents.values()):
        with contextlib.suppress(OSError):
            found.update(name for name in os.listdir(parent) if name.startswith(prefix))
    return sorted(found)


def _pids(directory: str) -> list[str]:
    try:
        return [pid for pid in read_file(f"{directory}/cgroup.procs").decode().split() if pid != "0"]
    except (OSError, KernelFormatError):
        return []


def _name(pid: str) -> str | None:
    """The name of a process; None for one that has ended."""
    try:
        reading = procfs.parse_stat(read_file(f"/proc/{pid}/stat"))
    except (OSError, KernelFormatError):
        return None
    return None if reading.state in ("Z", "X") else reading.name


def _remove(directories: Iterable[str]) -> list[str]:
    left = []
    for directory in dict.fromkeys(directories):
        try:
            for inner, _, _ in os.walk(directory, topdown=False):
                os.rmdir(inner)
        except FileNotFoundError:
            continue
        except OSError:
            left.append(directory)
    return left


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
