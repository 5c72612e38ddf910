"""The contract of every stored byte, frozen: records and summary of version 1.

A change here is a change of what all stored runs say: add fields, never change or remove one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from jobmeter.model import wire
from jobmeter.model.summary import Summary
from tests.conftest import GOLDEN, Golden
from tests.model.golden_run import LEAST, WHOLE, golden_records

JOURNAL = "journal_v1.jsonl"


def test_the_journal_is_frozen(golden: Golden) -> None:
    """The records of version 1 are written as they always were."""
    lines = [wire.encode(record).decode() for record in golden_records()]
    golden(JOURNAL, "\n".join(lines) + "\n")


def test_the_schemas_are_frozen(golden: Golden) -> None:
    """Names and types of all fields of the record and of the summary, as JSON Schema."""
    golden("journal_schema.json", _text(wire.json_schema()))
    golden("summary_schema.json", _text(msgspec.json.schema(Summary)))


def test_a_stored_journal_is_read_and_written_back_to_the_byte() -> None:
    """A reader of version 1 reads the golden journal for ever and loses nothing of it."""
    for line in (GOLDEN / JOURNAL).read_bytes().splitlines():
        record = wire.decode(line)
        assert record is not None
        assert wire.encode(record) == line


def test_the_golden_journal_has_every_kind_and_every_field() -> None:
    """A field that is added to the contract is added to the golden run too."""
    records = golden_records()
    kinds = {type(record) for record in records}
    assert kinds == set(wire.AnyRecord.__args__)
    whole = [record for record in records if record.run_uid == WHOLE]
    unset = set(_fields_at_default(whole)) - set(_fields_set(whole))
    assert unset == set()
    assert {type(record) for record in records if record.run_uid == LEAST} == kinds


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n"


def _structs(value: Any) -> Iterator[msgspec.Struct]:
    if isinstance(value, msgspec.Struct):
        yield value
        value = [getattr(value, field.name) for field in msgspec.structs.fields(value)]
    if isinstance(value, list | tuple):
        for each in value:
            yield from _structs(each)


def _fields_at_default(value: Any) -> Iterator[tuple[str, str]]:
    for one in _structs(value):
        for field in msgspec.structs.fields(one):
            yield type(one).__name__, field.name


def _fields_set(value: Any) -> Iterator[tuple[str, str]]:
    for one in _structs(value):
        for field in msgspec.structs.fields(one):
            if getattr(one, field.name) != field.default:
                yield type(one).__name__, field.name
