"""The runner part of a scrape, in the dialects that were chosen.

It is written in the Prometheus text format, whatever a scraper would rather have: it is the one that the programs speak
whose names these are. In OpenMetrics `le` would be "1.0" where theirs is "1", and no counter could lack `_total`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric

from jobmeter.gateway.figures.dialects import DIALECTS
from jobmeter.gateway.figures.dialects.act_runner import ActRunnerDialect
from jobmeter.gateway.figures.dialects.ci_runner import CiRunnerDialect
from jobmeter.gateway.figures.dialects.dialect import BareCounter, Dialect, Snapshot
from jobmeter.gateway.figures.dialects.ephemerd import EphemerdDialect
from jobmeter.gateway.figures.dialects.jobmeter import JobmeterDialect
from jobmeter.gateway.figures.process import ProcessFigures
from jobmeter.gateway.figures.runners import Runners
from jobmeter.model.errors import UsageError

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_MAKERS: Mapping[str, Callable[[], Dialect]] = {
    "jobmeter": JobmeterDialect,
    "act_runner": lambda: ActRunnerDialect("act_runner"),
    "gitea_runner": lambda: ActRunnerDialect("gitea_runner"),
    "ci_runner": CiRunnerDialect,
    "ephemerd": EphemerdDialect,
}


class Exposition:
    """Writes the figures of runners; what the daemon counts of itself may follow, as prometheus_client writes it."""

    def __init__(
        self, runners: Runners, process: ProcessFigures, dialects: Sequence[str] = ("jobmeter",)
    ) -> None:
        """Raises UsageError for a dialect that is not known; one that is named twice is meant once."""
        for name in dialects:
            if name not in _MAKERS:
                raise UsageError(f"there is no dialect {name!r}; there are {', '.join(DIALECTS)}")
        self._runners = runners
        self._process = process
        self._dialects = [_MAKERS[name]() for name in dict.fromkeys(dialects)]

    def families(self) -> list[Metric]:
        """All runners, told apart by the label ``runner``."""
        return self._families(self._snapshot())

    def families_of(self, name: str) -> list[Metric] | None:
        """The runner of that name alone, labelled as its own program would; None if there is none."""
        whole = self._snapshot()
        if name not in whole.runners:
            return None
        return self._families(whole._replace(runners={name: whole.runners[name]}, alone=True))

    def _snapshot(self) -> Snapshot:
        return Snapshot(
            runners=self._runners.shown(),
            alone=False,
            totals=self._runners.totals,
            process=self._process,
            now=self._runners.clock(),
        )

    def _families(self, snapshot: Snapshot) -> list[Metric]:
        """Each dialect's by name, as Go programs sort them; those without a series are left out."""
        every: list[Metric] = []
        for dialect in self._dialects:
            families = [family for family in dialect.families(snapshot) if family.samples]
            every += sorted(families, key=_written_name)
        return every


def _written_name(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def written(families: Sequence[Metric]) -> bytes:
    """The families as text. They are values: it may be another thread that spends the time."""
    text = generate_latest(_Given(families))
    for name in (family.name for family in families if isinstance(family, BareCounter)):
        # Nothing that comes from outside can be this line: there is no line's end in a label.
        line = f"\n# TYPE {name} "
        text = text.replace(f"{line}untyped\n".encode(), f"{line}counter\n".encode(), 1)
    return text


class _Given(CollectorRegistry):
    """A registry of families that are there already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        super().__init__()
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families
