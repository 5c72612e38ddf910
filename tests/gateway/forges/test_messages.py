"""Bodies of runner.v1 in both encodings."""

from __future__ import annotations

import msgspec
import pytest
from google.protobuf import json_format

from jobmeter.gateway.forges.messages import MESSAGES, change, decode, encode, read_outline, write_outline
from jobmeter.gateway.forges.port import Unreadable

UNKNOWN = b"\x9a\x06\x05later"
"""Field 99, a text."""


def task(number: int) -> bytes:
    return bytes(
        MESSAGES["runner.v1.Task"](id=number, secrets={"A": "1", "B": "2"}).SerializeToString() + UNKNOWN
    )


@pytest.mark.parametrize("name", [name for name in MESSAGES if not name.startswith("outline")])
def test_an_unknown_field_survives(name):
    """A newer program's field is still there after decoding and encoding, in every message."""
    assert encode(decode(name, "proto", UNKNOWN), "proto") == UNKNOWN


@pytest.mark.parametrize(
    "name, body, value",
    [
        ("FetchTaskRequest", b"\x08\x07\x10\x03", {"tasksVersion": "7", "taskCapacity": "3"}),
        ("FetchSingleTaskRequest", b"\x08\x07\x12\x01h", {"tasksVersion": "7", "handle": "h"}),
        ("FetchTaskResponse", b"\x0a\x02\x08\x05\x10\x07", {"task": {"id": "5"}, "tasksVersion": "7"}),
        ("FetchTaskResponse", b"\x1a\x02\x08\x06", {"additionalTasks": [{"id": "6"}]}),
        ("FetchSingleTaskResponse", b"\x0a\x02\x08\x05\x10\x07", {"task": {"id": "5"}, "tasksVersion": "7"}),
        ("RegisterRequest", b"\x38\x01\x42\x0acancelling", {"ephemeral": True, "capabilities": ["cancelling"]}),
        ("DeclareRequest", b"\x1a\x0acancelling", {"capabilities": ["cancelling"]}),
        ("Runner", b"\x28\x02\x50\x01", {"status": "RUNNER_STATUS_ACTIVE", "ephemeral": True}),
        ("TaskState", b"\x10\x04\x1a\x02\x08\x01", {"result": "RESULT_SKIPPED", "startedAt": "1970-01-01T00:00:01Z"}),
        ("Task", b"\x2a\x01m\x3a\x06\x0a\x01v\x12\x01w", {"machine": "m", "vars": {"v": "w"}}),
        ("Task", b"\x32\x07\x0a\x01n\x12\x02\x10\x01", {"needs": {"n": {"result": "RESULT_SUCCESS"}}}),
        ("UpdateLogRequest", b"\x1a\x03\x12\x01r\x20\x01", {"rows": [{"content": "r"}], "noMore": True}),
    ],
)  # fmt: skip
def test_numbers_on_the_wire(name, body, value):
    """Fields that no recording has, by the numbers of the protocol's own description."""
    message = decode(f"runner.v1.{name}", "proto", body)
    assert json_format.MessageToDict(message) == value
    assert decode(f"runner.v1.{name}", "json", msgspec.json.encode(value)) == message
    assert encode(message, "proto") == body


@pytest.mark.parametrize(
    "body",
    [b'{"tasksVersion":"7"}', b'{"tasks_version":7}', b' {"tasksVersion":7,"later":{"x":[1]}}'],
)
def test_json_may_be_written_in_several_ways(body):
    """Either spelling of a name, whole numbers as texts or numbers, and what nobody knows."""
    assert decode("runner.v1.FetchTaskRequest", "json", body).tasks_version == 7


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'"x"', b"{", b"\xff", b'{"tasksVersion":"x"}', b"[" * 9999]
)
def test_what_is_no_message(body):
    """One sentence, without anything of the body, and without the library's error that quotes it."""
    with pytest.raises(Unreadable) as raised:
        decode("runner.v1.FetchTaskRequest", "json", body)
    assert str(raised.value) == "A body is no runner.v1.FetchTaskRequest in json."
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


@pytest.mark.parametrize(
    "encoding, body, changed",
    [
        ("proto", b"\x08\x07" + UNKNOWN, b"\x08\x09\x10\x02" + UNKNOWN),
        ("proto", b"", b"\x08\x09\x10\x02"),
        ("json", b'{"tasks_version":7,"later": [1, 2]}', b'{"tasks_version":"9","later":[1, 2],"taskCapacity":"2"}'),
        ("json", b'{"taskCapacity":"8"}', b'{"taskCapacity":"2","tasksVersion":"9"}'),
    ],
)  # fmt: skip
def test_a_change_leaves_the_rest(encoding, body, changed):
    """Two numbers are set, and what is unknown stays where it is."""
    assert change("runner.v1.FetchTaskRequest", encoding, body, tasks_version=9, task_capacity=2) == changed


def test_an_outline_keeps_the_bytes_of_its_parts():
    """Tasks of an answer are byte for byte what the forge sent, unknown fields included."""
    body = b"\x0a%c%b\x10\x07\x1a%c%b" % (len(task(1)), task(1), len(task(2)), task(2))
    outline = read_outline("FetchTaskResponse", "proto", body)
    assert (outline.task, list(outline.additional_tasks), outline.tasks_version) == (task(1), [task(2)], 7)
    assert write_outline(outline, "proto") == body


def test_an_outline_of_json_keeps_the_text_of_its_parts():
    """The same in JSON, blanks and all."""
    body = b'{"task": {"id": "1", "x": 0}, "additionalTasks": [{"id":"2"}, { }], "tasksVersion": "7"}'
    outline = read_outline("FetchTaskResponse", "json", body)
    assert outline.task == b'{"id": "1", "x": 0}'
    assert list(outline.additional_tasks) == [b'{"id":"2"}', b"{ }"]
    written = b'{"task":{"id": "1", "x": 0},"tasksVersion":"7","additionalTasks":[{"id":"2"},{ }]}'
    assert write_outline(outline, "json") == written


@pytest.mark.parametrize("body", [b"{}", b'{"task":null,"additional_tasks":null}', b'{"additionalTasks":[]}'])
def test_absent_parts(body):
    """What is null or empty is not there."""
    outline = read_outline("FetchTaskResponse", "json", body)
    assert not outline.HasField("task")
    assert not outline.additional_tasks


def test_a_translation_that_json_has_no_word_for():
    """A time far beyond the calendar cannot be written as a date."""
    row = MESSAGES["runner.v1.LogRow"]()
    row.time.seconds = 1 << 60
    with pytest.raises(Unreadable, match=r"runner\.v1\.LogRow cannot be written in json"):
        encode(row, "json")
