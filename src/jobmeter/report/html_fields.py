"""The table of all fields of the containers, each with its meaning and source from the model."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, get_type_hints

from msgspec import Meta

from jobmeter.model.sample import Pressure, Stall
from jobmeter.model.statistics import Statistic
from jobmeter.model.summary import ContainerSummary
from jobmeter.report.figures import (
    SOURCE_WORDS,
    byte_limit,
    core_limit,
    cores,
    distinct_names,
    duration,
    size,
)
from jobmeter.report.html_parts import text
from jobmeter.report.layout import UNKNOWN

_GROUPS = {
    "Container": ("id", "parent"),
    "CPU": (
        *("cpu_cores", "cpu_seconds", "cpu_user_seconds", "cpu_system_seconds", "cpu_source"),
        *("cpu_limit_cores", "cpu_request_cores", "throttled_seconds"),
    ),
    "Memory": (
        *("memory_bytes", "memory_source", "rss_bytes", "memory_working_set_peak_bytes"),
        *("memory_high_water_bytes", "memory_charged_peak_bytes"),
        *("memory_limit_bytes", "memory_request_bytes", "oom_kills"),
    ),
    "Waiting, disk, network, tasks": (
        *("pressure", "io_read_bytes", "io_write_bytes", "network_rx_bytes", "network_tx_bytes", "pids_peak"),
    ),
}
_UNKNOWN = f'<span class="unknown" title="not known">{UNKNOWN}</span>'


def fields_table(containers: Sequence[ContainerSummary]) -> str:
    """One row per field with what it means, one column per container; unknown is a dash."""
    meanings = _meanings()
    heads = "".join(f'<th scope="col" class="left">{text(name)}</th>' for name in distinct_names(containers))
    rows = []
    for group, fields in _GROUPS.items():
        span = f'colspan="{len(containers) + 1}"'
        rows.append(f'<tr class="group"><th {span} scope="rowgroup" class="left">{text(group)}</th></tr>')
        for field in fields:
            cells = "".join(f"<td>{_cell(getattr(each, field), field)}</td>" for each in containers)
            name = f"<code>{field.replace('_', '_<wbr>')}</code><small>{meanings.get(field, '')}</small>"
            rows.append(f'<tr><th scope="row">{name}</th>{cells}</tr>')
    head = f'<tr><th scope="col">field</th>{heads}</tr>'
    return f'<table class="about"><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table>'


def _meanings() -> dict[str, str]:
    """Description and source of each field, from the field table of the model."""
    found = {}
    for name, hint in get_type_hints(ContainerSummary, include_extras=True).items():
        for meta in getattr(hint, "__metadata__", ()):
            if isinstance(meta, Meta):
                source = (meta.extra or {}).get("source")
                origin = f" Source: {text(source)}." if source and not str(source).endswith("_source") else ""
                found[name] = text(meta.description or "") + origin
    return found


def _cell(value: Any, field: str) -> str:
    if isinstance(value, Statistic):
        form = size if field.endswith("_bytes") else cores
        return _list((name, form(getattr(value, name))) for name in value.__struct_fields__)
    if isinstance(value, Pressure):
        stalls = ((name, getattr(value, name)) for name in value.__struct_fields__)
        return _list((name, _stall(stall)) for name, stall in stalls if stall)
    return _UNKNOWN if value is None else text(_formatter(field)(value))


def _list(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and numbers below each other, or a dash when there are none."""
    rows = [f"<dt>{name}</dt><dd>{text(value)}</dd>" for name, value in pairs if value]
    return f"<dl>{''.join(rows)}</dl>" if rows else _UNKNOWN


def _stall(stall: Stall) -> str:
    some, full = duration(stall.some_seconds), duration(stall.full_seconds)
    return f"{some}{f' (all tasks {full})' if full else ''}"


def _formatter(field: str) -> Callable[[Any], str]:
    if field == "cpu_limit_cores":
        return core_limit
    if field.endswith("_bytes"):
        return byte_limit
    if field.endswith("_seconds"):
        return duration
    if field.endswith("_cores"):
        return cores
    return lambda value: SOURCE_WORDS.get(value, str(value)) if isinstance(value, str) else f"{value:,}"
