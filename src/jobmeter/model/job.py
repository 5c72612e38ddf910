"""Which job a run belongs to, and on which machine it ran."""

from msgspec import Struct


class Job(Struct, frozen=True, kw_only=True):
    """One execution of one CI job on a forge; what is not known is null. It is not a run's key."""

    forge: str | None = None
    server_url: str | None = None
    organization: str | None = None
    repository: str | None = None
    workflow: str | None = None
    job: str | None = None
    run_id: str | None = None
    attempt: int | None = None
    matrix: dict[str, str | int | float | bool | None] | None = None
    ref: str | None = None
    base_ref: str | None = None
    sha: str | None = None
    event: str | None = None
    runner: str | None = None
    runner_labels: tuple[str, ...] = ()


class Host(Struct, frozen=True, kw_only=True):
    """The machine: ``memory_bytes`` is MemTotal, ``cpus`` what the machine has online."""

    name: str | None = None
    cpus: int | None = None
    memory_bytes: int | None = None
    kernel: str | None = None
