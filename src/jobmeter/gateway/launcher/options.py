"""What launch mode is told; the names are the keys of ``[[forge.runner]]``."""

from collections.abc import Mapping

from msgspec import Struct, field

from jobmeter.supervise.keeper.spec import Limits


class RunnerOptions(Struct, frozen=True, kw_only=True):
    """One registration, and how its runner is started for a task.

    It is read from ``registration_file``, or made with ``registration_token`` at first start. ``labels`` are as
    official runners write them; empty: the registration's. ``user`` is whom the runner runs as; None: whom the gateway
    runs as, for a command that isolates by itself. ``environment`` is all that the runner gets beside what is made for
    it. ``work_dir`` is where each task's own folder is made.
    """

    name: str
    command: tuple[str, ...]
    work_dir: str
    registration_file: str | None = None
    registration_token: str | None = None
    labels: tuple[str, ...] = ()
    capacity: int = 1
    user: str | None = None
    limits: Limits = Limits()
    environment: Mapping[str, str] = field(default_factory=dict)
    keep_failed: bool = False

    def __repr__(self) -> str:
        """Without the token, and without the environment, where there may be others."""
        return f"RunnerOptions(name={self.name!r}, command={self.command!r}, user={self.user!r})"


class LaunchOptions(Struct, frozen=True, kw_only=True):
    """One forge's: ``address`` is what launched runners are given, ``receiver`` where summaries go, if anywhere."""

    address: str
    runners: tuple[RunnerOptions, ...]
    receiver: str | None = None
    receiver_token: str | None = None

    def __repr__(self) -> str:
        """Without the token."""
        return (
            f"LaunchOptions(address={self.address!r}, runners={self.runners!r}, receiver={self.receiver!r})"
        )
