"""The containers of a job: found by the cgroups of processes, named, read, and told when they are gone."""

import os
from collections.abc import Callable, Collection, Iterable, Mapping

from msgspec.structs import replace

from jobmeter.containers.cgroup_path import ContainerRef, locate
from jobmeter.containers.mapping import DeclaredLimits
from jobmeter.containers.naming import ContainerNamer
from jobmeter.linux import procfs
from jobmeter.linux.cgroup_finder import CgroupFinder, CgroupPlace
from jobmeter.linux.cgroup_limits import read_limits
from jobmeter.linux.cgroup_reader import CgroupReader
from jobmeter.linux.oom_events import MachineOomKills, OomEvents
from jobmeter.metering.group import Group
from jobmeter.metering.network import NetworkWatch
from jobmeter.model.errors import KernelFormatError, SourceUnavailable
from jobmeter.model.oom import BEING_MADE
from jobmeter.model.readings import CgroupLimits, ProcessReading
from jobmeter.model.sample import ContainerInfo

# Hierarchies whose path tells the container, best first; the unified one may lie elsewhere on a hybrid host.
_TELLING = ("memory", "cpuacct", "pids", "", "cpu", "name=systemd")
_SHORT_ID = 12
_MAX_CONTAINERS = 1000
# A cgroup that could not be read is looked for again after so many refreshes.
_RETRY_EVERY = 5
# What an engine's shim starts beside the processes of its container.
_RUNTIMES = frozenset({"runc", "crun", "youki", "runsc", "kata-runtime", "conmon", "containerd-shim"})
# Who is the parent of a container's first process and of its steps, and starts nothing else: of containerd and
# Docker, of Podman and CRI-O.
_SHIMS = frozenset({"containerd-shim", "conmon", "conmonrs"})


class _Container:
    """What is known of one container."""

    def __init__(self, key: str, ref: ContainerRef | None, path: str) -> None:
        self.key = key
        self.ref = ref
        self.path = path
        self.parent: str | None = None
        self.began = False
        self.names: dict[str, None] = {}
        self.pids: set[int] = set()
        self.paths: dict[str, str] = {}
        self.limits = CgroupLimits()
        self.group: Group | None = None
        self.ended = False
        self.first_process: int | None = None  # A pidfd.
        self.events: OomEvents | None = None
        self.declared: ContainerInfo | None = None
        self.changed = True  # Since it was last described.
        self.retry_in = 0


class ContainerGroups:
    """Membership and groups by cgroup.

    ``own_pid`` and its descendants are left out. ``sidecar`` says that we share the job's pid
    namespace, so that every process seen is the job's; on a host only those in containers are.
    ``on_events`` is told of each container whose OOM events can be heard, ``on_first_process`` of a pidfd of the
    process that each ends with. ``known`` are the keys of the containers
    of a run that goes on: who is new to it began within it, if its processes are younger than ``started_after``.
    """

    def __init__(
        self,
        *,
        root: str = "/proc",
        finder: CgroupFinder,
        namer: ContainerNamer,
        limits: Mapping[str, DeclaredLimits],
        own_pid: int,
        sidecar: bool,
        started_after: float,
        warn: Callable[[str], None],
        on_events: Callable[[OomEvents], None] = lambda events: None,
        on_first_process: Callable[[int], None] = lambda fd: None,
        known: Collection[str] | None = None,
    ) -> None:
        self._root = root
        self._finder = finder
        self._namer = namer
        self._declared_limits = limits
        self._own_pid = own_pid
        self._sidecar = sidecar
        self._started_after = started_after
        self._warn = warn
        self._on_events = on_events
        self._on_first_process = on_first_process
        self._starts: dict[int, float] = {}
        self._known = known
        self._network = NetworkWatch(root)
        self._machine = MachineOomKills(root)
        self._killed = (0, 0)
        self._accounted_kills = 0
        self.suspects: list[str] = []
        """Containers that ended while the kernel killed a process that no account shows: probably theirs."""
        self._containers: dict[str, _Container] = {}
        self._key_of_pid: dict[int, str] = {}
        self._keys_of_shim: dict[int, set[str]] = {}
        self._first_scan = True

    def admit(self, reading: ProcessReading) -> bool:
        """True for a process of one of the job's containers."""
        if reading.pid == self._own_pid or self._key_of_pid.get(reading.parent_pid) == "":
            self._key_of_pid[reading.pid] = ""  # Ours and our descendants.
            return False
        key = self._look_up(reading)
        if key is None:
            return False
        self._enter(key, reading)
        return True

    def group(self, reading: ProcessReading) -> str:
        """The container of a member."""
        return self._key_of_pid[reading.pid]

    def regroup(self, reading: ProcessReading) -> str:
        """The container of a member, read again."""
        old = self._key_of_pid[reading.pid]
        key = self._look_up(reading) or old
        if key != old:
            self._containers[old].pids.discard(reading.pid)
            self._enter(key, reading)
        self._containers[key].names.setdefault(reading.name)
        self._containers[key].changed = True
        return key

    def forget(self, pid: int) -> None:
        """A member is gone."""
        key = self._key_of_pid.pop(pid, None)
        self._starts.pop(pid, None)
        if key:
            self._containers[key].pids.discard(pid)

    def ancestry(self, group: str) -> Iterable[str]:
        """The container and those it is nested in."""
        found = [group]
        container = self._containers.get(group)
        while container and container.parent and container.parent not in found:
            found.append(container.parent)
            container = self._containers.get(container.parent)
        return found

    def adopt(self, pid: int, child: str) -> str | None:
        """The container of a step that was shorter than a tick: its parent is the shim of one container."""
        keys = self._keys_of_shim.get(pid, set())
        return next(iter(keys)) if len(keys) == 1 and child[:15] not in _RUNTIMES else None

    @property
    def orphan_reaper(self) -> int | None:
        """Pid 1 of a pid namespace that several containers share."""
        if (
            self._sidecar
            and 1 in self._key_of_pid
            and sum(1 for one in self._containers.values() if one.declared) > 1
        ):
            return 1
        return None

    def refresh(self, elapsed: float) -> list[ContainerInfo]:
        """Open what is new, forget what is gone; returns the containers to declare anew."""
        found: list[ContainerInfo] = []
        for container in list(self._containers.values()):
            if container.group is None or (container.group.gone and not container.group.has_account):
                self._attach(container)
            elif not container.group.gone and container.group.reader is None and container.pids:
                self._retry(container)
            if container.changed:
                container.changed = False
                info = self._describe(container)
                if info != container.declared:
                    found.append(info)
                    container.began = False
                    container.declared = replace(info, began=False)
                container.names.clear()
        self._network.refresh({one.key: one.pids for one in self._containers.values()}, self._own_pid)
        for container in self._containers.values():
            if container.group is not None:
                container.group.network = self._network.read(container.key)
            self._watch_first_process(container)
        self._first_scan = False
        self._suspect()
        return found

    def first_process_ended(self, fd: int) -> None:
        """The process of a descriptor given to ``on_first_process`` has ended: read its container while it is there."""
        for container in self._containers.values():
            if container.first_process == fd:
                container.first_process = None
                os.close(fd)
                if container.group is not None:
                    container.group.settle()

    def live(self) -> list[Group]:
        """The groups of all containers that still have a process or an account, enclosing ones first."""
        return [
            one.group
            for one in self._containers.values()
            if one.group is not None and (one.pids or not one.group.gone)
        ]

    def close(self) -> None:
        """Give the descriptors back."""
        self._network.close()
        self._machine.close()
        for container in self._containers.values():
            if container.events is not None:
                container.events.close()
                container.events = None
            if container.first_process is not None:
                os.close(container.first_process)
                container.first_process = None

    def _watch_first_process(self, container: _Container) -> None:
        """Its oldest process is the one the container ends with; when others outlive it, the next one is."""
        if container.first_process is None and container.pids:
            oldest = min(container.pids, key=lambda pid: self._starts.get(pid, 0.0))
            try:
                container.first_process = os.pidfd_open(oldest)
            except OSError:
                return  # It ended meanwhile; the next scan finds out.
            self._on_first_process(container.first_process)

    def _suspect(self) -> None:
        """Who ended with this tick or the one before, while more were killed than the containers' accounts show."""
        accounted = sum((one.group.oom_kills or 0) if one.group else 0 for one in self._containers.values())
        unexplained = max(0, self._machine.take() - max(0, accounted - self._accounted_kills))
        self._accounted_kills = accounted
        self._killed = (self._killed[1], unexplained)
        for container in self._containers.values():
            over = not container.pids and container.declared is not None
            if over and not container.ended and any(self._killed):
                name = container.declared.name if container.declared else container.key
                self.suspects.append(name)
                self._warn(
                    f"{name} ended when the kernel killed a process for want of memory somewhere on this machine: "
                    f"probably its own."
                )
            container.ended = over

    def _look_up(self, reading: ProcessReading) -> str | None:
        try:
            with open(f"{self._root}/{reading.pid}/cgroup", "rb", buffering=0) as file:
                paths = procfs.parse_cgroup(file.read(16384))
        except (OSError, KernelFormatError):
            return None
        ref, path = _telling_path(paths)
        if ref is None and (not self._sidecar or _is_of_a_runtime(reading.name)):
            return (
                None  # A runtime's process is in its engine's cgroup until it enters that of its container.
            )
        container = self._ensure(ref, path)
        if container is not None:
            container.paths = paths
        return container.key if container else None

    def _ensure(self, ref: ContainerRef | None, path: str) -> _Container | None:
        key = ref.id[:_SHORT_ID] if ref and ref.id else (ref.path if ref else path)
        known = self._containers.get(key)
        if known is not None:
            return known
        if len(self._containers) >= _MAX_CONTAINERS:
            self._warn(f"More than {_MAX_CONTAINERS} containers were seen; the later ones are left out.")
            return None
        container = _Container(key, ref, ref.path if ref else path)
        container.began = not self._first_scan or (self._known is not None and key not in self._known)
        if ref is not None and ref.parent_path:
            # Before its child enters the table, so that enclosing containers always come first.
            parent = self._ensure(locate(ref.parent_path), ref.parent_path)
            container.parent = parent.key if parent else None
        self._containers[key] = container
        return container

    def _enter(self, key: str, reading: ProcessReading) -> None:
        container = self._containers[key]
        self._key_of_pid[reading.pid] = key
        container.pids.add(reading.pid)
        self._starts[reading.pid] = reading.start_seconds
        container.names.setdefault(reading.name)
        container.changed = True
        parent = reading.parent_pid
        if not self._sidecar and not self._key_of_pid.get(parent) and self._is_shim(parent):
            self._keys_of_shim.setdefault(parent, set()).add(key)
        if reading.start_seconds < self._started_after and container.declared is None:
            container.began = False  # It was there before us, although we see it only now.

    def _is_shim(self, pid: int) -> bool:
        """Whoever else is the parent of a container's process may have children of its own."""
        try:
            with open(f"{self._root}/{pid}/comm", "rb", buffering=0) as file:
                return file.read(64).strip().decode(errors="replace") in _SHIMS
        except OSError:
            return False

    def _attach(self, container: _Container) -> None:
        """Make the group; one whose cgroup was removed and made again begins anew."""
        again = container.group is not None
        if again and not container.pids:
            for keys in self._keys_of_shim.values():
                keys.discard(container.key)  # The pid of its shim may be given to a stranger.
            return
        place = self._find(container)
        container.group = Group(self._describe(container), self._open(container, place))
        container.group.being_made = place is None and _is_being_made(container.names)
        container.changed = True
        if again:
            container.began, container.declared = True, None

    def _retry(self, container: _Container) -> None:
        if container.group is None:
            return
        if container.group.being_made and container.names:
            container.retry_in = 0
            container.group.being_made = _is_being_made(container.names)
        container.retry_in -= 1
        if container.retry_in > 0:
            return
        container.retry_in = _RETRY_EVERY
        container.group.reader = self._open(container, self._find(container))
        if container.group.reader is not None:
            container.group.read()
            container.changed = True

    def _find(self, container: _Container) -> CgroupPlace | None:
        for pid in sorted(container.pids)[:3]:
            place = self._finder.find(pid, container.paths, container.path)
            if place is not None:
                return place
        return None

    def _open(self, container: _Container, place: CgroupPlace | None) -> CgroupReader | None:
        if place is None:
            return None
        bound = read_limits(place.directories, place.tops)
        container.limits = bound.limits
        own = all(place.directories.get(key) == path for key, path in bound.cpu_limit_directories.items())
        if container.events is not None:
            container.events.close()
        try:
            container.events = OomEvents(place.directories)
            self._on_events(container.events)
        except SourceUnavailable:
            container.events = None
        return CgroupReader(place.directories, None if own else bound.cpu_limit_directories)

    def _describe(self, container: _Container) -> ContainerInfo:
        naming = self._namer.name(container.key, container.ref, container.path, container.names)
        told = self._declared_limits.get(naming.name, DeclaredLimits())
        cpu, memory = container.limits.cpu_cores, container.limits.memory_bytes
        return ContainerInfo(
            key=container.key,
            name=naming.name,
            id=container.ref.id if container.ref else None,
            parent=container.parent,
            cgroup=container.path,
            began=container.began,
            cpu_limit_cores=told.cpu_limit_cores
            if cpu in (None, "unlimited") and told.cpu_limit_cores
            else cpu,
            memory_limit_bytes=told.memory_limit_bytes
            if memory in (None, "unlimited") and told.memory_limit_bytes
            else memory,
            cpu_request_cores=told.cpu_request_cores,
            memory_request_bytes=told.memory_request_bytes,
        )


def _is_of_a_runtime(name: str) -> bool:
    return name in _RUNTIMES or name.startswith(BEING_MADE)


def _is_being_made(names: Iterable[str]) -> bool:
    return all(name.startswith(BEING_MADE) for name in names)


def _telling_path(paths: Mapping[str, str]) -> tuple[ContainerRef | None, str]:
    """The container that the best telling hierarchy names, else that hierarchy's path."""
    for key in _TELLING:
        ref = locate(paths[key]) if key in paths else None
        if ref is not None:
            return ref, paths[key]
    for key in _TELLING:
        if key in paths:
            return None, paths[key]
    return None, next(iter(paths.values()), "/")


def in_initial_pid_namespace(root: str = "/proc") -> bool:
    """True on a host: the initial pid namespace has a fixed inode (PROC_PID_INIT_INO, linux/proc_ns.h)."""
    try:
        return os.stat(f"{root}/self/ns/pid").st_ino == 0xEFFFFFFC
    except OSError:
        return False
