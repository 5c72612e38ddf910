"""Writes series in the Prometheus text format and in OpenMetrics.

It is our own because of its cost: a thousand containers are 20,000 lines at each scrape. What does not change of a
container, its labels, is written once. The oracle of the tests is prometheus_client.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jobmeter.exporter.container import Row
from jobmeter.exporter.families import Family, Labels
from jobmeter.identity.variables import printable

MAX_LABEL_CHARACTERS = 1024
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


class Sample(NamedTuple):
    """One line of a family that is not about a container."""

    labels: Labels
    value: float


class Renderer:
    """Renders containers; remembers the labels of those it rendered last."""

    def __init__(self, families: Sequence[Family], runtime: str = "linux-native") -> None:
        self._families = families
        self._runtime = runtime
        self._labels: dict[str, tuple[Row, str]] = {}

    def containers(self, rows: Sequence[Row], *, openmetrics: bool) -> list[str]:
        """All families of all containers; a family without a series is left out."""
        kept, self._labels = self._labels, {}
        labelled = [(self._labels_of(row, kept), row) for row in rows]
        written: list[str] = []
        for family in self._families:
            lines: list[str] = []
            for more, value_of in family.values:
                extra = "".join(f',{name}="{value}"' for name, value in more)
                lines += [
                    f"{family.name}{{{labels}{extra}}} {value}\n"
                    for labels, row in labelled
                    if (value := value_of(row)) is not None
                ]
            if lines:
                written += (head(family.name, family.kind, family.help, openmetrics=openmetrics), *lines)
        return written

    def _labels_of(self, row: Row, kept: dict[str, tuple[Row, str]]) -> str:
        known = kept.get(row.path)
        if known is None or known[0].identity is not row.identity or known[0].id != row.id:
            repo = row.identity.job.repository if row.identity.job is not None else None
            known = (row, label_text((("id", row.id), ("repo", repo or ""), ("runtime", self._runtime))))
        self._labels[row.path] = known
        return known[1]


def family(name: str, kind: str, text: str, samples: Iterable[Sample], *, openmetrics: bool) -> list[str]:
    """A family of its own; its head is there also when no series is."""
    return [
        head(name, kind, text, openmetrics=openmetrics),
        *(f"{name}{{{label_text(labels)}}} {value!r}\n" for labels, value in samples),
    ]


def head(name: str, kind: str, text: str, *, openmetrics: bool) -> str:
    """The lines before a family's series; OpenMetrics names a counter without its `_total`."""
    named = name.removesuffix("_total") if openmetrics and kind == "counter" else name
    return f"# HELP {named} {text}\n# TYPE {named} {kind}\n"


def label_text(labels: Labels) -> str:
    """Labels between the braces: escaped, cut when long."""
    return ",".join(f'{name}="{escaped(value)}"' for name, value in labels)


def escaped(text: str) -> str:
    """The value of a label: on one line, what is no Unicode as U+FFFD, cut when long."""
    text = printable(text[: MAX_LABEL_CHARACTERS + 1])
    if len(text) > MAX_LABEL_CHARACTERS:
        text = text[: MAX_LABEL_CHARACTERS - 1] + "…"
    return text.translate(_ESCAPES)
