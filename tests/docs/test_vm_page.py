"""The page of virtual machines: the wire, the series and the flags that it tells of are there."""

from __future__ import annotations

import os
import re
from types import SimpleNamespace

import pytest

from jobmeter.config.exporter import EXPORTER_OPTIONS
from jobmeter.exporter.elsewhere import MAX_CONTAINERS
from jobmeter.exporter.vm import schema
from jobmeter.exporter.vm.figures import ServingCollector, StreamsCollector
from jobmeter.exporter.vm.reading import MAX_ID_CHARACTERS
from jobmeter.exporter.vm.server import MAX_CONNECTIONS, MAX_STREAMS
from jobmeter.exporter.vm.target import parse_target
from jobmeter.exporter.vm.writing import MAX_IDENTITY_BYTES
from scripts.vm_wire import FIRST_OF_OURS, PAGE, written

TEXT = PAGE.read_text()


def test_the_table_of_the_wire_is_what_the_code_says() -> None:
    """`make golden` rewrites it."""
    if os.environ.get("JOBMETER_GOLDEN") == "write":
        PAGE.write_text(written(PAGE.read_text()))
    assert written(PAGE.read_text()) == PAGE.read_text(), "run `make golden` and read the change"


@pytest.mark.parametrize(
    "message", [schema.Request, schema.Batch, schema.Stats, schema.Identity, schema.Job, schema.Label]
)
def test_every_other_field_is_on_the_page(message: type) -> None:
    """With its number."""
    fields = message.DESCRIPTOR.fields  # type: ignore[attr-defined]
    listed = [one for one in fields if message is not schema.Stats or one.number < FIRST_OF_OURS]
    assert [one.name for one in listed if f"`{one.name}` = {one.number}" not in TEXT] == []


def test_every_series_is_on_the_page() -> None:
    """With its kind."""
    shown = SimpleNamespace(rows=(), refused=0)
    machine = SimpleNamespace(
        machine="a", up=True, batches=0, reconnects=0, refused=0, told_at=1.0, shown=shown, streams=0
    )
    for collector in (StreamsCollector([machine]), ServingCollector(machine)):
        for family in collector.collect():
            name = f"{family.name}_total" if family.type == "counter" else family.name
            assert f"| `{name}` | {family.type} |" in TEXT


def test_flags_of_the_page_exist() -> None:
    """And each machine that it names can be subscribed to."""
    flags = {option.flag for option in EXPORTER_OPTIONS}
    assert set(re.findall(r"--[a-z]+(?:-[a-z]+)+|--runtime|--subscribe\b", TEXT)) <= flags
    named = re.findall(r"--subscribe '([^']+)'", TEXT)
    assert [parse_target(one).name for one in named] == ["builder-1"]


def test_bounds_of_the_page() -> None:
    """They are those of the code."""
    for said in (
        f"beyond {MAX_CONTAINERS:,} containers",
        f"at most {MAX_STREAMS} may subscribe over at most {MAX_CONNECTIONS} connections",
        f"at most {schema.MAX_MESSAGE_BYTES >> 20} MiB",
        f"ids at most {MAX_ID_CHARACTERS} characters",
        f"at most {MAX_IDENTITY_BYTES >> 10} KiB",
    ):
        assert said in TEXT, said
