"""Where the launches of one forge are on this machine, and what is kept of each for a restart."""

import hashlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from jobmeter.gateway.faults import may_pass
from jobmeter.gateway.keeping.files import make_folder, write_whole
from jobmeter.supervise.keeper.spec import Limits

_ID = re.compile(r"\d{1,20}")
_FILE = "launch.json"
_OUTPUT = "output.log"
_KEPT = "-failed"
_ROOM_BYTES = 64 * 1024


class Record(Struct, kw_only=True):
    """One launch, as `launch.json` has it.

    ``runner`` is the name of its registration, ``digest`` that of the runner's credentials. ``token`` is the job's own
    at GitLab: nobody without it can tell GitLab of the job's end, so it is here until then. ``attempt`` counts the
    starts, ``handed`` says that the last runner was given the task, ``address`` where it reaches us. ``limits`` are
    those that it was begun with. Earlier releases kept neither of these two.
    """

    task_id: str
    runner: str
    work_dir: str
    digest: str = ""
    token: str | None = None
    attempt: int = 0
    handed: bool = False
    limits: Limits | None = None
    address: str = ""

    def __repr__(self) -> str:
        """Without the token."""
        return f"Record(task_id={self.task_id!r}, runner={self.runner!r}, attempt={self.attempt})"


class Site:
    """Folders and names of one forge's launches; those of another gateway, or another forge, are others."""

    def __init__(self, state_dir: Path, forge: str) -> None:
        self._folder = state_dir / "launches" / forge
        self._journals = state_dir / "journals"
        self._forge = forge
        place = hashlib.sha256(str(state_dir.resolve()).encode("utf-8", "surrogateescape")).hexdigest()
        self.prefix = f"jobmeter-task-{place[:8]}-{forge}-"

    def make(self) -> None:
        """Raises OSError."""
        for folder in (self._folder.parent, self._folder, self._journals):
            make_folder(folder)

    def name(self, task_id: str) -> str:
        """Of a task's cgroup, and of its work dir. Raises OSError for an id that no forge gives."""
        if not _ID.fullmatch(task_id):
            raise OSError(0, "a task's id is no number")
        return self.prefix + task_id

    def task_of(self, name: str) -> str | None:
        """The task with this name; None if it is none of ours."""
        task_id = name.removeprefix(self.prefix)
        return task_id if name != task_id and _ID.fullmatch(task_id) else None

    def folder(self, task_id: str) -> Path:
        """A launch's own."""
        self.name(task_id)
        return self._folder / task_id

    def journal(self, task_id: str) -> Path:
        """Where what was metered of a task waits for the receiver."""
        return self._journals / f"{self._forge}-{task_id}.jsonl"

    def output(self, task_id: str) -> Path:
        """What its runner writes, while the launch has its folder."""
        return self.folder(task_id) / _OUTPUT

    def write(self, record: Record) -> None:
        """Raises OSError."""
        folder = self.folder(record.task_id)
        folder.mkdir(mode=0o700, exist_ok=True)
        write_whole(folder / _FILE, msgspec.json.encode(record))

    def refuse_full(self) -> None:
        """Raises OSError where as much as a launch needs cannot be written."""
        # Without a sync none of it need reach the disk. What a kill leaves of it goes at the next start.
        room = self._folder / ".room.new"
        try:
            room.write_bytes(bytes(_ROOM_BYTES))
        finally:
            room.unlink(missing_ok=True)

    def read(self, task_id: str) -> Record | None:
        """None if there is none, or if it is damaged. Raises OSError for want of descriptors or memory alone."""
        try:
            return msgspec.json.decode((self.folder(task_id) / _FILE).read_bytes(), type=Record)
        except OSError as error:
            if may_pass(error):
                raise
            return None
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None

    def has_record(self, task_id: str) -> bool:
        """Whether there is one, damaged or not."""
        return (self.folder(task_id) / _FILE).exists()

    def tasks(self) -> list[str]:
        """Those with a folder."""
        return [path.name for path in self._folder.iterdir() if _ID.fullmatch(path.name)]

    def work_dirs(self, parent: str) -> Iterator[tuple[str, Path]]:
        """Task and work dir of all that are there; those that were kept are none."""
        try:
            found = list(Path(parent).iterdir())
        except OSError:
            return
        for path in found:
            if (task_id := self.task_of(path.name)) is not None:
                yield task_id, path

    def kept_work_dir(self, work_dir: Path) -> Path:
        """Where that of a failed task is kept."""
        return work_dir.with_name(work_dir.name + _KEPT)

    def remove(self, task_id: str) -> None:
        """Take a launch's folder away. Raises OSError."""
        shutil.rmtree(self.folder(task_id), ignore_errors=False)
