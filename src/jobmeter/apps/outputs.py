"""Where the results of a run go: the journal, files, descriptors, the step summary, the terminal."""

import contextlib
import os
import stat
import sys
from collections.abc import Callable, Mapping
from typing import TextIO

from jobmeter.model.errors import JobmeterError, JournalError, UsageError
from jobmeter.spool.journal import Journal, prune

JOURNALS_KEPT = 100
_MAX_MARKDOWN_BYTES = 1024 * 1024


def default_journal(environ: Mapping[str, str], run_uid: str) -> str:
    """The journal's path when none was named: below $XDG_STATE_HOME, else below $TMPDIR."""
    state = environ.get("XDG_STATE_HOME")
    if state and os.path.isabs(state):
        return f"{state}/jobmeter/{run_uid}.jsonl"
    return f"{environ.get('TMPDIR') or '/tmp'}/{_private_name()}/{run_uid}.jsonl"


def default_journals(environ: Mapping[str, str]) -> list[str]:
    """The journals of runs that named none, newest first. Raises JournalError where there is none."""
    directory = os.path.dirname(default_journal(environ, ""))
    with contextlib.suppress(OSError):
        # A run_uid begins with its time, so the last by name is the newest.
        names = [name for name in os.listdir(directory) if name.endswith(".jsonl")]
        if names and _is_ours(directory):
            return [f"{directory}/{name}" for name in sorted(names, reverse=True)]
    raise JournalError(f"there is no journal in {directory}: name a journal or a summary")


def open_journal(path: str, warn: Callable[[str], None]) -> Journal:
    """The journal at ``path``; one that cannot be written says so once and is silent from then on."""
    directory = os.path.dirname(os.path.abspath(path))
    if os.path.basename(directory) == _private_name() and not _is_ours(directory):
        warn(f"The journal directory {directory} is not our own; metering goes on without a journal.")
        return Journal.without(path)
    top = _top_directory(directory)
    missing = not os.path.isdir(top)
    journal = Journal(path, warn)
    if missing and journal.writable:
        warn(f"{top} was not there, so it was made for the journal: a volume may not be mounted.")
    return journal


def _top_directory(path: str) -> str:
    """The first directory of an absolute path, below the root."""
    return "/".join(path.split("/")[:2])


def bound_default_journals(path: str, environ: Mapping[str, str], run_uid: str) -> None:
    """Keep the newest journals of the default directory only, so that a runner's disk does not fill up."""
    if path == default_journal(environ, run_uid):
        prune(os.path.dirname(path), JOURNALS_KEPT)


def _private_name() -> str:
    return f"jobmeter-{os.getuid()}"


def _is_ours(directory: str) -> bool:
    """False for a directory in a shared $TMPDIR that another user made, or a link to anywhere."""
    try:
        status = os.lstat(directory)
    except FileNotFoundError:
        return True
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()


def check_file(place: str, target: str | None) -> None:
    """Refuse an output that cannot be written before the work begins, with one sentence."""
    if target is None:
        return
    if target.startswith("fd:"):
        descriptor = _descriptor(target)
        try:
            os.fstat(descriptor)
        except OSError:
            raise UsageError(f"{place}: descriptor {descriptor} is not open") from None
        return
    directory = os.path.dirname(os.path.abspath(target))
    if os.path.isdir(target):
        raise UsageError(f"{place}: {target} is a directory; a file is accepted")
    if not os.path.isdir(directory):
        raise UsageError(f"{place}: the directory {directory} does not exist")
    if not os.access(target if os.path.exists(target) else directory, os.W_OK):
        raise UsageError(f"{place}: {target} is not writable")


def write_file(target: str, text: str | bytes, like: os.stat_result | None = None) -> None:
    """Write a whole file, by a temporary one beside it, so that nobody sees a part; or to ``fd:N``.

    The mode of a file that is made is that of ``like``, and so is its owner where that is allowed.
    """
    data = text.encode() if isinstance(text, str) else text
    if target.startswith("fd:"):
        _write_all(_descriptor(target), data)
        return
    if os.path.exists(target) and not os.path.isfile(target):  # A pipe or a device, as /dev/stdout.
        with open(target, "wb") as file:
            file.write(data)
        return
    temporary = f"{target}.{os.urandom(4).hex()}.tmp"
    descriptor = os.open(
        temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666
    )
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            if like is not None:
                with contextlib.suppress(PermissionError):
                    os.fchown(descriptor, like.st_uid, like.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(like.st_mode))
        os.replace(temporary, target)
    except OSError:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def rewrite_file(path: str, text: str) -> None:
    """Write another text into a file that is there; a link stays one, mode and owner stay. Raises OSError."""
    target = os.path.realpath(path)
    write_file(target, text, os.stat(target))


def append_markdown(path: str, text: str) -> None:
    """Append to a step summary unless it would pass what forges take."""
    data = text.encode()
    if path.startswith("fd:"):
        _write_all(_descriptor(path), data)
        return
    size = os.path.getsize(path) if os.path.exists(path) else 0
    if size + len(data) > _MAX_MARKDOWN_BYTES:
        raise JobmeterError(f"{path} would grow past 1 MiB, so the report is not added")
    with open(path, "ab") as file:
        file.write(data)


def attempt(what: str, write: Callable[[], None]) -> None:
    """Do one output; a failure is one sentence on stderr and nothing else."""
    try:
        write()
    except Exception as error:  # A chart library's as well: a report must not change what the job has done.
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        say(f"{what} could not be written: {reason}")


def terminal_columns(stream: TextIO, environ: Mapping[str, str]) -> int:
    """How wide text may be: the terminal's columns, else $COLUMNS, else 80; a serial console does not know its own."""
    width = os.get_terminal_size(stream.fileno()).columns if stream.isatty() else 0
    said = environ.get("COLUMNS", "")
    return width or (int(said) if said.isdecimal() and len(said) < 5 else 0) or 80


def say(text: str) -> None:
    """One diagnostic sentence on stderr; what else there is to say of it goes on lines of its own."""
    try:
        sys.stderr.write(f"jobmeter: {text}".replace("\n", "\n  ") + "\n")
        sys.stderr.flush()
    except OSError:
        return  # A closed stderr must not change the job's exit code.


def _descriptor(target: str) -> int:
    number = target.removeprefix("fd:")
    if not number.isdecimal() or len(number) > 6:
        raise UsageError(f"{target!r} is not a descriptor; accepted is fd:N with a number N")
    return int(number)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
