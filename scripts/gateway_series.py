"""Writes the tables of docs/gateway-series.md, docs/gateway.md and docs/launch.md from the code.

Command: PYTHONPATH=.:src .venv/bin/python scripts/gateway_series.py (make golden does it too; a test compares).
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from jobmeter.config.forges import FORGE_KEYS, HEALTH_KEYS
from jobmeter.config.gateway_referee import GATEWAY_REFEREE_KEYS
from jobmeter.config.launch import LIMIT_KEYS, RUNNER_KEYS, RUNNER_TABLES
from jobmeter.config.options import Option
from jobmeter.gateway.figures.dialects import act_runner, jobmeter
from jobmeter.gateway.figures.dialects.dialect import RunnerFamily
from jobmeter.gateway.figures.referee import FOUND, RefereeFigures
from jobmeter.gateway.own import STANDINGS, OwnFigures
from jobmeter.gateway.queue import REASONS
from tests.gateway.figures.told import a_working_day
from tests.gateway.watched import watched

DOCS = Path(__file__).parents[1] / "docs"
PAGES = (DOCS / "gateway-series.md", DOCS / "gateway.md", DOCS / "launch.md")
_BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def written(page: str) -> str:
    """The page with each table as the code has it now."""
    ours = {family.name: family for family in jobmeter.FAMILIES}
    tables = {
        "jobmeter": lambda: _runner_families("jobmeter_runner_", ours.values()),
        "act_runner": lambda: _runner_families("", act_runner.FAMILIES),
        "steps": lambda: _shown(
            one for one in a_day("jobmeter") if "_step" in one.name and "duration" not in one.name
        ),
        "ci_runner": lambda: _shown(a_day("ci_runner")),
        "ephemerd": lambda: _shown(a_day("ephemerd")),
        "own": lambda: _shown(own_families()),
        "standings": lambda: _words("standing", STANDINGS.items()),
        "referee": lambda: _shown(referee_families()),
        "found": lambda: _words("found", FOUND.items()),
        "referee_keys": lambda: _keys(GATEWAY_REFEREE_KEYS),
        "reasons": lambda: _words("reason", REASONS.items()),
        "forge": lambda: _keys(FORGE_KEYS),
        "health": lambda: _keys(HEALTH_KEYS),
        "runner": lambda: _keys((*RUNNER_KEYS, *RUNNER_TABLES)),
        "limits": lambda: _keys(LIMIT_KEYS),
    }
    return _BLOCK.sub(lambda found: f"{found[1]}\n{tables[found[2]]()}\n{found[3]}", page)


def a_day(dialect: str) -> list[Metric]:
    """All families of a dialect, each with a series."""
    return a_working_day(dialect).exposition.families()


def own_families() -> list[Metric]:
    """What the gateway counts of itself, each with a series."""
    registry = CollectorRegistry()
    gate, fronts, queues = watched()
    OwnFigures(registry, "1.2", gate, fronts, queues)
    return list(registry.collect())


def referee_families() -> list[Metric]:
    """What it counts of evidence, each with a series."""
    registry = CollectorRegistry()
    RefereeFigures(registry, lambda: 1.0).delivered("receiver", "kept")
    return list(registry.collect())


def _runner_families(prefix: str, families: Iterable[RunnerFamily]) -> str:
    rows = [(f"`{prefix}{one.name}`", one.kind, _names(one.labels), one.help) for one in families]
    return _table(("series", "kind", "further labels", "shows"), rows)


def _shown(families: Iterable[Metric]) -> str:
    rows = []
    for one in families:
        kind = "counter" if one.type == "unknown" else one.type
        name = f"{one.name}_total" if kind == "counter" and one.type == "counter" else one.name
        labels = dict.fromkeys(label for sample in one.samples for label in sample.labels if label != "le")
        rows.append((f"`{name}`", kind, _names(labels), one.documentation))
    return _table(("series", "kind", "labels", "shows"), sorted(rows))


def _words(label: str, meanings: Iterable[tuple[str, str]]) -> str:
    return _table((label, "means"), [(f"`{word}`", text) for word, text in meanings])


def _keys(options: Iterable[Option]) -> str:
    rows = [(f"`{option.field}`", option.default or "", option.help + _choices(option)) for option in options]
    return _table(("key", "default", "meaning"), rows)


def _choices(option: Option) -> str:
    return f": {', '.join(f'`{one}`' for one in option.choices)}" if option.choices else ""


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(written(page.read_text()))
