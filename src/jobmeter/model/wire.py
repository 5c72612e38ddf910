"""The record of a journal, which is also the part of a stream: its types, and text to record and back.

One record is one line of JSON. It carries the version of this contract, the run it belongs to and
its place in the run; (run_uid, sequence) is its key, so that the same record twice counts once.
A reader of version 1 ignores fields and kinds it does not know and refuses a higher version.
"""

from functools import cache
from typing import Any

import msgspec
from msgspec import Struct

from jobmeter.model.errors import JournalError
from jobmeter.model.exits import Exit, Survivor
from jobmeter.model.job import Host, Job
from jobmeter.model.sample import ContainerInfo, Sample

VERSION = 1
MAX_RECORD_BYTES = 4 * 1024 * 1024


class NewerVersion(JournalError):
    """The record belongs to a version of this contract that is not known here."""


class Record(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """What every record carries: contract version, run, and its number within the run from 0."""

    v: int
    run_uid: str
    sequence: int


class Start(Record, frozen=True, kw_only=True, omit_defaults=True, tag="start"):
    """The first record of a run.

    ``start_time`` is RFC 3339 UTC; every later time is ``elapsed_seconds`` since then on the
    monotonic clock, whose reading was ``monotonic_seconds`` in the boot ``boot_id``. ``meter`` is the
    command that meters: "run", "attach", "collector" or "keeper".
    """

    start_time: str
    monotonic_seconds: float
    boot_id: str | None
    interval_seconds: float
    version: str
    meter: str
    job: Job = Job()
    host: Host = Host()


class Resume(Record, frozen=True, kw_only=True, omit_defaults=True, tag="resume"):
    """A restarted collector goes on with the run; counters it keeps itself start again at zero.

    Its ``sequence`` is above every one that was used before, also for records that the journal lost: numbers left
    out here are no gap.
    """

    elapsed_seconds: float
    version: str


class Declare(Record, frozen=True, kw_only=True, omit_defaults=True, tag="container"):
    """A container appeared, or what is known of it changed."""

    elapsed_seconds: float
    container: ContainerInfo


class Tick(Record, frozen=True, kw_only=True, omit_defaults=True, tag="sample"):
    """What was read at one tick."""

    sample: Sample


class Mark(Record, frozen=True, kw_only=True, omit_defaults=True, tag="mark"):
    """A named point in the run: a section begins. A sample taken at the same moment precedes it."""

    elapsed_seconds: float
    name: str


class Warn(Record, frozen=True, kw_only=True, omit_defaults=True, tag="warning"):
    """One sentence about what could not be metered."""

    text: str


class End(Record, frozen=True, kw_only=True, omit_defaults=True, tag="end"):
    """The last record of a run that ended in an orderly way; a run without one was lost."""

    elapsed_seconds: float
    exit: Exit = Exit()
    survivors: tuple[Survivor, ...] = ()


AnyRecord = Start | Resume | Declare | Tick | Mark | Warn | End

_KINDS = frozenset({"start", "resume", "container", "sample", "mark", "warning", "end"})


class _Envelope(Struct):
    v: int
    kind: str


@cache
def _decoders() -> tuple[msgspec.json.Decoder[_Envelope], msgspec.json.Decoder[AnyRecord]]:
    # Built when first asked for: who only writes records does not pay for reading them.
    return msgspec.json.Decoder(_Envelope), msgspec.json.Decoder(AnyRecord)


def encode(record: Record) -> bytes:
    """One line of JSON without its newline."""
    return msgspec.json.encode(record)


def decode(line: bytes) -> AnyRecord | None:
    """The record of one line; None for a kind that a later release of this version may have added.

    Raises JournalError when the line is no record or belongs to a newer version of the contract.
    """
    if len(line) > MAX_RECORD_BYTES:
        raise JournalError(
            f"a record of {len(line)} bytes is too large; at most {MAX_RECORD_BYTES} are accepted"
        )
    envelope_decoder, record_decoder = _decoders()
    try:
        record = record_decoder.decode(line)
        if record.v <= VERSION:
            return record
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # Of a kind or a version that is not known here, or no record: the envelope tells.
    try:
        envelope = envelope_decoder.decode(line)
        if envelope.v > VERSION:
            raise NewerVersion(
                f"the record has version {envelope.v}; this jobmeter reads up to {VERSION}: use a newer one"
            )
        return record_decoder.decode(line) if envelope.kind in _KINDS else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise JournalError(f"not a record of a jobmeter journal: {error}") from None


def encodable(text: str) -> str:
    """The text with what is no Unicode, as the bytes of a path that is not UTF-8, replaced."""
    return text.encode("utf-8", "replace").decode()


def json_schema() -> dict[str, Any]:
    """JSON Schema of a record, generated from these types."""
    return msgspec.json.schema(AnyRecord)
