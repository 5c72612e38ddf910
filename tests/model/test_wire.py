"""The record of a journal: the contract of every stored byte, and what a reader makes of hostile ones."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.model import wire
from jobmeter.model.errors import JournalError
from jobmeter.model.sample import ContainerSample, Sample
from jobmeter.model.summarize import RunFold
from jobmeter.model.summary import encode
from tests.model.golden_run import golden_records

LINE = b'{"kind":"mark","v":1,"run_uid":"r","sequence":7,"elapsed_seconds":1.5,"name":"tests"}'
SAMPLE = Sample(elapsed_seconds=0.25, due_seconds=0.2, unattributed_cpu_seconds=None, cpu_complete=True)
MARK = wire.Mark(v=1, run_uid="r", sequence=7, elapsed_seconds=1.5, name="tests")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    "record", golden_records(), ids=lambda record: f"{type(record).__name__}-{record.sequence}"
)
def test_unknown_fields_are_ignored(record) -> None:
    """A later release of this version may add fields at any depth."""
    plain = json.loads(wire.encode(record))
    assert wire.decode(json.dumps(_with_unknown_fields(plain)).encode()) == record


def test_an_unknown_kind_is_passed_over() -> None:
    """A later release of this version may add kinds of records."""
    assert wire.decode(b'{"kind":"gpu","v":1,"run_uid":"r","sequence":8,"watts":3}') is None


@pytest.mark.parametrize("kind", ["mark", "gpu"])
def test_a_newer_version_is_refused_with_advice(kind) -> None:
    """The sentence says which version it is, which are read, and what to do."""
    line = LINE.replace(b'"v":1', b'"v":2').replace(b'"mark"', f'"{kind}"'.encode())
    with pytest.raises(
        wire.NewerVersion, match=r"^the record has version 2; .* reads up to 1: use a newer one$"
    ):
        wire.decode(line)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"start"',
        b"\xff\xfe",
        b"{}",
        LINE.replace(b'"v":1,', b""),
        LINE.replace(b'"v":1', b'"v":"1"'),
        LINE.replace(b'"v":1', b'"v":1.5'),
        LINE.replace(b'"v":1', b'"v":1e999'),
        LINE.replace(b'"mark"', b"3"),
        LINE.replace(b'"sequence":7', b'"sequence":null'),
        LINE.replace(b'"sequence":7', b'"sequence":1' + b"0" * 5000),
        LINE.replace(b"1.5", b"NaN"),
        LINE.replace(b"1.5", b"1e999"),
        LINE.replace(b"1.5", b'"1.5"'),
        LINE.replace(b"tests", b"\\ud800"),
        LINE.replace(b"tests", b"\xc3\x28"),
        LINE[:-1],
        LINE + b"}",
        LINE + LINE,
        b"[" * 100_000,
        b'{"kind":"start","x":' * 20_000,
        LINE.replace(b'"tests"', b"[" * 50_000 + b"]" * 50_000),
        b" " * (wire.MAX_RECORD_BYTES + 1),
    ],
    ids=range(26),
)
def test_a_line_that_is_no_record_is_one_clear_error(line) -> None:
    """Broken, cut, hostile, deep or huge: always a JournalError of one short line."""
    with pytest.raises(JournalError) as caught:
        wire.decode(line)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_line_is_a_record_or_an_error(line) -> None:
    """No bytes raise anything but JournalError."""
    with contextlib.suppress(JournalError):
        wire.decode(line)


WILD: tuple[Any, ...] = (
    -1,
    10**18,
    2**64,
    10**400,
    1e308,
    -1e308,
    5e-324,
    "",
    "x",
    "unlimited",
    "\0",
    None,
    True,
    [],
    {},
)
WILD_TIMES = ("2026-11-21", "9999-12-31T23:59:59.999Z", "0001-01-01T00:00:00+23:59")


@pytest.mark.parametrize("wild", [*WILD, *WILD_TIMES], ids=lambda wild: repr(wild)[:24])
def test_a_wild_value_anywhere_harms_nobody(wild) -> None:
    """A record with it is refused or folded, and the summary is made or refused with a sentence."""
    for record in golden_records():
        plain = json.loads(wire.encode(record))
        for path in _places(plain):
            damaged = copy.deepcopy(plain)
            _put(damaged, path, wild)
            _fold_with(record, json.dumps(damaged).encode())


def _fold_with(replaced: wire.AnyRecord, line: bytes) -> None:
    """Summarize the run of a golden record with another line in its place."""
    fold = RunFold()
    for record in golden_records():
        if record.run_uid != replaced.run_uid:
            continue
        try:
            other = wire.decode(line) if record.sequence == replaced.sequence else record
            if other is not None:
                fold.add(other)
        except JournalError:
            continue
    fold.timeline()
    with contextlib.suppress(JournalError):
        encode(fold.summary())


@given(
    st.builds(
        ContainerSample,
        key=st.text(max_size=9),
        cpu_seconds=st.none() | st.floats(0, 1e12),
        pids=st.none() | st.integers(0, 2**53),
    )
)
def test_records_survive_a_round_trip(container) -> None:
    """What is written is what is read."""
    record = wire.Tick(
        v=1,
        run_uid="r",
        sequence=0,
        sample=msgspec.structs.replace(SAMPLE, containers=(container,)),
    )
    assert wire.decode(wire.encode(record)) == record


def test_what_was_not_read_takes_no_room() -> None:
    """Fields at their default are left out of the stored form."""
    assert wire.encode(MARK) == LINE
    record = wire.Tick(v=1, run_uid="r", sequence=0, sample=SAMPLE)
    assert wire.encode(record) == (
        b'{"kind":"sample","v":1,"run_uid":"r","sequence":0,"sample":{"elapsed_seconds":0.25,"due_seconds":0.2,'
        b'"unattributed_cpu_seconds":null,"cpu_complete":true}}'
    )


def _with_unknown_fields(value: Any) -> Any:
    if isinstance(value, dict):
        known = {key: _with_unknown_fields(each) if key != "matrix" else each for key, each in value.items()}
        return known if "kind" in value and "index" in value else {"added later": [1], **known}
    return [_with_unknown_fields(each) for each in value] if isinstance(value, list) else value


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*path, key)
        yield from _places(each, (*path, key))


def _put(value: Any, path: tuple[Any, ...], new: Any) -> None:
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = new
