"""Teaches Schemathesis to send records; it imports this as its hooks."""

from __future__ import annotations

import json
from typing import Any

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def as_lines(_: Any, value: Any) -> bytes:
    """A list as one line for each of its values, bytes as they are, anything else as one line."""
    if isinstance(value, bytes):
        return value
    values = value if isinstance(value, list) else [value]
    return b"".join(json.dumps(each).encode() + b"\n" for each in values)


@schemathesis.deserializer("application/x-ndjson")
def as_list(_: Any, response: Any) -> list[Any]:
    """The value of each line."""
    return [json.loads(line) for line in response.content.splitlines()]
