"""The messages of `ephemerd.v1.Dispatch/StreamContainerStats`, made when this module is imported, and our additions.

Numbers below 1000 are ephemerd's (2026-08) and mean what they mean there. Those from 1001 on are ours: another peer
passes over them, as protobuf's rules demand. All of ours are optional, so that what is not known is absent and a 0 is
a 0; in our messages the seven numbers of ephemerd are optional too, which its peers read as before.
docs/virtual-machines.md is the reference.

They live in a pool of their own, so that another copy of the same schema in the process does no harm. Parts that are
seldom anew stay bytes in a message (`Batch.stats`, `ContainerStats.identity`): they look alike on the wire.
"""

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

SERVICE = "ephemerd.v1.Dispatch"
METHOD = f"/{SERVICE}/StreamContainerStats"
TOKEN_KEY = "x-ephemerd-dispatch-token"
FORMAT = 1
"""Of our additions; a peer that sends none speaks ephemerd's part alone."""
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""What gRPC takes unless told otherwise, and so what every peer takes."""

ACCOUNT_COUNTS: Mapping[str, int] = {
    "memory_inactive_file_bytes": 1010,
    "memory_file_bytes": 1011,
    "memory_swap_bytes": 1012,
    "memory_charged_peak_bytes": 1013,
    "memory_limit_hits": 1014,
    "oom_kills": 1015,
    "io_read_bytes": 1016,
    "io_written_bytes": 1017,
    "io_reads": 1018,
    "io_writes": 1019,
    "processes": 1020,
    "process_count": 1021,
    "network_received_bytes": 1022,
    "network_sent_bytes": 1023,
    "cpu_periods": 1024,
    "cpu_throttled_periods": 1025,
}
"""Fields of an account that travel as they are, by name."""
ACCOUNT_TIMES: Mapping[str, int] = {
    "cpu_user_seconds": 1030,
    "cpu_system_seconds": 1031,
    "cpu_throttled_seconds": 1032,
    "cpu_waiting_seconds": 1033,
    "cpu_stalled_seconds": 1034,
    "memory_waiting_seconds": 1035,
    "memory_stalled_seconds": 1036,
    "io_waiting_seconds": 1037,
    "io_stalled_seconds": 1038,
}
"""Fields of an account in seconds: they travel in whole nanoseconds, under a name with that end."""
JOB_TEXTS: Mapping[str, int] = {
    "forge": 1,
    "server_url": 2,
    "organization": 3,
    "repository": 4,
    "workflow": 5,
    "job": 6,
    "run_id": 7,
    "ref": 9,
    "event": 10,
    "runner": 11,
}
"""Fields of a job that are texts."""
IDENTITY_TEXTS: Mapping[str, int] = {
    "name": 1,
    "image": 2,
    "namespace": 4,
    "pod_name": 5,
    "role": 6,
    "task_id": 8,
    "execution": 9,
    "attribution": 10,
}
"""Fields of an identity that are texts."""

_Fields = dict[str, tuple[int, str]]
_SCALARS = {
    "int64": FieldDescriptorProto.TYPE_INT64,
    "uint32": FieldDescriptorProto.TYPE_UINT32,
    "uint64": FieldDescriptorProto.TYPE_UINT64,
    "string": FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
}


def nanos(name: str) -> str:
    """The name on the wire of a field in seconds."""
    return f"{name.removesuffix('_seconds')}_nanos"


# "[]" is a repeated field, "?" one that is told apart from its zero.
_MESSAGES: dict[str, _Fields] = {
    "StreamContainerStatsRequest": {"interval_seconds": (1, "uint32")},
    "ContainerStatsBatch": {
        "timestamp_unix_nano": (1, "int64"),
        "stats": (2, "[]bytes"),
        "format": (1001, "?uint32"),
        "interval_seconds": (1002, "?uint32"),
        "unread": (1003, "[]string"),
        "more": (1004, "[]bytes"),
    },
    "ContainerStats": {
        "id": (1, "string"),
        "repo": (2, "string"),
        "cpu_usage_nanos": (3, "?uint64"),
        "memory_bytes": (4, "?uint64"),
        "memory_anon_bytes": (5, "?uint64"),
        "cpu_limit": (6, "?uint64"),
        "memory_limit_bytes": (7, "?uint64"),
        "network_rx_bytes": (8, "?uint64"),
        "network_tx_bytes": (9, "?uint64"),
        "identity": (1001, "?bytes"),
        "parent": (1002, "?string"),
        "started_unix_nano": (1003, "?int64"),
        "ended_unix_nano": (1004, "?int64"),
        "cpu_limit_nanos": (1005, "?uint64"),
        "processes_limit": (1006, "?uint64"),
        **{name: (number, "?uint64") for name, number in ACCOUNT_COUNTS.items()},
        **{nanos(name): (number, "?uint64") for name, number in ACCOUNT_TIMES.items()},
    },
    "ContainerIdentity": {
        **{name: (number, "?string") for name, number in IDENTITY_TEXTS.items()},
        "labels": (3, "[]Label"),
        "job": (7, "?Job"),
        "engine": (11, "?string"),
        "pod": (12, "?string"),
    },
    "Label": {"key": (1, "string"), "value": (2, "string")},
    "Job": {
        **{name: (number, "?string") for name, number in JOB_TEXTS.items()},
        "attempt": (8, "?uint32"),
    },
}


def _add_field(message: DescriptorProto, name: str, number: int, kind: str) -> None:
    plain = kind.lstrip("[]?")
    field = message.field.add(name=name, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
    if plain in _SCALARS:
        field.type = _SCALARS[plain]
    else:
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".ephemerd.v1.{plain}"
    if kind.startswith("[]"):
        field.label = FieldDescriptorProto.LABEL_REPEATED
    elif kind.startswith("?"):
        field.proto3_optional, field.oneof_index = True, len(message.oneof_decl)
        message.oneof_decl.add(name=f"_{name}")


def _classes() -> dict[str, Any]:
    described = FileDescriptorProto(name="ephemerd.v1.proto", package="ephemerd.v1", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = described.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            _add_field(message, field, number, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(described.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"ephemerd.v1.{name}"))
        for name in _MESSAGES
    }


_CLASSES = _classes()
Request: Any = _CLASSES["StreamContainerStatsRequest"]
Batch: Any = _CLASSES["ContainerStatsBatch"]
Stats: Any = _CLASSES["ContainerStats"]
Identity: Any = _CLASSES["ContainerIdentity"]
Job: Any = _CLASSES["Job"]
Label: Any = _CLASSES["Label"]
