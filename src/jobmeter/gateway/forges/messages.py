"""The messages of ``runner.v1`` and ``ping.v1``, made when this module is imported, and their bodies in two encodings.

They live in a pool of their own, so that another copy of the same schema in the process does no harm. Numbers and
types are those of Gitea's actions-proto (2026-08); Forgejo's additions of 2026 are marked. An outline is a message
whose largest parts stay bytes in their own encoding: they are counted or passed on without being read.
"""

from typing import Any

import msgspec
from google.protobuf import descriptor_pool, json_format, message_factory, struct_pb2, timestamp_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message import DecodeError, EncodeError

from jobmeter.gateway.forges.port import Encoding, Unreadable

_SCALARS = {
    "int64": FieldDescriptorProto.TYPE_INT64,
    "string": FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "bool": FieldDescriptorProto.TYPE_BOOL,
}
_WELL_KNOWN = {"Struct": ".google.protobuf.Struct", "Timestamp": ".google.protobuf.Timestamp"}
_ENUMS = {
    "Result": (
        "RESULT_UNSPECIFIED",
        "RESULT_SUCCESS",
        "RESULT_FAILURE",
        "RESULT_CANCELLED",
        "RESULT_SKIPPED",
    ),
    "RunnerStatus": (
        "RUNNER_STATUS_UNSPECIFIED",
        "RUNNER_STATUS_IDLE",
        "RUNNER_STATUS_ACTIVE",
        "RUNNER_STATUS_OFFLINE",
    ),
}
_Fields = dict[str, tuple[int, str]]
# "[]" is a repeated field, "{}" a map from strings, "?" a field that is told apart from its zero.
_PING: dict[str, _Fields] = {
    "PingRequest": {"data": (1, "string")},
    "PingResponse": {"data": (1, "string")},
}
_RUNNER: dict[str, _Fields] = {
    "RegisterRequest": {
        "name": (1, "string"),
        "token": (2, "string"),
        "agent_labels": (3, "[]string"),
        "custom_labels": (4, "[]string"),
        "version": (5, "string"),
        "labels": (6, "[]string"),
        "ephemeral": (7, "bool"),
        "capabilities": (8, "[]string"),
    },
    "RegisterResponse": {"runner": (1, "Runner")},
    "DeclareRequest": {"version": (1, "string"), "labels": (2, "[]string"), "capabilities": (3, "[]string")},
    "DeclareResponse": {"runner": (1, "Runner")},
    # Forgejo's task_capacity, additional_tasks and FetchSingleTask: names and types are those of its tests and runner,
    # the numbers are not confirmed. What comes under another one passes, and its task is adopted by its first report.
    "FetchTaskRequest": {"tasks_version": (1, "int64"), "task_capacity": (2, "?int64")},
    "FetchTaskResponse": {
        "task": (1, "Task"),
        "tasks_version": (2, "int64"),
        "additional_tasks": (3, "[]Task"),
    },
    "FetchSingleTaskRequest": {"tasks_version": (1, "int64"), "handle": (2, "?string")},
    "FetchSingleTaskResponse": {"task": (1, "Task"), "tasks_version": (2, "int64")},
    "UpdateTaskRequest": {"state": (1, "TaskState"), "outputs": (2, "{}string")},
    "UpdateTaskResponse": {"state": (1, "TaskState"), "sent_outputs": (2, "[]string")},
    "UpdateLogRequest": {
        "task_id": (1, "int64"),
        "index": (2, "int64"),
        "rows": (3, "[]LogRow"),
        "no_more": (4, "bool"),
    },
    "UpdateLogResponse": {"ack_index": (1, "int64")},
    "Runner": {
        "id": (1, "int64"),
        "uuid": (2, "string"),
        "token": (3, "string"),
        "name": (4, "string"),
        "status": (5, "RunnerStatus"),
        "agent_labels": (6, "[]string"),
        "custom_labels": (7, "[]string"),
        "version": (8, "string"),
        "labels": (9, "[]string"),
        "ephemeral": (10, "bool"),
    },
    "Task": {
        "id": (1, "int64"),
        "workflow_payload": (2, "?bytes"),
        "context": (3, "Struct"),
        "secrets": (4, "{}string"),
        "machine": (5, "string"),
        "needs": (6, "{}TaskNeed"),
        "vars": (7, "{}string"),
    },
    "TaskNeed": {"outputs": (1, "{}string"), "result": (2, "Result")},
    "TaskState": {
        "id": (1, "int64"),
        "result": (2, "Result"),
        "started_at": (3, "Timestamp"),
        "stopped_at": (4, "Timestamp"),
        "steps": (5, "[]StepState"),
    },
    "StepState": {
        "id": (1, "int64"),
        "result": (2, "Result"),
        "started_at": (3, "Timestamp"),
        "stopped_at": (4, "Timestamp"),
        "log_index": (5, "int64"),
        "log_length": (6, "int64"),
    },
    "LogRow": {"time": (1, "Timestamp"), "content": (2, "string")},
}
# A message within a message and bytes look alike on the wire.
_OUTLINES: dict[str, _Fields] = {
    "FetchTaskResponse": {
        "task": (1, "?bytes"),
        "tasks_version": (2, "int64"),
        "additional_tasks": (3, "[]bytes"),
    },
    "FetchSingleTaskResponse": {"task": (1, "?bytes"), "tasks_version": (2, "int64")},
    "UpdateLogRequest": {
        "task_id": (1, "int64"),
        "index": (2, "int64"),
        "rows": (3, "[]bytes"),
        "no_more": (4, "bool"),
    },
}


def _add_field(message: DescriptorProto, package: str, name: str, number: int, kind: str) -> None:
    plain = kind.lstrip("[]{}?")
    field = message.field.add(name=name, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
    if kind.startswith("{}"):
        entry = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        _add_field(entry, package, "key", 1, "string")
        _add_field(entry, package, "value", 2, plain)
        field.type, field.type_name = (
            FieldDescriptorProto.TYPE_MESSAGE,
            f".{package}.{message.name}.{entry.name}",
        )
    elif plain in _SCALARS:
        field.type = _SCALARS[plain]
    elif plain in _ENUMS:
        field.type, field.type_name = FieldDescriptorProto.TYPE_ENUM, f".{package}.{plain}"
    else:
        field.type = FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = _WELL_KNOWN.get(plain, f".{package}.{plain}")
    if kind.startswith(("[]", "{}")):
        field.label = FieldDescriptorProto.LABEL_REPEATED
    elif kind.startswith("?"):
        field.proto3_optional, field.oneof_index = True, len(message.oneof_decl)
        message.oneof_decl.add(name=f"_{name}")


def _file(package: str, messages: dict[str, _Fields]) -> bytes:
    described = FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    described.dependency.extend([struct_pb2.DESCRIPTOR.name, timestamp_pb2.DESCRIPTOR.name])
    for name, values in _ENUMS.items():
        enum = described.enum_type.add(name=name)
        for number, value in enumerate(values):
            enum.value.add(name=value, number=number)
    for name, fields in messages.items():
        message = described.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            _add_field(message, package, field, number, kind)
    return described.SerializeToString()


def _classes() -> dict[str, Any]:
    pool = descriptor_pool.DescriptorPool()
    for known in (struct_pb2, timestamp_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    classes = {}
    for package, messages in (("ping.v1", _PING), ("runner.v1", _RUNNER), ("outline.v1", _OUTLINES)):
        pool.AddSerializedFile(_file(package, messages))
        for name in messages:
            full_name = f"{package}.{name}"
            classes[full_name] = message_factory.GetMessageClass(pool.FindMessageTypeByName(full_name))
    return classes


MESSAGES: dict[str, Any] = _classes()
"""Classes of messages by their full names, as ``runner.v1.Task``."""

_FAULTS = (
    DecodeError,
    EncodeError,
    json_format.Error,
    msgspec.MsgspecError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OverflowError,
    RecursionError,
)


def decode(name: str, encoding: Encoding, body: bytes) -> Any:
    """The message of this full name; fields that it does not know are kept in ``proto`` and dropped in ``json``."""
    try:
        if encoding == "proto":
            return MESSAGES[name].FromString(body)
        return _from_json(MESSAGES[name](), body)
    except _FAULTS:
        # What the libraries say quotes the body.
        raise Unreadable(f"A body is no {name} in {encoding}.") from None


def encode(message: Any, encoding: Encoding) -> bytes:
    """The body of a message; names in JSON are lowerCamelCase, and what is not set is absent."""
    try:
        if encoding == "proto":
            return bytes(message.SerializeToString())
        return json_format.MessageToJson(message, indent=None).encode()
    except _FAULTS:
        raise Unreadable(f"A {message.DESCRIPTOR.full_name} cannot be written in {encoding}.") from None


def read_outline(name: str, encoding: Encoding, body: bytes) -> Any:
    """The message of this name with its largest parts as bytes, each byte for byte as in ``body``."""
    full_name = f"outline.v1.{name}"
    try:
        if encoding == "proto":
            return MESSAGES[full_name].FromString(body)
        document = _document(body)
        kept = {field: document.pop(*_spelled(document, field)) for field in _parts(name)}
        outline = _from_json(MESSAGES[full_name](), msgspec.json.encode(document))
        for field, part in kept.items():
            _keep(outline, field, part)
        return outline
    except _FAULTS:
        raise Unreadable(f"A body is no {name} in {encoding}.") from None


def write_outline(outline: Any, encoding: Encoding) -> bytes:
    """The body of an outline whose parts are in this encoding."""
    if encoding == "proto":
        return encode(outline, "proto")
    document: dict[str, Any] = {}
    for field, value in outline.ListFields():
        if field.type == FieldDescriptorProto.TYPE_BYTES:
            repeated = not isinstance(value, bytes)
            document[field.json_name] = [*map(msgspec.Raw, value)] if repeated else msgspec.Raw(value)
        else:
            document[field.json_name] = str(value) if isinstance(value, int) else value
    return msgspec.json.encode(document)


def change(name: str, encoding: Encoding, body: bytes, **values: int) -> bytes:
    """The body of a message with these whole numbers set, and everything else as it was, known or not."""
    if encoding == "proto":
        message = decode(name, encoding, body)
        for field, value in values.items():
            setattr(message, field, value)
        return encode(message, encoding)
    try:
        document = _document(body)
    except _FAULTS:
        raise Unreadable(f"A body is no {name} in {encoding}.") from None
    for field, value in values.items():
        spelled, _ = _spelled(document, field)
        document[spelled] = msgspec.Raw(b'"%d"' % value)
    return msgspec.json.encode(document)


def _document(body: bytes) -> dict[str, msgspec.Raw]:
    return msgspec.json.decode(body, type=dict[str, msgspec.Raw])


def _from_json(message: Any, body: bytes) -> Any:
    if not body.lstrip().startswith(b"{"):
        # The library takes every empty value for an empty message.
        raise ValueError
    return json_format.Parse(body, message, ignore_unknown_fields=True)


def _parts(name: str) -> list[str]:
    return [field for field, (_, kind) in _OUTLINES[name].items() if kind.endswith("bytes")]


_NOTHING = msgspec.Raw(b"null")


def _spelled(document: dict[str, msgspec.Raw], field: str) -> tuple[str, msgspec.Raw]:
    """How the document writes a field's name, both ways are allowed, and what it is if it is absent."""
    if field in document:
        return field, _NOTHING
    first, *others = field.split("_")
    return first + "".join(map(str.title, others)), _NOTHING


def _keep(outline: Any, field: str, part: msgspec.Raw) -> None:
    if bytes(part) == b"null":
        return
    if isinstance(getattr(outline, field), bytes):
        setattr(outline, field, bytes(part))
    else:
        getattr(outline, field).extend(map(bytes, msgspec.json.decode(part, type=list[msgspec.Raw])))
