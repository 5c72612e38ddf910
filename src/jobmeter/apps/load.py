"""Opens what `jobmeter report` is given: a journal or a summary."""

import fcntl
import shutil
import sys
import tempfile
from pathlib import Path

import msgspec
from msgspec import Struct

from jobmeter.model import summary as summaries
from jobmeter.model import wire
from jobmeter.model.errors import JournalError
from jobmeter.model.summarize import RunFold
from jobmeter.model.summary import Summary
from jobmeter.model.timeline import Timeline
from jobmeter.spool.journal import JournalReader

_MAX_SUMMARY_BYTES = 256 * 1024 * 1024


class Loaded(Struct, frozen=True):
    """One run; a summary alone has no timeline and no samples. ``running`` where its meter still writes the journal."""

    summary: Summary
    timeline: Timeline | None = None
    samples: tuple[wire.Tick, ...] = ()
    running: bool = False


def load(path: str, run_uid: str | None, top: int, *, keep_samples: bool = False) -> Loaded:
    """The run in a file; of a journal with several the named or the last one. Raises JournalError."""
    if path in ("-", "/dev/stdin"):
        return _load_stdin(run_uid, top, keep_samples)
    if is_journal(path):
        return _load_journal(path, run_uid, top, keep_samples)
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error.strerror}") from None
    try:
        schema = msgspec.json.decode(data, type=_Named).schema
        if schema.startswith("jobmeter.summary/") and schema != summaries.SCHEMA:
            raise JournalError(
                f"{path} has the schema {schema}; this jobmeter reads {summaries.SCHEMA}: use a newer one"
            )
        return Loaded(summaries.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise JournalError(
            f"{path} is neither a journal nor a summary of jobmeter ({error}); accepted are files of "
            f"`jobmeter run --journal` and `--json`"
        ) from None


class _Named(Struct):
    schema: str


def _load_stdin(run_uid: str | None, top: int, keep_samples: bool) -> Loaded:
    with tempfile.NamedTemporaryFile() as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.flush()
        return load(file.name, run_uid, top, keep_samples=keep_samples)


def is_journal(path: str) -> bool:
    """True when one of the first lines is a record; a damaged one may stand before it."""
    try:
        with open(path, "rb") as file:
            if file.seek(0, 2) > _MAX_SUMMARY_BYTES:
                return True
            file.seek(0)
            for _ in range(3):
                if _is_record(file.readline(wire.MAX_RECORD_BYTES)):
                    return True
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error.strerror}") from None
    return False


def _is_record(line: bytes) -> bool:
    try:
        return bool(line.strip()) and wire.decode(line.strip()) is not None
    except wire.NewerVersion:
        return True
    except JournalError:
        return False


def _load_journal(path: str, run_uid: str | None, top: int, keep_samples: bool) -> Loaded:
    reader = JournalReader(path)
    fold: RunFold | None = None
    current = newest = None
    samples: list[wire.Tick] = []
    seen: dict[str, None] = {}
    for record in reader:
        seen.setdefault(record.run_uid)
        if isinstance(record, wire.Start):
            newest = record.run_uid
        if run_uid is not None and record.run_uid != run_uid:
            continue
        if record.run_uid != current and isinstance(record, wire.Start):
            fold, current, samples = RunFold(top), record.run_uid, []
        if fold is None or record.run_uid != current:
            continue
        fold.add(record)
        if keep_samples and isinstance(record, wire.Tick):
            samples.append(record)
    if fold is None:
        raise JournalError(_nothing(path, run_uid, list(seen)))
    if reader.damaged:
        lines = (
            "1 line of the journal is"
            if reader.damaged == 1
            else f"{reader.damaged} lines of the journal are"
        )
        fold.warn(f"{lines} damaged and left out.")
    running = not fold.ended and current == newest and _is_being_written(path)
    return Loaded(fold.summary(), fold.timeline(), tuple(samples), running)


def _is_being_written(path: str) -> bool:
    """True while the journal's writer, which holds a lock on it, lives on this machine."""
    with open(path, "rb") as file:
        try:
            # Shared and gone with the file: whoever is about to write it is hardly in our way.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False  # A file system without locks says nothing.
    return False


def _nothing(path: str, run_uid: str | None, seen: list[str]) -> str:
    if run_uid is None:
        return f"{path} holds no run that can be shown: no start record is in it"
    return f"{path} holds no run {run_uid}; it holds {', '.join(seen[-5:]) or 'none'}"
