"""One container of the host: what is known of it, and its account as it was read last."""

import os
from collections.abc import Collection, Mapping
from itertools import islice
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from jobmeter.containers.cgroup_path import ContainerRef, locate, short_name
from jobmeter.exporter.network import NO_TRAFFIC, Traffic
from jobmeter.linux.account_reader import AccountReader
from jobmeter.linux.cgroup_limits import Levels, read_bounds
from jobmeter.linux.descriptors import Descriptors
from jobmeter.linux.machine_activity import EVERYTHING
from jobmeter.model.account import Account, Bounds
from jobmeter.model.job import Job

Attribution = Literal["announced", "own", "nesting", "ancestry", "only_job", "machine"]
"""How it is known whose a container is: a trusted daemon has announced it, it says so itself, it lies in another's
cgroup, its processes descend from another's, only one job can have made it, or the machine that it is on says so and no
more."""

NATIVE = "linux-native"
"""How containers of the host itself run, unless someone calls it otherwise: in its own kernel."""
_MAX_INNER = 64


class Identity(Struct, frozen=True, kw_only=True):
    """What an engine and the container's own environment say of it; None where nothing does.

    ``labels`` are the container's own with its pod's, ``task_id`` is the forge's id of this execution of the job,
    ``execution`` tells it from all others for as long as this process runs. A container without ``attribution``
    belongs to no job that is known.
    """

    name: str | None = None
    image: str | None = None
    labels: Mapping[str, str] = {}
    namespace: str | None = None
    pod_name: str | None = None
    role: str | None = None
    job: Job | None = None
    task_id: str | None = None
    execution: str | None = None
    attribution: Attribution | None = None

    @property
    def resolved(self) -> bool:
        """Whether the repository of its job is known."""
        return self.job is not None and self.job.repository is not None


class Row(Struct, frozen=True, kw_only=True):
    """A container as a scrape shows it. Times are seconds since 1970; ``ended`` is None while it lives.

    ``runtime`` says how it is run. ``machine`` is the name of the other machine that it is on, and empty for the host
    itself; ``id`` and ``parent`` are that machine's words, and ``path`` is no other container's on any machine.
    ``started`` is None where nobody told. ``number`` tells it from those that had its path before.
    """

    id: str
    path: str
    parent: str | None
    engine: str | None
    pod: str | None
    identity: Identity
    account: Account
    bounds: Bounds
    started: float | None
    ended: float | None = None
    runtime: str = NATIVE
    machine: str = ""
    number: int = 0

    @property
    def key(self) -> str:
        """Its id as all machines of one page tell it apart."""
        return self.path if self.machine else self.id

    @property
    def parent_key(self) -> str | None:
        """The key of the container that it lies in."""
        return f"{self.machine}/{self.parent}" if self.machine and self.parent else self.parent

    @property
    def name(self) -> str:
        """As its engine calls it, else what its path gives."""
        return self.identity.name or short_name(self.path)


class Container:
    """A container below the mount points ``tops``, by controller (``""`` is the unified hierarchy).

    ``detailed``: each device and what is set on the cgroup itself are read too. ``seen`` is when it was noticed,
    by a clock that nobody sets, and ``gone`` when its end was, None until then.
    ``started`` is by the clock of what is shown.
    ``around`` is the container that it lies in: that very one, not another that has its path later.
    """

    def __init__(
        self,
        ref: ContainerRef,
        tops: Mapping[str, str],
        *,
        around: "Container | None" = None,
        started: float,
        seen: float,
        descriptors: Descriptors,
        errors: dict[str, int],
        detailed: bool = False,
        runtime: str = NATIVE,
        number: int = 0,
    ) -> None:
        self.ref = ref
        self.around = around
        self.seen = seen
        self.started = started
        self.gone: float | None = None
        self._tops = tops
        self._descriptors = descriptors
        self._errors = errors
        self._detailed = detailed
        self._directories: dict[str, str] = {}
        self._reader = AccountReader({}, descriptors, errors)
        self._last_read: Account | None = None
        self._traffic = NO_TRAFFIC
        self.pidfd: int | None = None
        self.first_pid: int | None = None
        self.row: Row = Row(
            id=ref.id or ref.path, path=ref.path, parent=around.row.id if around else None, engine=ref.engine,
            pod=ref.pod, identity=Identity(), account=Account(), bounds=Bounds(), started=started,
            runtime=runtime, number=number,
        )  # fmt: skip

    def read(
        self,
        traffic: Traffic,
        *,
        whole: bool = False,
        with_pressure: bool = True,
        grown: Collection[str] = EVERYTHING,
    ) -> None:
        """Bring the account up to date; as AccountReader does. Raises CgroupGone."""
        try:
            self._reader.read(whole=whole, with_pressure=with_pressure, grown=grown)
        finally:
            self._take(traffic)

    def _take(self, traffic: Traffic) -> None:
        account = self._reader.account
        if account is self._last_read and traffic == self._traffic:
            return
        self._last_read, self._traffic = account, traffic
        received, sent, interfaces = traffic
        account = replace(
            account, network_received_bytes=received, network_sent_bytes=sent, interfaces=interfaces
        )
        self.row = replace(self.row, account=account)

    def open_what_is_there(self) -> None:
        """Its directories: engines make them one after the other."""
        if len(self._directories) == len(self._tops):
            return
        found = {
            one: top + self.row.path for one, top in self._tops.items() if os.path.isdir(top + self.row.path)
        }
        if len(found) > len(self._directories):
            self._reader.close()
            self._directories = found
            self._reader = AccountReader(
                found, self._descriptors, self._errors, detailed=self._detailed, belongs=self._belongs
            )

    def look_up_bounds(self, levels: Levels | None = None) -> None:
        """Read the limits again, but for those that ``levels`` knows; of one that is gone they stay."""
        bounds = read_bounds(self._directories, self._tops, levels, with_spec=self._detailed)
        if bounds != self.row.bounds and all(map(os.path.isdir, self._directories.values())):
            self.row = replace(self.row, bounds=bounds)

    def processes(self) -> list[int]:
        """Pids of its processes, oldest number first; none once it is gone.

        Those in its own directory. Where that holds none, as where crun or a systemd within have made directories
        of their own, those below that are in no container of their own.
        """
        for directory in self._directories.values():
            pids = _pids(directory)
            if pids is not None:
                return sorted(pids or self._pids_below(directory))
        return []

    def _pids_below(self, directory: str) -> list[int]:
        found: list[int] = []
        waiting = [""]
        for _ in range(_MAX_INNER):
            if not waiting:
                break
            for inner in _directories_in(directory, waiting.pop()):
                if self._belongs(inner):
                    found += _pids(directory + inner) or ()
                    waiting.append(inner)
        return found

    def _belongs(self, inner: str) -> bool:
        """Whether a cgroup below is in no container of its own."""
        ref = locate(self.ref.path + inner)
        return ref is not None and ref.path == self.ref.path

    def call(self, identity: Identity) -> None:
        """Take over what is known of it by now."""
        if identity is not self.row.identity:
            self.row = replace(self.row, identity=identity)

    def hold_first_process(self) -> int | None:
        """A descriptor that is readable once its first process has ended; None where there is none, or no room."""
        pids = self.processes()
        if not pids:
            return None
        try:
            self.pidfd = self._descriptors.keep_process(pids[0])
        except OSError:
            return None
        self.first_pid = pids[0]
        return self.pidfd

    def began_by(self, moment: float) -> None:
        """It was there then, in seconds since 1970."""
        if moment < self.started:
            self.started = moment
            self.row = replace(self.row, started=moment)

    def lie_in(self, around: "Container") -> None:
        """That one is watched only now."""
        self.around = around
        self.row = replace(self.row, parent=around.row.id)

    def let_go_of_process(self) -> None:
        """Its first process has ended."""
        if self.pidfd is not None:
            self._descriptors.give_process_back(self.pidfd)
            self.pidfd = self.first_pid = None  # The number may be another's from now on.

    def end(self, now: float, *, ended: float) -> None:
        """It is gone: give back what it held. ``now`` is by the clock of ``seen``, ``ended`` is what is shown."""
        self.gone = now
        self.row = replace(self.row, ended=ended)
        self.close()

    def close(self) -> None:
        """Give the descriptors back."""
        self._reader.close()
        self.let_go_of_process()


def _pids(directory: str) -> list[int] | None:
    """Those of our pid namespace (others are 0); None where they cannot be read."""
    try:
        with open(f"{directory}/cgroup.procs", "rb") as file:
            return [pid for pid in map(int, file.read().split()) if pid]
    except (OSError, ValueError):
        return None


def _directories_in(top: str, path: str) -> list[str]:
    try:
        with os.scandir(top + path) as entries:
            found = (f"{path}/{entry.name}" for entry in entries if entry.is_dir(follow_symlinks=False))
            return list(islice(found, _MAX_INNER))
    except OSError:
        return []
