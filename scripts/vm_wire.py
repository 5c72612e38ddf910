"""Writes the table of our fields in docs/virtual-machines.md from the schema itself.

Command: .venv/bin/python scripts/vm_wire.py (make golden does it too; a test compares).
"""

import re
from pathlib import Path

from google.protobuf.descriptor import FieldDescriptor
from msgspec import convert

from jobmeter.exporter.container import Identity, Row
from jobmeter.exporter.dialects import cadvisor
from jobmeter.exporter.families import CONTAINER_FAMILIES
from jobmeter.exporter.vm import schema
from jobmeter.model.account import Account, Bounds

PAGE = Path(__file__).parents[1] / "docs/virtual-machines.md"
FIRST_OF_OURS = 1001
_BLOCK = re.compile(r"(<!-- table: wire -->\n).*?(<!-- end -->)", re.DOTALL)
_KINDS = {
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "ContainerIdentity",
}
_MEANS = {
    "identity": "what is known of it beside its numbers",
    "parent": "id of the container that it lies in",
    "started_unix_nano": "when it began, by the machine's clock",
    "ended_unix_nano": "when it ended; only then",
    "cpu_limit_nanos": "CPU limit: nanoseconds in a second",
    "memory_inactive_file_bytes": "what the working set leaves out",
    "processes_limit": "so many processes and threads it may have",
}


def written(page: str) -> str:
    """The page with the table as the code has it now."""
    lines = ["\n| field | number | type | is, or is shown as |\n", "| --- | --- | --- | --- |\n"]
    shown = {schema.nanos(name): name for name in schema.ACCOUNT_TIMES} | {
        name: name for name in schema.ACCOUNT_COUNTS
    }
    for field in sorted(schema.Stats.DESCRIPTOR.fields, key=lambda one: one.number):
        if field.number >= FIRST_OF_OURS:
            kind = _KINDS.get(field.type, "uint64")
            means = _MEANS.get(field.name) or _series(shown[field.name])
            lines.append(f"| `{field.name}` | {field.number} | {kind} | {means} |\n")
    return _BLOCK.sub(lambda found: f"{found[1]}{''.join(lines)}\n{found[2]}", page)


def _series(name: str) -> str:
    """What shows this field of an account, with the words that its help has."""
    row = Row(
        id="a", path="/a", parent=None, engine=None, pod=None, identity=Identity(), bounds=Bounds(), started=None,
        account=convert({name: 7}, Account),
    )  # fmt: skip
    for family in (*CONTAINER_FAMILIES, *cadvisor.families(str, float)):
        for labels, value_of in family.values:
            if family.name != "container_last_seen" and value_of(row) is not None:
                told = "".join(f", {label} {text}" for label, text in labels)
                return f"`{family.name}`{told}"
    raise LookupError(f"nothing shows {name}")


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
