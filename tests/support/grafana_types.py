"""Checks a dashboard's JSON against the types that Grafana publishes for it (the foundation SDK, made of its schemas).

The SDK reads any JSON and drops what it does not know, so two things are asked: is everything still there when it has
been read and written again, and has every field that was read a value of its declared type?
"""

from __future__ import annotations

import enum
import json
import types
import typing
import warnings
from collections.abc import Iterator
from typing import Any


def problems(dashboard: dict[str, Any]) -> list[str]:
    """What Grafana would not understand, each with its place; empty for a dashboard that is well."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # There is a newer model beside the classic one.
        from grafana_foundation_sdk.cog.plugins import register_default_plugins
        from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()
    read = Dashboard.from_json(dashboard)
    return [*_lost(dashboard, _written(read), ""), *_mistyped(read, Dashboard, "")]


def _written(read: Any) -> Any:
    from grafana_foundation_sdk.cog.encoder import JSONEncoder

    return json.loads(JSONEncoder().encode(read))


def _lost(given: Any, known: Any, place: str) -> Iterator[str]:
    if isinstance(given, dict) and isinstance(known, dict):
        for name, value in given.items():
            if name not in known and value is not None:
                yield f"{place}.{name} is not known"
            elif name in known:
                yield from _lost(value, known[name], f"{place}.{name}")
    elif isinstance(given, list) and isinstance(known, list):
        for index, (one, other) in enumerate(zip(given, known, strict=True)):
            yield from _lost(one, other, f"{place}[{index}]")
    elif given != known:
        yield f"{place}: {given!r} was read as {known!r}"


def _mistyped(value: Any, declared: Any, place: str) -> Iterator[str]:
    """Fields at and below `value` whose type is not `declared`."""
    origin, arguments = typing.get_origin(declared), typing.get_args(declared)
    if declared in (Any, object):
        yield from _mistyped_fields(value, place)
    elif origin in (typing.Union, types.UnionType):
        fitting = [one for one in arguments if one is not type(None) or value is None]
        yield from min((list(_mistyped(value, one, place)) for one in fitting), key=len)
    elif origin is list and isinstance(value, list):
        for index, one in enumerate(value):
            yield from _mistyped(one, arguments[0], f"{place}[{index}]")
    elif isinstance(value, dict) and hasattr(declared, "from_json"):  # The SDK leaves some as they are.
        yield from _lost(value, _written(declared.from_json(value)), place)
        yield from _mistyped_fields(declared.from_json(value), place)
    elif not _fits(value, declared):
        yield f"{place}: {value!r} is no {declared}"
    else:
        yield from _mistyped_fields(value, place)


def _fits(value: Any, declared: Any) -> bool:
    """Whether the value itself, whatever is below it, is of this type."""
    if typing.get_origin(declared) is typing.Literal:
        return value in typing.get_args(declared)
    kind = typing.get_origin(declared) or declared
    if issubclass(kind, enum.Enum):
        return value in [one.value for one in kind]
    if kind in (int, float):
        return isinstance(value, int | kind) and not isinstance(value, bool)
    return isinstance(value, kind)


def _mistyped_fields(value: Any, place: str) -> Iterator[str]:
    """Of an object of the SDK, by the class it was read as."""
    if not type(value).__module__.startswith("grafana_foundation_sdk."):
        return
    for name, declared in typing.get_type_hints(type(value)).items():
        yield from _mistyped(getattr(value, name), declared, f"{place}.{name}")
