"""What the user says of containers: ``CGROUP_PROCESS_MAP`` and ``CGROUP_LIMITS``.

Names and forms are those of the Forgejo Runner Resource Collector. A text or an entry that is not
accepted gives one sentence and is left out; the entries beside it stay.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from jobmeter.identity.variables import printable, shorten
from jobmeter.model.errors import UsageError
from jobmeter.model.quantities import parse_bytes, parse_cores

MAX_TEXT_CHARACTERS = 64 * 1024
MAX_ENTRIES = 256
MAX_PROBLEMS = 10
_MAX_QUANTITY_CHARACTERS = 64

_PROCESS_MAP = "CGROUP_PROCESS_MAP"
_PROCESS_MAP_FORM = 'a JSON object of process name and container name such as {"node": "runner"}'
_LIMITS = "CGROUP_LIMITS"
_LIMITS_FORM = 'a JSON object such as {"runner": {"cpu": "2", "memory": "1Gi"}}'
_FIELDS: dict[str, tuple[str, Callable[[str], float]]] = {
    "cpu": ("cpu_limit_cores", parse_cores),
    "memory": ("memory_limit_bytes", parse_bytes),
    "cpu_request": ("cpu_request_cores", parse_cores),
    "memory_request": ("memory_request_bytes", parse_bytes),
}


class DeclaredLimits(Struct, frozen=True, kw_only=True):
    """What one container was given, in cores and bytes; None where nothing was said."""

    cpu_limit_cores: float | None = None
    memory_limit_bytes: int | None = None
    cpu_request_cores: float | None = None
    memory_request_bytes: int | None = None


def parse_process_map(text: str) -> tuple[dict[str, str], list[str]]:
    """Container names by process name, in the order of the text, and a sentence for each problem."""
    entries, problems = _decode_object(text, _PROCESS_MAP, _PROCESS_MAP_FORM)
    process_map: dict[str, str] = {}
    for process, container in entries.items():
        name = printable(container) if isinstance(container, str) else ""
        if process and name:
            process_map[process] = name
        else:
            problems.append(
                f"{_PROCESS_MAP}: the entry {shorten(process)}: {_show(container)} is ignored; "
                f"accepted is {_PROCESS_MAP_FORM}"
            )
    return process_map, _bounded(problems, _PROCESS_MAP)


def parse_limits(text: str) -> tuple[dict[str, DeclaredLimits], list[str]]:
    """Limits and requests by container name, and a sentence for each problem."""
    entries, problems = _decode_object(text, _LIMITS, _LIMITS_FORM)
    limits: dict[str, DeclaredLimits] = {}
    for container, values in entries.items():
        name = printable(container)
        if not name or not isinstance(values, dict):
            problems.append(
                f"{_LIMITS}: the entry {shorten(container)}: {_show(values)} is ignored; "
                f"accepted is {_LIMITS_FORM}"
            )
            continue
        declared = _parse_entry(name, values, problems)
        if declared != DeclaredLimits():
            limits[name] = declared
    return limits, _bounded(problems, _LIMITS)


def _parse_entry(container: str, values: dict[str, object], problems: list[str]) -> DeclaredLimits:
    declared: dict[str, Any] = {}
    for key, value in values.items():
        if key not in _FIELDS:
            problems.append(
                f"{_LIMITS}: {shorten(key)} of {shorten(container)} is not known and ignored; "
                f"accepted are {', '.join(_FIELDS)}"
            )
            continue
        field, parse = _FIELDS[key]
        try:
            declared[field] = _parse_quantity(value, parse)
        except UsageError as error:
            problems.append(f"{_LIMITS}: {key} of {shorten(container)} is ignored: {error}")
    return DeclaredLimits(**declared)


def _parse_quantity(value: object, parse: Callable[[str], float]) -> float | None:
    """A quantity above zero; a JSON number is one without a unit, null is nothing said."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UsageError(f"{_show(value)} is not a quantity; accepted are forms such as 500m, 2, 256Mi")
    text = printable(value)[:_MAX_QUANTITY_CHARACTERS] if isinstance(value, str) else repr(value)
    quantity = parse(text)
    if quantity <= 0:
        raise UsageError(f"{text!r} is not more than 0; leave it out where there is none")
    return quantity


def _decode_object(text: str, variable: str, form: str) -> tuple[dict[str, object], list[str]]:
    """The JSON object of a variable, at most MAX_ENTRIES of it; nothing set is an empty one."""
    if not text.strip():
        return {}, []
    if len(text) > MAX_TEXT_CHARACTERS:
        return {}, [
            f"{variable} is ignored: it has {len(text)} characters; "
            f"at most {MAX_TEXT_CHARACTERS} are accepted"
        ]
    try:
        decoded = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        decoded = None
    if not isinstance(decoded, dict):
        return {}, [f"{variable} is ignored: {shorten(text)} is not {form}"]
    if len(decoded) <= MAX_ENTRIES:
        return decoded, []
    first = dict(list(decoded.items())[:MAX_ENTRIES])
    return first, [f"{variable}: only the first {MAX_ENTRIES} of {len(decoded)} entries are used"]


def _bounded(problems: list[str], variable: str) -> list[str]:
    """At most MAX_PROBLEMS sentences; the last one counts what it stands for."""
    if len(problems) <= MAX_PROBLEMS:
        return problems
    shown = problems[: MAX_PROBLEMS - 1]
    return [*shown, f"{variable}: {len(problems) - len(shown)} more parts of it are ignored"]


def _show(value: object) -> str:
    try:
        return shorten(msgspec.json.encode(value).decode())[1:-1]
    except RecursionError:
        return "…"
