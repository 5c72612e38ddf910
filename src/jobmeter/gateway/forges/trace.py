"""Which stage a GitLab job is in, by the section markers that its runner writes into the trace.

A marker is ``section_start:<seconds>:<name>[options]\\r\\x1b[0K``, or with ``section_end``. A script may write its own:
sections do not nest for the runner, so a start within another section, and any name that no runner
has, is the script's. States and executor stages are in no marker; they follow from the stage as far as it tells them.
"""

import re
from typing import Literal

from msgspec import Struct

STAGES = frozenset(
    {
        "resolve_secrets",
        "prepare_executor",
        "prepare_script",
        "get_sources",
        "clear_worktree",
        "restore_cache",
        "download_artifacts",
        "build_script",
        "after_script",
        "archive_cache",
        "archive_cache_on_failure",
        "upload_artifacts",
        "upload_artifacts_on_success",
        "upload_artifacts_on_failure",
        "cleanup_file_variables",
    }
)
"""Of gitlab-runner 19.4 and of AlloyCI 1.0; beside them ``step_<name>``, of which ``step_script`` is the usual one."""

MAX_STEPS = 16
"""Different ``step_<name>`` of one job that are believed: each is a label value, and scripts can imitate them."""

_NAME, _OPTIONS = 64, 256
_MARKER = re.compile(
    rb"section_(start|end):(\d{1,12}):([A-Za-z0-9_.-]{1,%d})(?:\[[^\[\]\r\n]{0,%d}\])?\r\x1b\[0K"
    % (_NAME, _OPTIONS)
)
_LONGEST = len(b"section_start:") + 12 + 1 + _NAME + _OPTIONS + 2 + len(b"\r\x1b[0K")
_STEP = re.compile(r"step_[a-z0-9_]{1,59}\Z")
_BEFORE_RUN = frozenset({"", "resolve_secrets", "prepare_executor"})
_WORK = ("step_", "build_script")


class Stage(Struct, frozen=True):
    """Where a job is, in the words of ``ci_runner_builds``."""

    stage: str
    state: Literal["pending", "running"]
    executor_stage: str


class Trace:
    """Reads one job's trace as it comes, in any cuts; it holds at most one marker's length of it.

    ``executor`` is the runner's word for how it runs jobs (``shell``, ``docker``, ``docker+machine``).
    """

    def __init__(self, executor: str | None = None) -> None:
        self._docker = (executor or "").startswith("docker")
        self._position = 0
        self._tail = b""
        self._open: str | None = None
        self._steps: set[str] = set()
        self._stage = ""
        self.work_at: float | None = None
        """When the first step or script was seen to begin, in whole seconds since the epoch by the runner's clock."""

    @property
    def now(self) -> Stage:
        """Where the job is."""
        before_run = self._stage in _BEFORE_RUN
        return Stage(self._stage, "pending" if before_run else "running", self._executor_stage(before_run))

    def feed(self, start: int, part: bytes) -> list[Stage]:
        """What changed with this part, whose first byte is number ``start`` of the trace.

        What was read before is passed over: a runner sends again what it has no answer for.
        """
        if start > self._position:
            # The section that was open may have ended in what is missing.
            self._tail, self._open = b"", None
        elif start < self._position:
            part = part[self._position - start :]
        if not part:
            return []
        self._position = max(start, self._position) + len(part)
        return self._read(self._tail + part)

    def _read(self, text: bytes) -> list[Stage]:
        changes, end = [], 0
        for marker in _MARKER.finditer(text):
            end = marker.end()
            if self._mark(marker[1] == b"start", marker[3].decode()):
                changes.append(self.now)
                if self.work_at is None and self._stage.startswith(_WORK):
                    self.work_at = float(marker[2])
        self._tail = text[max(end, len(text) - _LONGEST + 1) :]
        return changes

    def _mark(self, starts: bool, name: str) -> bool:
        """Whether the stage changed."""
        if not starts:
            if name == self._open:
                self._open = None
            return False
        if self._open is not None or not self._is_stage(name):
            return False
        self._open = name
        changed, self._stage = name != self._stage, name
        return changed

    def _is_stage(self, name: str) -> bool:
        if name in STAGES or name in self._steps:
            return True
        if not _STEP.match(name) or len(self._steps) >= MAX_STEPS:
            return False
        self._steps.add(name)
        return True

    def _executor_stage(self, before_run: bool) -> str:
        """As gitlab-runner shows it; what happens within the making of containers is not told by markers."""
        if self._stage in ("", "resolve_secrets"):
            return "created"
        if not self._docker:
            return "prepare"
        return "docker_prepare" if before_run else "docker_run"
