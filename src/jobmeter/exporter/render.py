"""Writes series in the Prometheus text format and in OpenMetrics.

It is our own because of its cost: a thousand containers are 20,000 lines at each scrape. What does not change of a
container, its labels, is written once. The oracle of the tests is prometheus_client.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from jobmeter.exporter.container import Row
from jobmeter.exporter.families import Family, Labels, Parts, Value
from jobmeter.identity.variables import printable

MAX_LABEL_CHARACTERS = 1024
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})

_Made = TypeVar("_Made")


class Sample(NamedTuple):
    """One line of a family that is not about a container; its labels as ``label_text`` writes them."""

    labels: str
    value: Value


class Memo(Generic[_Made]):
    """What ``make`` makes of each row, made anew only when something else is known of the container.

    It may be asked by several threads at once.
    """

    def __init__(self, make: Callable[[Row], _Made]) -> None:
        self._make = make
        self._known: dict[str, tuple[Row, _Made]] = {}

    def of(self, rows: Iterable[Row]) -> list[_Made]:
        """In the order of the rows; those that are not among them are forgotten."""
        before, now = self._known, dict[str, tuple[Row, _Made]]()
        every: list[_Made] = []
        for row in rows:
            known = before.get(row.path)
            if known is None or not _is_known_as(known[0], row):
                known = (row, self._make(row))
            now[row.path] = known
            every.append(known[1])
        self._known = now
        return every


def _is_known_as(before: Row, now: Row) -> bool:
    return (
        before.identity is now.identity
        and before.id == now.id
        and before.parent == now.parent
        and before.runtime == now.runtime
    )


class Renderer:
    """Renders families of rows; ``labels_of`` are the labels that all lines of a row have."""

    def __init__(self, families: Sequence[Family], labels_of: Callable[[Row], Labels]) -> None:
        self._families = families
        self._labels = Memo(lambda row: "{" + label_text(labels_of(row)))

    def render(self, rows: Sequence[Row], *, openmetrics: bool) -> Iterator[str]:
        """The text of each family; one without a series is left out."""
        labelled = list(outermost(zip(self._labels.of(rows), rows, strict=True)).items())
        everyone = _Page(labelled)
        living = _Page([one for one in labelled if one[1].ended is None])
        for family in self._families:
            lines = (living if family.while_alive else everyone).lines(family)
            if lines:
                first = head(family.name, family.kind, family.help, openmetrics=openmetrics)
                yield "".join((first, *lines))


def outermost(named: Iterable[tuple[str, Row]]) -> dict[str, Row]:
    """A scraper takes no series twice: of rows of one name the outermost, which nobody within can feign.

    Those of the host itself come before those of other machines.
    """
    kept: dict[str, Row] = {}
    for name, row in named:
        other = kept.setdefault(name, row)
        if other is not row and _depth(row) < _depth(other):
            kept[name] = row
    return kept


def _depth(row: Row) -> tuple[bool, bool, int]:
    return row.machine != "", row.parent is not None, row.path.count("/")


class _Page:
    """Rows with the beginning of what is between their braces."""

    def __init__(self, labelled: Sequence[tuple[str, Row]]) -> None:
        self._labels = [labels for labels, _ in labelled]
        self._rows = [row for _, row in labelled]
        self._parts: dict[Parts, tuple[list[str], list[Any]]] = {}

    def lines(self, family: Family) -> list[str]:
        """A family's lines in pieces, to be joined."""
        pieces: list[str] = []
        for more, value_of in family.values:
            end = "".join(_further(label, text) for label, text in more) + "} "
            pieces += _pieces(family.name, self._labels, end, list(map(value_of, self._rows)))
        if family.each is not None:
            parts, value_of = family.each
            labelled, items = self._parts_of(parts)
            pieces += _pieces(family.name, labelled, "} ", list(map(value_of, items)))
        return pieces

    def _parts_of(self, parts: Parts) -> tuple[list[str], list[Any]]:
        """All of all rows: labels, and what they are of. Several families tell of the same ones."""
        if parts not in self._parts:
            known: dict[str, str] = {}  # The few names of interfaces and devices come again and again.
            labelled = [
                (f"{labels}{known.get(name) or known.setdefault(name, _further(parts.label, name))}", item)
                for labels, row in zip(self._labels, self._rows, strict=True)
                for name, item in parts.of(row)
            ]
            self._parts[parts] = [labels for labels, _ in labelled], [item for _, item in labelled]
        return self._parts[parts]


def _further(label: str, value: str) -> str:
    return f',{label}="{escaped(value)}"'


def _pieces(name: str, labels: Sequence[str], end: str, values: Sequence[Value]) -> list[str]:
    """Lines in pieces: a line of its own for each would be copied once more, and most of a scrape is copying."""
    if None in values:
        labels = [one for one, value in zip(labels, values, strict=True) if value is not None]
        values = [value for value in values if value is not None]
    pieces = [name, "", end, "", "\n"] * len(values)
    pieces[1::5] = labels
    pieces[3::5] = map(str, values)
    return pieces


def family(name: str, kind: str, text: str, samples: Iterable[Sample], *, openmetrics: bool) -> Iterator[str]:
    """A family that is not about a container; nothing without a series."""
    lines = [f"{name}{{{labels}}} {value}\n" for labels, value in samples if value is not None]
    if lines:
        yield "".join((head(name, kind, text, openmetrics=openmetrics), *lines))


def head(name: str, kind: str, text: str, *, openmetrics: bool) -> str:
    """The lines before a family's series.

    OpenMetrics names a counter without its `_total`, and knows none that has not this end: it is told without a kind.
    """
    if openmetrics and kind == "counter":
        kind = "counter" if name.endswith("_total") else "unknown"
        name = name.removesuffix("_total")
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n"


def label_text(labels: Labels) -> str:
    """Labels between the braces: escaped, cut when long."""
    return ",".join(f'{name}="{escaped(value)}"' for name, value in labels)


def escaped(text: str) -> str:
    """The value of a label, as it is written."""
    return shown(text).translate(_ESCAPES)


def shown(text: str) -> str:
    """What a label says of a text: on one line, what is no Unicode as U+FFFD, cut when long."""
    text = printable(text[: MAX_LABEL_CHARACTERS + 1])
    return text if len(text) <= MAX_LABEL_CHARACTERS else text[: MAX_LABEL_CHARACTERS - 1] + "…"
