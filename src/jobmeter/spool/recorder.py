"""Numbers the records of one run and gives each to the fold and to the journal."""

from collections.abc import Callable

from jobmeter.model import wire
from jobmeter.model.exits import Exit, Survivor
from jobmeter.model.job import Host, Job
from jobmeter.model.sample import ContainerInfo, Sample
from jobmeter.model.summarize import RunFold
from jobmeter.model.wire import VERSION, encodable

Sink = Callable[[wire.AnyRecord], None]


class Recorder:
    """The one place where records of a run are made. Sinks take a record and never raise."""

    def __init__(self, run_uid: str, fold: RunFold) -> None:
        self.run_uid = run_uid
        self.fold = fold
        self._sinks: list[Sink] = []
        self._said: set[str] = set()
        self._waiting: list[wire.AnyRecord] = []

    def add_sink(self, sink: Sink) -> None:
        """Give every record from now on to ``sink`` too."""
        self._sinks.append(sink)

    def start(
        self, *, start_time: str, monotonic_seconds: float, boot_id: str | None, interval_seconds: float,
        version: str, meter: str, job: Job, host: Host,
    ) -> None:  # fmt: skip
        """The run begins."""
        self._record(
            wire.Start(
                v=VERSION, run_uid=self.run_uid, sequence=self._next,
                start_time=start_time, monotonic_seconds=monotonic_seconds, boot_id=boot_id,
                interval_seconds=interval_seconds, version=version, meter=meter, job=job, host=host,
            )
        )  # fmt: skip

    def resume(self, elapsed: float, version: str) -> None:
        """A restarted collector goes on with the run, at the number of microseconds since the run's start.

        A receiver may have records that the journal has lost, or never had: were their numbers used again, it would
        take the new records for the old ones and drop them. Every number that was ever used is below this one, since
        nobody makes a record each microsecond, and the clock goes on whatever was lost.
        """
        sequence = max(self._next, int(elapsed * 1e6))
        self._record(
            wire.Resume(
                v=VERSION, run_uid=self.run_uid, sequence=sequence, elapsed_seconds=elapsed, version=version
            )
        )

    def declare(self, elapsed: float, container: ContainerInfo) -> None:
        """A container appeared or changed."""
        self._record(
            wire.Declare(
                v=VERSION,
                run_uid=self.run_uid,
                sequence=self._next,
                elapsed_seconds=elapsed,
                container=container,
            )
        )

    def sample(self, sample: Sample) -> None:
        """One tick was read."""
        self._record(wire.Tick(v=VERSION, run_uid=self.run_uid, sequence=self._next, sample=sample))

    def mark(self, elapsed: float, name: str) -> None:
        """A section begins."""
        self._record(
            wire.Mark(
                v=VERSION, run_uid=self.run_uid, sequence=self._next, elapsed_seconds=elapsed, name=name
            )
        )

    def warn(self, text: str) -> None:
        """One sentence about what is missing; the same one is kept once."""
        text = encodable(text)
        if text not in self._said and len(self._said) < 100:
            self._said.add(text)
            self._record(wire.Warn(v=VERSION, run_uid=self.run_uid, sequence=self._next, text=text))

    def end(self, elapsed: float, exit_: Exit, survivors: tuple[Survivor, ...] = ()) -> None:
        """The run is over."""
        self._record(
            wire.End(
                v=VERSION, run_uid=self.run_uid, sequence=self._next,
                elapsed_seconds=elapsed, exit=exit_, survivors=survivors,
            )
        )  # fmt: skip

    @property
    def _next(self) -> int:
        return self.fold.next_sequence

    def _record(self, record: wire.AnyRecord) -> None:
        self.fold.add(record)
        self._waiting.append(record)
        if len(self._waiting) > 1:
            return  # A sink warns of what happened to a record: every sink has that record first.
        while self._waiting:
            for sink in self._sinks:
                sink(self._waiting[0])
            del self._waiting[0]
