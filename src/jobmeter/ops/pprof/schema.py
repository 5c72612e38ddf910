"""The messages of google/pprof's profile.proto, as far as they are needed, made when this module is imported.

They live in a pool of their own, so that another copy of the same schema in the process does no harm.
"""

from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

_PACKAGE = "perftools.profiles"
_SCALARS = {
    "int64": FieldDescriptorProto.TYPE_INT64,
    "uint64": FieldDescriptorProto.TYPE_UINT64,
    "string": FieldDescriptorProto.TYPE_STRING,
    "bool": FieldDescriptorProto.TYPE_BOOL,
}
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    # A text is its index in string_table, whose first entry is empty. "[]" is a repeated field.
    "Profile": {
        "sample_type": (1, "[]ValueType"),
        "sample": (2, "[]Sample"),
        "mapping": (3, "[]Mapping"),
        "location": (4, "[]Location"),
        "function": (5, "[]Function"),
        "string_table": (6, "[]string"),
        "time_nanos": (9, "int64"),
        "duration_nanos": (10, "int64"),
        "period_type": (11, "ValueType"),
        "period": (12, "int64"),
        "comment": (13, "[]int64"),
        "default_sample_type": (14, "int64"),
    },
    "ValueType": {"type": (1, "int64"), "unit": (2, "int64")},
    "Sample": {"location_id": (1, "[]uint64"), "value": (2, "[]int64"), "label": (3, "[]Label")},
    "Label": {"key": (1, "int64"), "str": (2, "int64"), "num": (3, "int64"), "num_unit": (4, "int64")},
    "Mapping": {
        "id": (1, "uint64"),
        "filename": (5, "int64"),
        "has_functions": (7, "bool"),
        "has_filenames": (8, "bool"),
        "has_line_numbers": (9, "bool"),
    },
    "Location": {"id": (1, "uint64"), "mapping_id": (2, "uint64"), "line": (4, "[]Line")},
    "Line": {"function_id": (1, "uint64"), "line": (2, "int64")},
    "Function": {
        "id": (1, "uint64"),
        "name": (2, "int64"),
        "filename": (4, "int64"),
        "start_line": (5, "int64"),
    },
}


def _message(name: str, fields: dict[str, tuple[int, str]]) -> DescriptorProto:
    message = DescriptorProto(name=name)
    for field, (number, kind) in fields.items():
        added = message.field.add(name=field, number=number)
        repeated, plain = kind.startswith("[]"), kind.removeprefix("[]")
        added.label = FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL
        if plain in _SCALARS:
            added.type = _SCALARS[plain]
        else:
            added.type, added.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{_PACKAGE}.{plain}"
    return message


def _profile_class() -> Any:
    pool = descriptor_pool.DescriptorPool()
    described = FileDescriptorProto(name="profile.proto", package=_PACKAGE, syntax="proto3")
    described.message_type.extend(_message(name, fields) for name, fields in _MESSAGES.items())
    pool.AddSerializedFile(described.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Profile"))


ProfileMessage: Any = _profile_class()
"""The class of the message `perftools.profiles.Profile`."""
