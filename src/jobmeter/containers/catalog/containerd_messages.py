"""The part of containerd's API that is spoken here, as messages of protobuf made from the tables below.

Field numbers as in containerd's api/services/{containers,events,namespaces}/v1, api/events/container.proto
and api/types/event.proto, the same in 1.x and 2.x. Names and labels are bytes here, so that no text of a
container can keep a message from being read; a map is what it is on the wire, repeated pairs. Fields that are
left out, first of all the containers' specifications, are passed over.
"""

from collections.abc import Callable
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "jobmeter.containerd"
_Field = descriptor_pb2.FieldDescriptorProto

_SCALARS = {"bytes": _Field.TYPE_BYTES, "int64": _Field.TYPE_INT64, "int32": _Field.TYPE_INT32}

# message → (field, number, type); a type in brackets is repeated
_MESSAGES: dict[str, tuple[tuple[str, int, str], ...]] = {
    "Any": (("type_url", 1, "bytes"), ("value", 2, "bytes")),
    "Timestamp": (("seconds", 1, "int64"), ("nanos", 2, "int32")),
    "Label": (("key", 1, "bytes"), ("value", 2, "bytes")),
    "Extension": (("key", 1, "bytes"), ("value", 2, "Any")),
    "Container": (
        ("id", 1, "bytes"),
        ("labels", 2, "[Label]"),
        ("image", 3, "bytes"),
        ("created_at", 8, "Timestamp"),
        ("extensions", 10, "[Extension]"),
    ),
    # GetContainerResponse and ListContainerMessage
    "ContainerMessage": (("container", 1, "Container"),),
    # GetContainerRequest; ContainerCreate, ContainerUpdate and ContainerDelete begin with the id, too
    "ContainerId": (("id", 1, "bytes"),),
    "Namespace": (("name", 1, "bytes"),),
    "ListNamespacesResponse": (("namespaces", 1, "[Namespace]"),),
    "SubscribeRequest": (("filters", 1, "[bytes]"),),
    "Envelope": (("namespace", 2, "bytes"), ("topic", 3, "bytes"), ("event", 4, "Any")),
}


def _make() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="jobmeter/containerd.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            repeated = kind.startswith("[")
            element = kind.strip("[]")
            label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
            added = message.field.add(name=field, number=number, label=label)
            if element in _SCALARS:
                added.type = _SCALARS[element]
            else:
                added.type = _Field.TYPE_MESSAGE
                added.type_name = f".{_PACKAGE}.{element}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }


_CLASSES = _make()


def new(message: str, /, **fields: object) -> Any:
    """A message with these fields."""
    return _CLASSES[message](**fields)


def decoder(name: str) -> Callable[[bytes], Any]:
    """What reads a message of this name; raises protobuf's DecodeError."""
    decode: Callable[[bytes], Any] = _CLASSES[name].FromString
    return decode
