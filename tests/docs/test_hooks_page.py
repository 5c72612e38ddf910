"""What the page says of hooks is what is said over the socket; its programs are run by the exporter's tests."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from jobmeter.ops.hooks.connection import Limits
from jobmeter.ops.hooks.events import MAX_LINE_BYTES, SCHEMA, WORDS, ContainerEvent, TaskEvent, Used

PAGE = (Path(__file__).parents[2] / "docs" / "hooks.md").read_text()


def examples() -> list[dict[str, Any]]:
    return [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]


@pytest.mark.parametrize("struct, example", list(zip((TaskEvent, ContainerEvent), examples(), strict=True)))
def test_examples_have_the_fields_of_what_is_told(struct: type, example: dict[str, Any]) -> None:
    """Each of them, and no other."""
    assert example.keys() == set(struct.__struct_fields__)  # type: ignore[attr-defined]
    assert example.get("used", dict.fromkeys(Used.__struct_fields__)).keys() == set(Used.__struct_fields__)
    assert example["schema"] == SCHEMA


def test_the_table_names_every_event() -> None:
    """In the order of their lives."""
    assert tuple(re.findall(r"^\| `(\w+)` \| .* \| (?:both|exporter) \|$", PAGE, re.MULTILINE)) == WORDS


def test_bounds_are_those_of_the_code() -> None:
    """As a script meets them."""
    limits = Limits()
    assert f"{limits.unsent_bytes // 2**20} MiB wait for it" in " ".join(PAGE.split())
    assert f"at most {MAX_LINE_BYTES // 1024} KiB from a client" in PAGE
    assert f"comes within {limits.first_word_seconds:g} s. At most {limits.clients} clients" in PAGE
