"""Writes the tables of docs/exporter-series.md from the families themselves.

Command: .venv/bin/python scripts/series.py (make golden does it too; a test compares).
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from jobmeter.exporter.dialects import cadvisor, ephemerd, jobmeter
from jobmeter.exporter.families import CONTAINER_FAMILIES, Family

PAGE = Path(__file__).parents[1] / "docs/exporter-series.md"
_BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def written(page: str) -> str:
    """The page with each table as the code has it now."""
    tables = {
        "containers": _families(CONTAINER_FAMILIES),
        "infos": _table(
            ("series", "labels", "shows"),
            [
                (
                    f"`{jobmeter.CONTAINER_INFO.name}`",
                    _names(jobmeter.CONTAINER_INFO_LABELS),
                    jobmeter.CONTAINER_INFO.help,
                ),
                (f"`{jobmeter.JOB_INFO[0]}`", _names(jobmeter.JOB_INFO_LABELS), jobmeter.JOB_INFO[1]),
            ],
        ),
        "totals": _table(
            ("series", "shows"),
            [(f"`jobmeter_repository_{name}_total`", text) for name, text, _ in jobmeter.TOTALS],
        ),
        "host": _table(
            ("series", "kind", "labels", "shows"),
            [(f"`{one.name}`", one.kind, _names(one.labels), one.help) for one in jobmeter.HOST_FAMILIES],
        ),
        "ephemerd": _families(ephemerd.FAMILIES),
        "cadvisor": _families(cadvisor.families(str, float)),
        "machine": _table(("series", "shows"), [(f"`{name}`", text) for name, text, _ in cadvisor.MACHINE]),
    }
    return _BLOCK.sub(lambda found: f"{found[1]}\n{tables[found[2]]}\n{found[3]}", page)


def _families(families: Iterable[Family]) -> str:
    rows = [(f"`{one.name}`", one.kind, _further(one), one.help) for one in families]
    return _table(("series", "kind", "further labels", "shows"), rows)


def _further(family: Family) -> str:
    labels = {label: None for more, _ in family.values for label, _ in more}
    if family.each is not None:
        labels[family.each[0].label] = None
    return _names(labels)


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
