"""What `jobmeter doctor` finds, and how it says it."""

import textwrap
from collections.abc import Iterable
from typing import NamedTuple

_WIDTH = 80
_INDENT = 27


class Finding(NamedTuple):
    """One source: whether it can be read, why not, and what its absence costs."""

    source: str
    available: bool
    detail: str
    cost: str


def show(findings: Iterable[Finding]) -> None:
    """Print a paragraph for each."""
    for finding in findings:
        print(f"{'yes' if finding.available else 'no ':3}  {finding.source:<22}{_fold(finding.detail)}")
        if not finding.available:
            print(f"     {'':<22}{_fold('Without it: ' + finding.cost)}")


def _fold(text: str) -> str:
    return f"\n{'':{_INDENT}}".join(textwrap.wrap(text, _WIDTH - _INDENT, break_long_words=False))
