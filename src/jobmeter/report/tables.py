"""One run as CSV (RFC 4180): raw data for spreadsheets and notebooks."""

import csv
import io
from collections.abc import Iterable, Iterator

import msgspec
from msgspec import structs

from jobmeter.model.sample import Pressure, Stall
from jobmeter.model.summary import ContainerSummary, Summary
from jobmeter.model.timeline import Timeline
from jobmeter.report.figures import distinct_names
from jobmeter.report.text import clean

Cell = str | float | None

TIMELINE_FIELDS = (
    "run_uid",
    "elapsed_seconds",
    "section",
    "container",
    "cpu_cores",
    "cpu_cores_peak",
    "memory_bytes",
    "throttled_ratio",
    "cpu_stall_ratio",
    "memory_stall_ratio",
    "io_stall_ratio",
    "machine_cpu_percent",
    "machine_memory_bytes",
)
_TRACK_FIELDS = TIMELINE_FIELDS[4:11]
_FORMULA_SIGNS = ("=", "+", "-", "@")


def render_csv(summary: Summary, timeline: Timeline | None) -> str:
    """One row per container and point in time; without a timeline one row per container with its totals.

    What is unknown is an empty cell. A name that a spreadsheet would take for a formula gets a
    leading apostrophe.
    """
    if timeline is None or not timeline.elapsed_seconds or not timeline.containers:
        return _written(_summary_rows(summary))
    return _written(_timeline_rows(summary, timeline))


def _written(rows: Iterable[list[Cell]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([_harmless(cell) for cell in row] for row in rows)
    return text.getvalue()


def _harmless(cell: Cell) -> Cell:
    if not isinstance(cell, str):
        return cell
    text = clean(cell)
    return f"'{text}" if text.lstrip().startswith(_FORMULA_SIGNS) else text


def _timeline_rows(summary: Summary, timeline: Timeline) -> Iterator[list[Cell]]:
    yield list(TIMELINE_FIELDS)
    sections = _sections(timeline)
    for name, track in zip(distinct_names(timeline.containers), timeline.containers, strict=True):
        columns = [getattr(track, field) for field in _TRACK_FIELDS]
        columns += [timeline.machine_cpu_percent, timeline.machine_memory_bytes]
        for i, elapsed in enumerate(timeline.elapsed_seconds):
            values = [column[i] if i < len(column) else None for column in columns]
            yield [summary.run_uid, elapsed, sections[i], name, *values]


def _sections(timeline: Timeline) -> list[str]:
    """For each point the name of the last mark before its end."""
    marks = sorted(timeline.marks, key=lambda mark: mark.elapsed_seconds)
    names, passed, current = [], 0, "start" if marks else ""
    for elapsed in timeline.elapsed_seconds:
        while passed < len(marks) and marks[passed].elapsed_seconds < elapsed:
            current = marks[passed].name
            passed += 1
        names.append(current)
    return names


def _summary_rows(summary: Summary) -> Iterator[list[Cell]]:
    rows: list[dict[str, Cell]] = [
        dict[str, Cell](run_uid=summary.run_uid, duration_seconds=summary.duration_seconds)
        | _flat(msgspec.to_builtins(_with_pressure(container)))
        for container in summary.containers
    ]
    fields = list(dict.fromkeys(field for row in rows for field in row)) or ["run_uid", "duration_seconds"]
    yield list(fields)
    for row in rows:
        yield [row.get(field) for field in fields]


def _with_pressure(container: ContainerSummary) -> ContainerSummary:
    """The container with every field of pressure, so that the columns are the same for every run."""
    known = container.pressure or Pressure()
    full = Pressure(known.cpu or Stall(), known.memory or Stall(), known.io or Stall())
    return structs.replace(container, pressure=full)


def _flat(values: dict[str, object], prefix: str = "") -> dict[str, Cell]:
    flat: dict[str, Cell] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}_")
        elif value is None or isinstance(value, str | int | float):
            flat[prefix + key] = value
    return flat
