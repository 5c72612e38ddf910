"""The tables of docs/accuracy.md, made of what the tests measured."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tests.e2e.support.components import ROOT
from tests.e2e.support.truth import Truth

PAGE = ROOT / "docs/accuracy.md"
WRITE = os.environ.get("JOBMETER_ACCURACY") == "write"
"""The page changes only when it is asked to."""


def write_table(name: str, heading: Sequence[str], rows: Iterable[Sequence[str]], machine: str) -> None:
    """Replace what stands between the marks of the table `name`, with the day and the machine below it."""
    begin, end = f"<!-- {name}: written by the tests -->\n", f"<!-- end of {name} -->"
    before, found, rest = PAGE.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{PAGE} has no place for the table {name!r}")
    lines = [_line(heading), _line(["---"] * len(heading)), *map(_line, rows), "", _measured(machine), ""]
    PAGE.write_text(before + found + "\n".join(lines) + closed + after)


def cpu_row(truth: Truth) -> list[str]:
    """One run as a row: what was compared with what."""
    difference = truth.difference_seconds
    return [
        truth.workload.replace("_", " "),
        f"{truth.source}, {truth.interval}",
        truth.account,
        f"{truth.account_seconds:.3f}",
        f"{'' if truth.cpu_complete else '≥ '}{truth.jobmeter_seconds:.3f}",
        f"{1000 * difference:+.1f}",
        f"{100 * difference / truth.account_seconds:+.2f}",
    ]


CPU_HEADING = ("workload", "source, interval", "account", "its seconds", "jobmeter's", "difference, ms", "%")


def record_row(truth: Truth) -> list[str]:
    """What the exit records of one run say."""
    assert truth.recorded_seconds is not None
    clock, ticks = truth.recorded_seconds
    return [
        truth.workload.replace("_", " "),
        f"{truth.processes:,}",
        f"{truth.account_seconds:.3f}",
        f"{clock:.3f}",
        f"{1e6 * (truth.account_seconds - clock) / (truth.processes or 1):.0f}",
        f"{ticks:.3f}",
        f"{100 * (ticks / truth.account_seconds - 1):+.1f}",
    ]


RECORD_HEADING = (
    *("workload", "processes", "seconds by wait4", "by the clock in the records", "missing per process, µs"),
    *("by the ticks in the records", "%"),
)


def collector_row(view: str, container: Mapping[str, Any], account: str, seconds: float) -> list[str]:
    """One collector's figure of one container beside an account."""
    found = container["cpu_seconds"]
    return [
        view,
        container["cpu_source"],
        account,
        f"{seconds:.3f}",
        f"{found:.3f}",
        f"{1000 * (found - seconds):+.1f}",
        f"{100 * (found / seconds - 1):+.2f}",
    ]


COLLECTOR_HEADING = ("collector", "source", "account", "its seconds", "jobmeter's", "difference, ms", "%")


def exporter_row(what: str, account: str, seconds: float, shown: float) -> list[str]:
    """CPU time that an exporter, or a Prometheus that scraped it, shows beside an account."""
    return [
        what,
        account,
        f"{seconds:.3f}",
        f"{shown:.3f}",
        f"{1000 * (shown - seconds):+.1f}",
        f"{100 * (shown / seconds - 1):+.3f}",
    ]


EXPORTER_HEADING = ("of", "account", "its seconds", "shown", "difference, ms", "%")


def bytes_row(what: str, direction: str, counted: int, shown: int) -> list[str]:
    """Bytes that an exporter shows beside those that passed iptables."""
    return [
        what,
        direction,
        f"{counted:,}",
        f"{shown:,}",
        f"{shown - counted:+,}",
        f"{100 * (shown / counted - 1):+.3f}",
    ]


BYTES_HEADING = ("of", "direction", "bytes by iptables", "shown", "difference", "%")


def this_machine() -> str:
    """Cores and kernel of the machine that the tests run on."""
    return f"{os.cpu_count()} cores, Linux {os.uname().release}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _measured(machine: str) -> str:
    return f"Measured on {datetime.now(UTC).date()}: {machine.replace('1 cores', '1 core')}."
