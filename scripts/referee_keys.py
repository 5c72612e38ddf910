"""Writes the tables of docs/referee.md from the code.

Command: PYTHONPATH=.:src .venv/bin/python scripts/referee_keys.py (make golden does it too; a test compares).
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from jobmeter.config.options import Option
from jobmeter.config.referee_table import REFEREE_KEYS, REFEREE_TABLES
from jobmeter.referee.default_queries import DEFAULT_QUERIES
from jobmeter.referee.queries import NamedQuery

PAGE = Path(__file__).parents[1] / "docs/referee.md"
_BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def written(page: str) -> str:
    """The page with each table as the code has it now."""
    tables = {"keys": _keys((*REFEREE_KEYS, *REFEREE_TABLES))}
    tables |= {exporter: _queries(queries) for exporter, queries in DEFAULT_QUERIES.items()}
    return _BLOCK.sub(lambda found: f"{found[1]}\n{tables[found[2]]}\n{found[3]}", page)


def _keys(options: Iterable[Option]) -> str:
    rows = [(f"`{option.field}`", option.default or "", option.help + _choices(option)) for option in options]
    return _table(("key", "default", "meaning"), rows)


def _choices(option: Option) -> str:
    return f": {', '.join(f'`{one}`' for one in option.choices)}" if option.choices else ""


def _queries(queries: Iterable[NamedQuery]) -> str:
    return _table(("name", "query"), [(f"`{one.name}`", f"`{one.text}`") for one in queries])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
