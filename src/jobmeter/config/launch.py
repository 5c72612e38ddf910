"""What `[[forge.runner]]` of the gateway's configuration file says: runners that the gateway itself starts."""

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from jobmeter.config.file import table_values
from jobmeter.config.forges import Kind, count, forge_name, readable_file, size
from jobmeter.config.options import Option, duration, secret_file
from jobmeter.gateway.launcher.account import account_of, may_enter, may_execute, read_by_jobs
from jobmeter.gateway.launcher.guarded import refuse_unguarded
from jobmeter.gateway.launcher.options import RunnerOptions
from jobmeter.gateway.launcher.registration import read_registration
from jobmeter.gateway.launcher.templates import COMMANDS, PATH, check_command
from jobmeter.model.errors import UsageError
from jobmeter.model.quantities import parse_cores
from jobmeter.supervise.keeper.account import Account
from jobmeter.supervise.keeper.spec import Limits

WORK_DIR = "/var/lib/jobmeter-work"
"""Not below `/var/lib/jobmeter`, which the receiver has as a service: other accounts cannot pass there."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LEAST_CORES = 0.01
_LEAST_PIDS = 16
"""An official runner alone has about as many threads."""
_LEAST_MEMORY = 16 * 2**20
"""In less none of them starts."""
_SCHEME = re.compile(r":(?!docker:|lxc:|host:)[^:/]*://")
_KERNELS = ("proc", "sys")
_SECRET_FILES = frozenset(
    {
        "registration_file",
        "registration_token_file",
        "read_token_file",
        "push_token_file",
        "receiver_token_file",
        "api_token_file",
        "token_file",
        "password_file",
        "tls_key",
        "client_key",
    }
)
_SECRETS = frozenset({"read_token", "push_token", "receiver_token", "api_token", "token", "password"})
_HEADS = {"forge": "[[forge]]", "runner": "[[forge.runner]]"}


def cores(text: str) -> float:
    """Cores, from a hundredth on."""
    found = parse_cores(text)
    if found < _LEAST_CORES:
        raise UsageError(f"{text!r} is too little; accepted are cores from 10m on, as 2, 0.5 or 500m")
    return found


def processes(text: str) -> int:
    """So many processes and threads that a runner can start."""
    number = count(text)
    if number < _LEAST_PIDS:
        raise UsageError(f"{text!r} is too few for a runner alone; accepted are {_LEAST_PIDS} and more")
    return number


def memory(text: str) -> int:
    """Bytes in which a runner can start."""
    found = size(text)
    if found < _LEAST_MEMORY:
        raise UsageError(
            f"{text!r} is too little for a runner alone; accepted are {_LEAST_MEMORY // 2**20}Mi and more"
        )
    return found


def label(text: str) -> str:
    """A label as official runners write it."""
    if not text.isprintable() or " " in text or len(text) > 255 or _SCHEME.search(text):
        raise UsageError(
            f"{text[:80]!r} is no label; accepted are forms such as linux, host:host, deb:docker://IMAGE"
        )
    return text


def whole_name(text: str) -> str:
    """The name of a directory from the root on."""
    if not os.path.isabs(text) or not text.isprintable():
        raise UsageError(
            f"{text[:80]!r} is not accepted; accepted is a directory by its whole name, as {WORK_DIR}"
        )
    return text


RUNNER_KEYS = (
    Option("name", "", "what the runner is called, at the forge too when it is registered here", forge_name, "NAME"),
    Option("registration-file", "", "the registration of an official runner, read as it is: its `.runner`, or "
           "`config.toml` of gitlab-runner", readable_file, "FILE"),
    Option("registration-token-file", "", "or the file of a token with which it is registered at the first start",
           secret_file, "FILE"),
    Option("labels", "", "its labels as official runners write them, as `host:host`", label, "LABELS",
           default="the registration's", many=True),
    Option("capacity", "", "so many tasks it may have at once", count, "N", default="1"),
    Option("user", "", "the account that its jobs have, for nothing else", account_of, "ACCOUNT"),
    Option("isolated", "", "the command keeps jobs from this machine by itself, so that `user` may be left out", None,
           default="false"),
    Option("work-dir", "", "where each task gets a directory of its own", whole_name, "DIRECTORY",
           default=WORK_DIR),
    Option("keep-failed", "", "keep that directory if the task has failed", None, default="false"),
)  # fmt: skip
"""Of each ``[[forge.runner]]``."""

RUNNER_TABLES = (
    Option("command", "", "a list: the words that start it, with [placeholders](#the-command)", metavar="WORDS",
           default="the ready one"),
    Option("limits", "", "a table: what one task may use", metavar="TABLE", default="none"),
    Option("environment", "", "a table: variables of the runner, and so of its jobs, beside `PATH`, `HOME`, `TMPDIR`, "
           "`LANG`", metavar="TABLE"),
)  # fmt: skip
"""And those that are no single value."""

LIMIT_KEYS = (
    Option("cpu", "", "cores, as `\"2\"` or `\"500m\"`", cores, "CORES"),
    Option("memory", "", "memory with swap, as `\"4Gi\"`", memory, "SIZE"),
    Option("pids", "", "processes and threads", processes, "N"),
    Option("timeout", "", "how long a task may take, from the start of its runner", duration, "DURATION"),
)  # fmt: skip
"""Of ``limits``: what one task may use."""

_TABLES = {option.field: repr(option.field) for option in RUNNER_TABLES}
_FIELDS = {"cpu": "cpu_cores", "memory": "memory_bytes", "pids": "pids", "timeout": "timeout_seconds"}


def runner_settings(tables: Any, kind: Any, place: str, mistakes: list[str]) -> tuple[RunnerOptions, ...]:
    """Those of one forge that are whole; ``tables`` is what the file has at ``runner``. A mistake is a sentence."""
    if kind not in COMMANDS:
        return ()  # That is said already.
    if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        mistakes.append(
            f"{place}: runner: accepted is [[forge.runner]], with two brackets, once for each runner"
        )
        return ()
    found: list[RunnerOptions] = []
    taken: dict[tuple[str, str], str] = {}
    for number, table in enumerate(tables, 1):
        name = table.get("name")
        shown = f"[[forge.runner]] {number}" + (f" {name[:63]!r}" if isinstance(name, str) else "")
        where = f"{place}: {shown}"
        for key in ("name", "registration_file"):
            value = table.get(key, table.get(key.replace("_", "-")))
            if isinstance(value, str) and (other := taken.setdefault((key, value), shown)) != shown:
                mistakes.append(f"{where}: {key}: it is that of {other} too; each runner has its own")
        runner = _runner(table, kind, where, mistakes)
        if runner is not None:
            found.append(runner)
    return tuple(found)


def _runner(table: Mapping[str, Any], kind: Kind, place: str, mistakes: list[str]) -> RunnerOptions | None:
    before = len(mistakes)
    values = table_values(table, RUNNER_KEYS, place, mistakes, tables=_TABLES)
    given = {key.replace("-", "_") for key in table}
    account: Account | None = values.pop("user", None)
    isolated = values.pop("isolated", False)
    values["command"] = _command(table.get("command"), kind, place, mistakes)
    values["environment"] = _environment(table.get("environment", {}), place, mistakes)
    values["limits"] = _limits(table.get("limits", {}), place, mistakes)
    values.setdefault("work_dir", WORK_DIR)
    mistakes += [f"{place}: {sentence}" for sentence in _of_keys(given, values, kind, isolated=isolated)]
    values["registration_token"] = values.pop("registration_token_file", None)
    if len(mistakes) > before:
        return None
    runner = RunnerOptions(**values, user=account.name if account else None)
    mistakes += [f"{place}: {sentence}" for sentence in _of_machine(runner, kind, account)]
    return runner if len(mistakes) == before else None


def _of_keys(given: set[str], values: Mapping[str, Any], kind: Kind, *, isolated: bool) -> Iterator[str]:
    """What must be there, and what goes together."""
    if "name" not in given:
        yield f"name: this key is missing: {RUNNER_KEYS[0].help}"
    if {"registration_file", "registration_token_file"} <= given:
        yield "registration_token_file: registration_file says who the runner is; one of them is enough"
    if not given & {"registration_file", "registration_token_file"}:
        yield "registration_file: this key is missing, or registration_token_file: who the runner is at the forge"
    if "user" not in given and not isolated:
        yield (
            "user: this key is missing: the account of its jobs; a command that keeps them from this machine itself "
            "needs none, with isolated = true"
        )
    if "user" in given and isolated:
        yield "isolated: its jobs have the account that user names; one of them is enough"
    if "registration_token_file" in given and kind != "gitlab" and not values.get("labels"):
        yield "labels: this key is missing: a runner that is registered here needs them, as ['host:host']"


def _command(words: Any, kind: Kind, place: str, mistakes: list[str]) -> tuple[str, ...]:
    if words is None:
        return COMMANDS[kind]
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        mistakes.append(f"{place}: command: accepted is a list of words, as {list(COMMANDS[kind])}")
        return ()
    if not words[0] or any("\0" in word for word in words):
        mistakes.append(f"{place}: command: its first word is empty, or one has a zero character")
        return ()
    try:
        check_command(words)
    except UsageError as error:
        mistakes.append(f"{place}: command: {error}")
    return tuple(words)


def _environment(table: Any, place: str, mistakes: list[str]) -> dict[str, str]:
    if not isinstance(table, dict):
        mistakes.append(
            f'{place}: environment: it is no table; accepted is one, as {{ DOCKER_HOST = "unix:///…" }}'
        )
        return {}
    for name, value in table.items():
        if not _VARIABLE.fullmatch(name):
            mistakes.append(f"{place}: environment: {name[:60]!r} is no name of a variable")
        elif not isinstance(value, str) or "\0" in value:
            mistakes.append(f"{place}: environment: {name}: accepted is a text in quotes")
    return table


def _limits(table: Any, place: str, mistakes: list[str]) -> Limits:
    if not isinstance(table, dict):
        mistakes.append(
            f'{place}: limits: it is no table; accepted is one, as {{ cpu = "2", memory = "4Gi" }}'
        )
        return Limits()
    values = table_values(table, LIMIT_KEYS, f"{place}: limits", mistakes)
    return Limits(**{_FIELDS[name]: value for name, value in values.items()})


def readable_secrets(
    tables: Mapping[str, Any], config: str, runners: Iterable[RunnerOptions]
) -> Iterator[str]:
    """A sentence on each file with a secret that some launched job can read, whichever runner's it is.

    ``tables`` are those of the file ``config``, which may hold secrets itself.
    """
    accounts = [
        account_of(name) for name in dict.fromkeys(one.user for one in runners if one.user is not None)
    ]
    for where, file in _secret_files(tables, config, config):
        for account in accounts:
            with suppress(OSError):  # One that is missing is said where it is read.
                if (sentence := read_by_jobs(account, file)) is not None:
                    yield f"{where}: {sentence}"
                    break


def _secret_files(tables: Mapping[str, Any], place: str, config: str) -> Iterator[tuple[str, str]]:
    """Where each secret is told, and the file that it is in."""
    for key, value in tables.items():
        name = key.replace("-", "_")
        if isinstance(value, dict):
            yield from _secret_files(value, f"{place}: [{key}]", config)
        elif isinstance(value, list):
            for number, one in enumerate(value, 1):
                if isinstance(one, dict):
                    head = _HEADS.get(key, f"[[{key}]]")
                    called = f" {one['name'][:63]!r}" if isinstance(one.get("name"), str) else ""
                    yield from _secret_files(one, f"{place}: {head} {number}{called}", config)
        elif isinstance(value, str) and value and name in _SECRETS | _SECRET_FILES:
            yield f"{place}: {key}", config if name in _SECRETS else value


def _of_machine(runner: RunnerOptions, kind: Kind, account: Account | None) -> Iterator[str]:
    """What this machine says to it: files, programs and accounts as they are now."""
    if (sentence := _not_found(runner, account)) is not None:
        yield f"command: {sentence}"
    path = runner.environment.get("PATH", PATH)
    if account is not None and shutil.which("sh", path=path) is None:
        yield f"environment: PATH: there is no 'sh' in {path[:80]!r}, which steps of jobs need; without it it is {PATH}"
    if runner.registration_file is not None:
        try:
            read_registration(runner, kind)
        except UsageError as error:
            yield f"registration_file: {error}"
    if (sentence := _no_place(runner.work_dir, account)) is not None:
        yield f"work_dir: {sentence}"
    if account is None:
        return
    if account.uid == 0:
        yield "user: 'root' could read and end everything here; accepted is an account of its own"
    elif account.uid == os.geteuid():
        yield f"user: {account.name!r} is the gateway's own account; accepted is another one"


def _not_found(runner: RunnerOptions, account: Account | None) -> str | None:
    """Why the command's program cannot be started, as far as that can be known before."""
    name = runner.command[0]
    if "{" in name:
        return None
    path = runner.environment.get("PATH", PATH)
    found = shutil.which(name, path=path)
    if found is None:
        where = "" if "/" in name else f" in {path}"
        return f"{name!r} is not found{where}, or is no program"
    if account is not None and not may_execute(account, found):
        return f"the account {account.name!r} may not execute {found}"
    return None


def _no_place(folder: str, account: Account | None) -> str | None:
    """Why tasks cannot have their directories there."""
    try:
        refuse_unguarded(Path(folder))
    except OSError as error:
        return error.strerror
    if Path(folder).parts[1:2] in [(name,) for name in _KERNELS]:
        return f"{folder} is of the kernel's own; accepted is a directory on a disk, as {WORK_DIR}"
    if account is not None and (closed := _kept_out(account, folder)) is not None:
        return f"the account {account.name!r} cannot reach what is in {closed}"
    return None


def _kept_out(account: Account, folder: str) -> Path | None:
    """The directory that is there and keeps the account out; those that are not there are made open."""
    there = Path(folder)
    while not there.is_dir() and there != there.parent:
        there = there.parent
    try:
        return None if may_enter(account, there) else there
    except OSError:
        return there
