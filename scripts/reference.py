"""Writes docs/reference.md from the code's own tables: options, variables, fields.

Command: .venv/bin/python scripts/reference.py > docs/reference.md (make golden does it too; a test compares).
"""

import sys
from collections.abc import Iterable, Iterator
from typing import Any, get_args, get_type_hints

import msgspec
from msgspec import Meta, Struct

from jobmeter import cli
from jobmeter.config.help import USAGE
from jobmeter.config.options import Option
from jobmeter.identity import own
from jobmeter.model import exits, job, sample, statistics, summary, wire
from jobmeter.model.evidence import document

EXIT_CODES = (
    ("0", "fine; `run`: the command succeeded; `mark`: always"),
    ("1", "failed: what was asked for could not be done"),
    ("2", "a flag or its value is not accepted, or the file that it names cannot be read or written"),
    ("3", "`check`: a budget was exceeded, or is not known where the file says that this fails"),
    ("125", "`run`: the same of its flags, and the command was not run; or it could not be started"),
    ("126", "`run`: the command was found but cannot be executed"),
    ("127", "`run`: the command was not found"),
    ("128 + N", "`run`: the command was killed by signal N"),
)
CONTAINER_VARIABLES = (
    ("CGROUP_PROCESS_MAP", 'JSON object of process name and container name: `{"node": "runner"}`'),
    (
        "CGROUP_LIMITS",
        'JSON object of container name and what it was given: `{"runner": {"cpu": "2", "memory": "1Gi", '
        '"cpu_request": "500m", "memory_request": "512Mi"}}`; a limit the kernel shows wins',
    ),
)
FORGE_VARIABLES = (
    "GITHUB_REPOSITORY_OWNER", "GITHUB_REPOSITORY", "GITHUB_WORKFLOW", "GITHUB_JOB", "GITHUB_RUN_ID",
)  # fmt: skip
SUMMARY_STRUCTS = (
    summary.Summary, summary.ContainerSummary, summary.ProcessSummary, summary.ProgramSummary,
    summary.Section, exits.Exit, exits.Survivor, summary.CollectorSummary, job.Job, job.Host, statistics.Statistic,
    sample.Pressure, sample.Stall,
)  # fmt: skip
EVIDENCE_STRUCTS = (document.Evidence, document.Source, document.QueryAnswer, document.Series)
RECORDS = (wire.Start, wire.Declare, wire.Tick, wire.Mark, wire.Warn, wire.Resume, wire.End)
SAMPLE_STRUCTS = (
    sample.Sample, sample.HostSample, sample.ContainerInfo, sample.ContainerSample, sample.ProcessSample,
    sample.ProgramSample, sample.MeterSample,
)  # fmt: skip


def reference() -> str:
    """The whole page."""
    parts: list[str] = ["# Reference", "Made from the code by `scripts/reference.py`; a test keeps it true."]
    parts += ["## Commands", *_commands()]
    parts += ["## Exit codes", _table(("code", "meaning"), EXIT_CODES)]
    parts += ["## Variables", *_variables()]
    parts += [f"## Summary: `{summary.SCHEMA}`", _SUMMARY_TEXT]
    parts += [part for struct in SUMMARY_STRUCTS for part in _described(struct)]
    parts += [f"## Evidence: `{document.SCHEMA}`", _EVIDENCE_TEXT]
    parts += [part for struct in EVIDENCE_STRUCTS for part in _described(struct)]
    parts += ["## Journal records, version 1", _JOURNAL_TEXT]
    parts += [part for struct in (*RECORDS, *SAMPLE_STRUCTS) for part in _plain(struct)]
    return "\n\n".join(parts) + "\n"


_SUMMARY_TEXT = (
    'What `--json` writes. Unknown is `null`, never 0; no limit is `"unlimited"`. Percentiles are by linear '
    "interpolation between closest ranks and `null` for fewer than two values. A reader of this version "
    "stays able to read it."
)
_EVIDENCE_TEXT = (
    "What `jobmeter referee` writes: see [referee.md](referee.md). A reader leaves fields out that it does not know, "
    "and refuses a later version."
)
_JOURNAL_TEXT = (
    "One line of JSON a record; `(run_uid, sequence)` is its key. Every record has `v` (1), `run_uid`, "
    "`sequence` and `kind`; a field that could not be read is left out. A reader leaves fields and kinds "
    "out that it does not know, and refuses a higher `v`."
)


_OPTIONS_TEXT = (
    "A flag wins over its variable, and a variable that is empty is not set. So is an empty value of a flag of `run` "
    'and `collector`, as in `--receiver="$RECEIVER"`; other commands refuse it. A variable that is not accepted is '
    "left out with a sentence, but by `receiver`, `exporter`, `gateway` and `admin`, which do not start."
)


def _commands() -> Iterator[str]:
    yield _OPTIONS_TEXT
    for name, (about, _) in cli.COMMANDS.items():
        usage, options = USAGE[name]
        yield f"### `jobmeter {name}`"
        yield f"{about[0].upper()}{about[1:]}."
        yield f"```\n{usage}\n```"
        if options:
            yield _table(
                ("flag", "variable", "default", "meaning"), (_option_row(option) for option in options)
            )


def _option_row(option: Option) -> tuple[str, str, str, str]:
    flag = f"`{option.flag}{' ' + option.metavar if option.metavar else ''}`"
    meaning = option.help + (f": {', '.join(f'`{one}`' for one in option.choices)}" if option.choices else "")
    return flag, f"`{option.env}`" if option.env else "", option.default or "", meaning


def _variables() -> Iterator[str]:
    yield "Of the job, from the forge (the seed's names; Forgejo's, Gitea's and GitLab's own are read too):"
    yield ", ".join(f"`{name}`" for name in FORGE_VARIABLES) + "."
    yield "Of the job, said by you; each overrides what the forge says:"
    yield _table(
        ("variable", "field", "meaning"), ((f"`{v.name}`", f"`{v.field}`", v.help) for v in own.VARIABLES)
    )
    yield "Of the containers, for `collector`:"
    yield _table(("variable", "meaning"), ((f"`{name}`", text) for name, text in CONTAINER_VARIABLES))


def _described(struct: type[Struct]) -> Iterator[str]:
    hints = get_type_hints(struct, include_extras=True)
    yield f"### {struct.__name__}"
    yield _first_line(struct)
    rows = [("field", "type", "unit", "source", "meaning"), *(_field_row(n, h) for n, h in hints.items())]
    filled = [column for column in zip(*rows, strict=True) if any(column[1:])]
    head, *told = zip(*filled, strict=True)
    yield _table(head, told)


def _field_row(name: str, hint: Any) -> tuple[str, ...]:
    kind, *metas = get_args(hint)
    meta = next(one for one in metas if isinstance(one, Meta))
    extra = meta.extra or {}
    return (
        f"`{name}`",
        _type_name(kind),
        extra.get("unit", ""),
        extra.get("source", ""),
        meta.description or "",
    )


def _plain(struct: type[Struct]) -> Iterator[str]:
    yield f"### {struct.__name__}"
    yield (struct.__doc__ or "").strip().replace("\n    ", "\n").replace("``", "`")
    hints = get_type_hints(struct)
    base = set(get_type_hints(wire.Record)) if issubclass(struct, wire.Record) else set()
    rows = [(f"`{name}`", _type_name(hint)) for name, hint in hints.items() if name not in base]
    kind = getattr(struct, "__struct_config__", None)
    if kind is not None and kind.tag is not None:
        yield f"`kind`: `{kind.tag}`"
    yield _table(("field", "type"), rows)


def _first_line(struct: type[Struct]) -> str:
    return (struct.__doc__ or "").strip().split("\n\n")[0].replace("\n    ", " ").replace("``", "`")


def _type_name(hint: Any) -> str:
    schema = msgspec.json.schema(hint)
    return _schema_name(schema, schema.get("$defs", {}))


def _schema_name(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_schema_name(one, definitions) for one in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if "enum" in schema:
        return " or ".join("null" if one is None else f'"{one}"' for one in schema["enum"])
    kind = str(schema.get("type", "any"))
    if kind == "array" and isinstance(schema.get("items"), dict):
        return f"array of {_schema_name(schema['items'], definitions)}"
    return kind


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [_row(head), _row(tuple("---" for _ in head))]
    return "\n".join([*lines, *(_row(row) for row in rows)])


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    sys.stdout.write(reference())
