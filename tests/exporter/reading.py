"""Reads series back with the parsers of prometheus_client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families


class Series(NamedTuple):
    """One series as it was read back."""

    name: str
    labels: dict[str, str]
    value: float

    @property
    def key(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """What tells it from any other."""
        return self.name, tuple(sorted(self.labels.items()))


def read(text: str, *, openmetrics: bool = False) -> Iterator[Series]:
    """All series of a scrape, or of a part of one."""
    families = openmetrics_families(text + "# EOF\n") if openmetrics else text_string_to_metric_families(text)
    for family in families:
        for one in family.samples:
            # To this parser each counter ends so.
            name = one.name if f"\n{one.name}{{" in text else one.name.removesuffix("_total")
            yield Series(name, one.labels, one.value)
