"""One metered group at one tick: the best source for each number, each named."""

from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

from jobmeter.linux.cgroup_reader import CgroupGone, CgroupReader
from jobmeter.metering.processes import ProcessWatch
from jobmeter.model.readings import CgroupReading
from jobmeter.model.sample import ContainerInfo, ContainerSample, CpuSource

Number = TypeVar("Number", int, float)
Source = Literal["auto", "cgroup", "exit_records", "proc"]

_PREFERENCE: dict[Source, Sequence[CpuSource]] = {
    "auto": ("cgroup", "exit_records", "proc"),
    "cgroup": ("cgroup", "exit_records", "proc"),
    "exit_records": ("exit_records", "cgroup", "proc"),
    "proc": ("proc",),
}
# Who reaps all orphans itself has an exact ledger; exit records end shortly before the process does.
_PREFERENCE_OF_REAPER: dict[Source, Sequence[CpuSource]] = _PREFERENCE | {
    "auto": ("cgroup", "proc"),
    "cgroup": ("cgroup", "proc"),
}
_NOTHING = CgroupReading()


class Group:
    """A group, its declaration and its cgroup's reader, where it has one.

    ``bounds`` reads an enclosing cgroup that the group shares with others: only what was throttled
    and killed there since the start is taken from it. ``reaped_io`` gives the bytes that reaped
    processes read and wrote, for a cgroup without such an account.
    """

    def __init__(
        self,
        info: ContainerInfo,
        reader: CgroupReader | None = None,
        bounds: CgroupReader | None = None,
        reaped_io: Callable[[], tuple[int, int]] | None = None,
    ) -> None:
        self._reaped_io = reaped_io
        self.info = info
        self.reader = reader
        self.bounds = bounds
        self._account: CgroupReading | None = None
        self._settled: CgroupReading | None = None
        self.gone = False
        self.lost_tail = False
        self.oom_kills: int | None = None
        self.being_made = False
        self._bounds_first = _read(bounds)
        self._child_peak: int | None = None
        self.network: tuple[int, int] | None = None

    @property
    def key(self) -> str:
        """The group's key."""
        return self.info.key

    def accounts_cpu(self) -> bool:
        """True while the group's cgroup gives its CPU time."""
        return self.reader is not None and "cpu_seconds" in self.reader.gives

    @property
    def has_account(self) -> bool:
        """True between ``read`` and ``sample`` where there was something to read, be it the last account."""
        return self._account is not None

    def owns_oom_account(self) -> bool:
        """True when OOM kills are counted by the group's own cgroup, which nobody else is in."""
        return self.reader is not None and "oom_kills" in self.reader.gives

    @property
    def turned_off(self) -> frozenset[str]:
        """Fields that its cgroup gave until somebody turned their controller off."""
        return self.reader.turned_off if self.reader is not None else frozenset()

    def abandon_cgroup(self) -> None:
        """Read the cgroup no more: the group's processes are not in it."""
        if self.reader is not None:
            self.reader.close()
            self.reader = None

    def note_child_peak(self, peak_bytes: int | None) -> None:
        """A reaped child's largest resident set, itself or a descendant it waited for."""
        self._child_peak = _largest(self._child_peak, peak_bytes)

    def read(self) -> None:
        """Read the group's cgroup now; the next sample is made of it."""
        before = self.gone
        account = self._read_cgroup()
        self._account = account if not self.gone else None if before else self._settled
        self.lost_tail = self.lost_tail or (self.gone and not before and self._settled is None)
        self.oom_kills = _largest(self.oom_kills, account.oom_kills)

    def settle(self) -> None:
        """Read it once more at once: its first process has ended, so that the cgroup will be gone in some 30 ms."""
        account = self._read_cgroup()
        self._settled = None if self.gone else account
        self.lost_tail = self.lost_tail or self.gone
        self.oom_kills = _largest(self.oom_kills, account.oom_kills)

    def sample(self, watch: ProcessWatch, source: Source, scanned: bool) -> ContainerSample | None:
        """What the group used up to the last ``read``; memory by process only when processes were scanned.

        None once its cgroup was removed and its last account was given; ``lost_tail`` says that there was none.
        """
        if self._account is None and not self.gone:
            self.read()
        account, self._account = self._account, None
        if account is None:
            return None
        if self.being_made:
            return ContainerSample(key=self.key)  # It is there, and will be told in full once it can be read.
        cpu_source, cpu = self._cpu(account, watch, source)
        use = watch.use(self.key)
        inactive, current = account.memory_inactive_file_bytes, account.memory_current_bytes
        working_set = max(0, current - inactive) if current is not None and inactive is not None else None
        rss = use.rss_bytes if scanned else None
        if scanned and use.processes == 0:
            working_set = rss = None  # Nothing runs, so there is no use to be measured, only a remnant.
        before, bounds = self._bounds_first, _read(self.bounds)
        throttled_outside = _since(before.throttled_seconds, bounds.throttled_seconds)
        killed_outside = _since(before.oom_kills, bounds.oom_kills)
        io = self._io(account, watch)
        return ContainerSample(
            key=self.key,
            cpu_source=cpu_source,
            cpu_seconds=cpu[0],
            cpu_user_seconds=cpu[1],
            cpu_system_seconds=cpu[2],
            memory_source="rss" if current is None or inactive is None else "working_set",
            memory_bytes=rss if working_set is None else working_set,
            rss_bytes=rss,
            high_water_bytes=_largest(use.high_water_bytes, self._child_peak),
            charged_peak_bytes=account.memory_peak_bytes,
            throttled_seconds=self._first("throttled_seconds", account.throttled_seconds, throttled_outside),
            oom_kills=self._first("oom_kills", account.oom_kills, killed_outside),
            pressure=account.pressure,
            io_read_bytes=io[0],
            io_write_bytes=io[1],
            network_rx_bytes=self.network[0] if self.network else None,
            network_tx_bytes=self.network[1] if self.network else None,
            pids=_first(account.pids, use.tasks if scanned else None) or None,  # As memory: nothing runs.
            pids_peak=account.pids_peak,
        )

    def close(self) -> None:
        """Give the descriptors back."""
        for reader in (self.reader, self.bounds):
            if reader is not None:
                reader.close()
        self.reader = self.bounds = None

    def _read_cgroup(self) -> CgroupReading:
        if self.reader is None:
            return _NOTHING
        try:
            return self.reader.read()
        except CgroupGone:
            self.gone = True
            self.reader.close()
            self.reader = None
            return _NOTHING

    def _first(self, field: str, own: Number | None, outside: Number | None) -> Number | None:
        """Another account does not go on where our own was turned off."""
        return own if field in self.turned_off else _first(own, outside)

    def _io(self, account: CgroupReading, watch: ProcessWatch) -> tuple[int | None, int | None]:
        if account.io_read_bytes is not None:
            return account.io_read_bytes, account.io_write_bytes
        reaped = self._reaped_io() if self._reaped_io else None
        return reaped or watch.recorded_io_bytes(self.key) or (None, None)

    def _cpu(
        self, account: CgroupReading, watch: ProcessWatch, source: Source
    ) -> tuple[CpuSource | None, tuple[float | None, float | None, float | None]]:
        preference = _PREFERENCE_OF_REAPER if watch.has_reaper else _PREFERENCE
        for candidate in preference[source]:
            if candidate == "cgroup" and account.cpu_seconds is not None:
                return candidate, (account.cpu_seconds, account.cpu_user_seconds, account.cpu_system_seconds)
            if candidate == "exit_records" and (recorded := watch.recorded_cpu_seconds(self.key)):
                if watch.has_reaper and watch.records_lost:
                    continue  # The ledger of who reaps everything is whole.
                return candidate, recorded
            if candidate == "proc":
                return candidate, watch.cpu_seconds(self.key)
        return None, (None, None, None)


def _read(reader: CgroupReader | None) -> CgroupReading:
    if reader is None:
        return _NOTHING
    try:
        return reader.read()
    except CgroupGone:
        return _NOTHING


def _since(first: Number | None, now: Number | None) -> Number | None:
    return None if first is None or now is None or now < first else now - first


def _first(one: Number | None, other: Number | None) -> Number | None:
    return other if one is None else one


def _largest(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)
