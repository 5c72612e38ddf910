"""The cgroups of a host that are no containers: its root, slices, services, pods; not what lies inside containers."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec.structs import replace

from jobmeter.containers.cgroup_path import locate
from jobmeter.exporter.beginnings import began
from jobmeter.exporter.container import Identity, Row
from jobmeter.exporter.machine import Machine
from jobmeter.linux import procfs
from jobmeter.linux.account_reader import AccountReader
from jobmeter.linux.block_devices import read_filesystems
from jobmeter.linux.cgroup_limits import read_bounds
from jobmeter.linux.cgroup_mounts import TELLING, Hierarchy
from jobmeter.linux.cgroup_reader import CgroupGone
from jobmeter.linux.descriptors import Descriptors
from jobmeter.model.account import Account, Bounds, Interface, Spec
from jobmeter.model.errors import KernelFormatError

MAX_GROUPS = 1000
ROOT = "/"
_LOOK_EVERY = 6
_NOBODY = Identity()


class Groups:
    """Reads them at each ``tick``; not for several threads, but ``rows`` may be read by any.

    A row's id is its path. ``errors`` counts the readings that failed, by kind.
    """

    def __init__(
        self,
        hierarchies: Iterable[Hierarchy],
        machine: Machine,
        *,
        descriptors: Descriptors,
        errors: dict[str, int],
        root: str = "/proc",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._tops = {
            one: hierarchy.mount_point.rstrip("/")
            for hierarchy in hierarchies
            for one in hierarchy.controllers
        }
        self._top = next((self._tops[one] for one in TELLING if one in self._tops), None)
        self._machine = machine
        self._descriptors = descriptors
        self._errors = errors
        self._root = root
        self._clock = clock
        self.rows: tuple[Row, ...] = ()
        """What is shown: replaced as a whole, never changed."""
        self.refused = 0
        """Those beyond what is shown at most, at the last tick; what lies in them is not looked for."""
        self._groups: dict[str, _Group] = {}
        self._is_container: dict[str, bool] = {}
        self._newcomers: list[str] = []
        self._ticks = 0

    def tick(self) -> None:
        """Read all that are there now and publish them."""
        found = dict(self._walk())
        for path in self._groups.keys() - found.keys():
            self._groups.pop(path).close()
        self._ticks += 1
        for number, (path, inode) in enumerate(found.items()):
            group = self._groups.get(path)
            if group is None or (number + self._ticks) % _LOOK_EVERY == 0:
                group = self._groups[path] = self._looked_at(path, inode, group)
            try:
                group.read()
            except CgroupGone:
                self._groups.pop(path).close()
        self._date_newcomers()
        rows = [self._groups[path].row for path in found if path in self._groups]
        self.rows = tuple(self._of_machine(row) if row.path == ROOT else row for row in rows)

    def close(self) -> None:
        """Give the descriptors back."""
        for group in self._groups.values():
            group.close()
        self._groups = {}

    def _walk(self) -> Iterator[tuple[str, int]]:
        """With their inodes; from the root downwards, so that the bound leaves out what lies deepest."""
        before, self._is_container = self._is_container, {}
        self._newcomers = []
        if self._top is None:
            return
        yield ROOT, 0
        count, refused, waiting = 1, 0, deque([""])
        while waiting:
            above = waiting.popleft()
            for path, inode in _children(self._top, above):
                self._leave_one_of_before(path, inode)
                inside = before.get(path)
                if inside is None:
                    inside = (ref := locate(path)) is not None and ref.path == path
                self._is_container[path] = inside
                if inside:
                    if (above or ROOT) not in self._groups:
                        self._newcomers.append(path)
                    continue
                if count >= MAX_GROUPS:
                    refused += 1
                    continue
                count += 1
                if path not in self._groups:
                    self._newcomers.append(path)
                yield path, inode
                waiting.append(path)
        self.refused = refused

    def _leave_one_of_before(self, path: str, inode: int) -> None:
        """A service that is started again has another cgroup, whose counters begin at 0."""
        group = self._groups.get(path)
        if group is not None and group.inode != inode:
            self._groups.pop(path).close()

    def _looked_at(self, path: str, inode: int, group: "_Group | None") -> "_Group":
        """It with the limits that it has now; anew when a controller's directory has come since."""
        directories = self._directories("" if path == ROOT else path)
        if group is None or group.directories.keys() != directories.keys():
            started = (self._machine.booted if path == ROOT else None) or self._clock()
            if group is not None:
                group.close()
                started = group.started
            reader = AccountReader(directories, self._descriptors, self._errors, detailed=True)
            group = _Group(path, inode, directories, reader, started)
        group.row = replace(group.row, bounds=read_bounds(directories, self._tops, with_spec=True))
        return group

    def _directories(self, path: str) -> dict[str, str]:
        return {one: top + path for one, top in self._tops.items() if os.path.isdir(top + path)}

    def _date_newcomers(self) -> None:
        """What is around a cgroup is no younger: of a slice, which has no processes, what is in it tells most."""
        now = self._clock()
        for path in self._newcomers:
            moment = began(self._directories(path).values(), self._root, now)
            around = path
            while around:
                if around in self._groups:
                    self._groups[around].began_by(moment)
                around = around.rpartition("/")[0]

    def _of_machine(self, row: Row) -> Row:
        """The root is the whole machine: its interfaces, its file systems; its limits are what there is."""
        account, machine = row.account, self._machine
        if account.memory_usage_bytes is None:
            # The root of version 2 has no usage of its own.
            account = replace(
                account, memory_usage_bytes=_sum(account.memory_anon_bytes, account.memory_file_bytes)
            )
        spec = replace(
            row.bounds.spec or Spec(),
            memory_limit_bytes=machine.memory_bytes,
            memory_swap_limit_bytes=machine.swap_bytes,
        )
        return replace(
            row,
            account=replace(account, interfaces=self._interfaces(), filesystems=read_filesystems(self._root)),
            bounds=replace(row.bounds, spec=spec),
        )

    def _interfaces(self) -> tuple[Interface, ...] | None:
        """The host's: the first process is in its network namespace."""
        try:
            with open(f"{self._root}/1/net/dev", "rb") as file:
                return procfs.parse_interfaces(file.read())
        except (OSError, KernelFormatError):
            return None


class _Group:
    """One of them, by the directories of its controllers."""

    def __init__(
        self, path: str, inode: int, directories: Mapping[str, str], reader: AccountReader, started: float
    ) -> None:
        self.inode = inode
        self.started = started
        self.directories = directories
        self._reader = reader
        self.close = reader.close
        self.row = Row(
            id=path, path=path, parent=None, engine=None, pod=None, identity=_NOBODY, account=Account(),
            bounds=Bounds(), started=started,
        )  # fmt: skip

    def began_by(self, moment: float) -> None:
        """It was there then, in seconds since 1970."""
        if moment < self.started:
            self.started = moment
            self.row = replace(self.row, started=moment)

    def read(self) -> None:
        """Bring the account up to date. Raises CgroupGone."""
        account = self._reader.read()
        if account is not self.row.account:
            self.row = replace(self.row, account=account)


def _children(top: str, path: str) -> list[tuple[str, int]]:
    try:
        with os.scandir(top + path) as entries:
            return [
                (f"{path}/{entry.name}", entry.inode())
                for entry in entries
                if entry.is_dir(follow_symlinks=False)
            ]
    except OSError:
        return []


def _sum(one: int | None, other: int | None) -> int | None:
    return one + other if one is not None and other is not None else None
