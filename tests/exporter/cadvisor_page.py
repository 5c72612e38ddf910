"""The tables of queries in docs/exporter-cadvisor.md."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[2] / "docs/exporter-cadvisor.md"
_RULE_OF = "node_namespace_pod_container:"


class Query(NamedTuple):
    """One query over one family, or over a pair of them; ``record`` is what a rule calls its answer."""

    shows: str
    families: tuple[str, ...]
    labels: frozenset[str]
    text: str
    record: str | None = None

    @property
    def own_families(self) -> list[str]:
        """Families as the exporter shows them, those that rules are made of."""
        return [one.removeprefix(_RULE_OF).partition(":")[0] for one in self.families]


def queries(variables: Mapping[str, str]) -> list[Query]:
    """All of them, with the page's pieces and the dashboards' variables put in; rules come first."""
    rows = list(_rows())
    pieces = {
        row[0].strip("`$"): row[1].strip("`") for row in rows if len(row) == 2 and row[0].startswith("`$")
    }
    found = [query for row in rows if len(row) == 4 for query in _of(row, {**pieces, **variables})]
    return sorted(found, key=lambda query: query.record is None)


def _rows() -> Iterator[list[str]]:
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells and "`" in cells[-1]:
            yield cells


def _of(row: list[str], pieces: Mapping[str, str]) -> Iterator[Query]:
    shows, families, labels, text = row
    for name in families.split(" "):
        pair = tuple(_put_in(one.strip("`"), pieces) for one in name.split("+"))
        record = _named(shows.strip("`"), pair) if shows.startswith("`") else None
        yield Query(
            shows=record or f"{shows}: {pair[0]}",
            families=pair,
            labels=frozenset(labels.split(", ")) - {""},
            text=_put_in(_named(text.strip("`"), pair), pieces),
            record=record,
        )


def _named(text: str, pair: tuple[str, ...]) -> str:
    return re.sub(r"\b[FG]\b", lambda found: pair["FG".index(found[0])], text)


def _put_in(text: str, pieces: Mapping[str, str]) -> str:
    """Pieces may be made of others."""
    while "$" in text:
        text = re.sub(r"\$(\w+)", lambda found: pieces[found[1]], text)
    return text
