"""A collector that sees no container has nothing to meter: said early, while somebody can still change it."""

from collections.abc import Callable

from jobmeter.model import wire

# A sidecar may start before its peers, and images are loaded in between.
_PATIENCE_SECONDS = 10.0
_PATIENCE_SCANS = 3


class Absence:
    """Takes the records of a run; tells ``say`` once when no container was seen for a while, or to the end.

    ``scans`` says how often processes have been looked for; ``on_host`` that those of the whole machine were.
    """

    def __init__(self, scans: Callable[[], int], say: Callable[[str], None], *, on_host: bool) -> None:
        self._scans = scans
        self._say = say
        self._on_host = on_host
        self._over = False

    def take(self, record: wire.AnyRecord) -> None:
        """Look at one record."""
        if isinstance(record, wire.Declare):
            self._over = True
        elif isinstance(record, wire.Tick) and not self._over:
            elapsed = record.sample.elapsed_seconds
            if elapsed >= _PATIENCE_SECONDS and self._scans() >= _PATIENCE_SCANS:
                self._tell(f" in the first {elapsed:.0f} s", "if the job runs already, ")

    def end(self) -> None:
        """The run is over."""
        if not self._over:
            self._tell("", "")

    def _tell(self, so_far: str, condition: str) -> None:
        self._over = True
        if self._on_host:
            self._say(
                f"No container was seen{so_far}: this is the host, and none runs here; jobmeter run meters a command."
            )
            return
        self._say(
            f"No container was seen{so_far}: {condition}the collector needs the pid namespace of the job "
            f"(shareProcessNamespace, --pid=container:JOB) or that of the host."
        )
