"""What a keeper is told: the runner to start, as whom, where, and within which limits."""

from collections.abc import Mapping

from msgspec import Struct

from jobmeter.model.job import Job


class Limits(Struct, frozen=True, kw_only=True):
    """What one task may use at most; None: no limit of its own, those above its cgroup hold all the same.

    ``pids`` counts processes and threads.
    """

    cpu_cores: float | None = None
    memory_bytes: int | None = None
    pids: int | None = None
    timeout_seconds: float | None = None


class Spec(Struct, frozen=True, kw_only=True):
    """Everything a keeper is told.

    ``name`` is that of the task's cgroup, which no other task of the machine has. ``folder`` is the launch's own
    (0700, ours): `keeper.json`, `ended.json` and ``output`` are in it. ``work_dir`` is where the runner is started,
    and belongs to ``user``; without one it runs as we do. ``argv`` and ``environ`` are the runner's whole command and
    environment. ``journal`` is a file for the run's records, removed once the receiver has them all; without a
    receiver it stays, and the newest hundred in its directory are kept, beside those that are written.
    The receiver is waited for ``grace_seconds`` at the end. ``output`` names a file in the folder for the last
    mebibyte of what the runner writes to stdout and stderr.
    """

    task_id: str
    name: str
    folder: str
    work_dir: str
    argv: tuple[str, ...]
    environ: Mapping[str, str]
    journal: str
    user: str | None = None
    limits: Limits = Limits()
    job: Job | None = None
    receiver: str | None = None
    receiver_token: str | None = None
    grace_seconds: float = 30.0
    interval_seconds: float = 1.0
    output: str = "output.log"

    def __repr__(self) -> str:
        """Secrets are in the environment and in the token, and may be in the command."""
        return f"Spec(task_id={self.task_id!r}, name={self.name!r})"
