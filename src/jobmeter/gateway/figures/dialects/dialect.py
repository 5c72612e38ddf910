"""What a dialect is given, what it makes of it, and how."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from prometheus_client.core import Metric

from jobmeter.gateway.figures.histogram import Histogram
from jobmeter.gateway.figures.process import ProcessFigures
from jobmeter.gateway.figures.runner import RunnerFigures
from jobmeter.gateway.figures.totals import Totals

Kind = Literal["counter", "gauge", "histogram"]
Value = float | Histogram | None
Series = tuple[tuple[str, ...], Value]


class Snapshot(NamedTuple):
    """What there is at a scrape.

    ``runners`` by their names: all of them, or one alone. ``totals`` are those of all, told where all are shown.
    ``now`` is by the clock that their beginnings are known by.
    """

    runners: Mapping[str, RunnerFigures]
    alone: bool
    totals: Totals
    process: ProcessFigures
    now: float


class Dialect(Protocol):
    """Tells a snapshot in someone's names."""

    def families(self, snapshot: Snapshot) -> Iterator[Metric]:
        """Its families; one without a series is left out by who writes them."""
        ...


class BareCounter(Metric):
    """A counter without `_total` at its end, which prometheus_client would put there."""

    def __init__(self, name: str, documentation: str) -> None:
        super().__init__(name, documentation, "unknown")


class RunnerFamily(NamedTuple):
    """One name, and its series for a runner: the values of ``labels``, and the value; None makes no series."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...]
    values: Callable[[RunnerFigures, Snapshot], Iterable[Series]]


def one(name: str, kind: Kind, text: str, value: Callable[[RunnerFigures], Value]) -> RunnerFamily:
    """A name that has one series for a runner."""
    return RunnerFamily(name, kind, text, (), lambda figures, _: (((), value(figures)),))


def counted(
    name: str,
    text: str,
    label: str,
    counts: Callable[[RunnerFigures], Mapping[str, int]],
    always: Sequence[str] = (),
) -> RunnerFamily:
    """A counter by one label; the values ``always`` have a series before the first time too."""
    return RunnerFamily(
        name, "counter", text, (label,),
        lambda figures, _: (
            ((word,), count) for word, count in {**dict.fromkeys(always, 0), **counts(figures)}.items()
        ),
    )  # fmt: skip


def uptime(name: str, text: str) -> RunnerFamily:
    """Since a runner was first seen."""
    return RunnerFamily(
        name, "gauge", text, (), lambda figures, at: (((), max(0.0, at.now - figures.started)),)
    )


def metric(name: str, kind: Kind, text: str, labels: Sequence[str], series: Iterable[Series]) -> Metric:
    """A family as prometheus_client writes it."""
    bare = kind == "counter" and not name.endswith("_total")
    made = BareCounter(name, text) if bare else Metric(name.removesuffix("_total"), text, kind)
    for values, value in series:
        with_names = dict(zip(labels, values, strict=True))
        if isinstance(value, Histogram):
            _add_histogram(made, with_names, value)
        elif value is not None:
            made.add_sample(name, with_names, value)
    return made


def runner_metric(family: RunnerFamily, snapshot: Snapshot, *, named: bool) -> Metric:
    """The family of all runners, each with its name as a label where ``named``."""
    series = (
        ((name, *values) if named else values, value)
        for name, figures in snapshot.runners.items()
        for values, value in family.values(figures, snapshot)
    )
    labels = ("runner", *family.labels) if named else family.labels
    return metric(family.name, family.kind, family.help, labels, series)


def _add_histogram(made: Metric, labels: dict[str, str], histogram: Histogram) -> None:
    for bound, count in histogram.cumulative():
        made.add_sample(f"{made.name}_bucket", {**labels, "le": _go_number(bound)}, count)
    made.add_sample(f"{made.name}_sum", labels, histogram.sum)
    made.add_sample(f"{made.name}_count", labels, histogram.count)


def _go_number(number: float) -> str:
    """As Go writes it, and so as the series of a Go program are labelled: `le="1"`."""
    return "+Inf" if number == float("inf") else repr(number).removesuffix(".0")
