"""Registrations: those of official runners, read as they are, and those of the gateway's own, made once and kept."""

import os
import re
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Struct

from jobmeter.gateway.forges.facts import digest
from jobmeter.gateway.forges.own import NotRegistered, OwnDialect, Registration
from jobmeter.gateway.forges.port import Call, Headers
from jobmeter.gateway.keeping.files import make_folder, write_whole
from jobmeter.gateway.launcher.options import RunnerOptions
from jobmeter.gateway.launcher.templates import Kind, executor_of
from jobmeter.model.errors import UsageError

FOLDER = "registrations"
_MOST_BYTES = 1024 * 1024
_SYSTEM_ID_FILE = ".runner_system_id"
_SYSTEM_ID = re.compile(r"[sr]_[0-9A-Za-z]{12}")


class Told(NamedTuple):
    """The forge's answer to a call: its body is without content coding."""

    status: int
    headers: Headers
    body: bytes


class _RunnerFile(Struct):
    """What forgejo-runner, act_runner and gitea-runner keep in ``.runner``."""

    uuid: str
    token: str
    name: str = ""
    id: int | None = None
    labels: list[str] | None = None


class _Kept(Struct, kw_only=True):
    schema: Literal["jobmeter.registration/1"] = "jobmeter.registration/1"
    registration: Registration


def read_registration(options: RunnerOptions, kind: Kind) -> Registration:
    """That of an official runner, from ``registration_file``. Raises UsageError; nothing of the file is in it."""
    assert options.registration_file is not None
    path = Path(options.registration_file)
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    read = _gitlab_file if kind == "gitlab" else _act_file
    return _as_told(options, read(path, content, options.name))


def _act_file(path: Path, content: bytes, name: str) -> Registration:
    try:
        said = msgspec.json.decode(content, type=_RunnerFile)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise UsageError(
            f"{path} is no registration of a runner: accepted is the file .runner of forgejo-runner, act_runner "
            f"or gitea-runner, JSON with uuid and token"
        ) from None
    if not _sendable(said.token) or not _sendable(said.uuid):
        raise UsageError(f"{path} is no registration of a runner: its uuid or its token is empty or damaged")
    return Registration(
        token=said.token,
        uuid=said.uuid,
        name=said.name or name,
        id=said.id,
        labels=tuple(said.labels or ()),
    )


def _gitlab_file(path: Path, content: bytes, name: str) -> Registration:
    try:
        tables = tomllib.loads(content.decode()).get("runners")
    except (ValueError, RecursionError):
        raise UsageError(f"{path} is no config.toml of gitlab-runner: it is not TOML") from None
    runners = [one for one in tables if isinstance(one, dict)] if isinstance(tables, list) else []
    if not runners:
        raise UsageError(f"{path} is no config.toml of gitlab-runner: there is no [[runners]] in it")
    named = [one for one in runners if one.get("name") == name]
    if len(runners) > 1 and len(named) != 1:
        raise UsageError(f"{path} has {len(runners)} runners: name says which one, {name!r} is the name of "
                         f"{'none' if not named else 'several'}")  # fmt: skip
    one: dict[str, Any] = (named or runners)[0]
    token = one.get("token")
    if not isinstance(token, str) or not _sendable(token):
        raise UsageError(f"{path}: the token of the runner is missing or damaged")
    number = one.get("id")
    return Registration(
        token=token,
        name=name,
        id=number if isinstance(number, int) else None,
        system_id=_kept_system_id(path.with_name(_SYSTEM_ID_FILE)),
    )


def _sendable(secret: str) -> bool:
    return bool(secret) and secret.isascii() and secret.isprintable() and " " not in secret


def _kept_system_id(path: Path) -> str | None:
    """What gitlab-runner has kept beside its config.toml; None if there is none, or not for us."""
    try:
        said = path.read_text("ascii")[:100].strip()
    except (OSError, ValueError):
        return None
    return said if _SYSTEM_ID.fullmatch(said) else None


def _as_told(options: RunnerOptions, found: Registration) -> Registration:
    """With labels, executor and machine of this gateway."""
    system_id = found.system_id or f"r_{digest(found.token, os.uname().nodename)[:12]}"
    return msgspec.structs.replace(
        found,
        labels=options.labels or found.labels,
        executor=executor_of(options.command),
        system_id=system_id,
    )


class Registrations:
    """Those of one forge's runners that are made here, kept in ``folder`` for this process's account alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path_of(self, name: str) -> Path:
        """Where that of a runner is kept."""
        return self._folder / f"{name}.json"

    def kept(self, options: RunnerOptions) -> Registration | None:
        """What was made before; None if nothing was. Raises UsageError if it cannot be read."""
        path = self.path_of(options.name)
        try:
            found = msgspec.json.decode(path.read_bytes(), type=_Kept).registration
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from None
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise UsageError(
                f"{path} is damaged; without this file {options.name!r} is registered anew"
            ) from None
        return _as_told(options, found)

    async def obtain(
        self,
        options: RunnerOptions,
        kind: Kind,
        own: OwnDialect,
        version: str,
        call: Callable[[Call], Awaitable[Told]],
    ) -> Registration:
        """What is in its file, else what was made before, else a new one, which is on disk when this returns.

        ``call`` passes what it raises. Raises UsageError, NotRegistered, and OSError if it cannot be kept.
        """
        if options.registration_file is not None:
            return read_registration(options, kind)
        if (found := self.kept(options)) is not None:
            return found
        if options.registration_token is None:
            raise NotRegistered("there is no registration, and no token to make one")
        # Before a runner is made at the forge that nobody can remember.
        make_folder(self._folder)
        asked = own.register_call(options.registration_token, options.name, options.labels, version)
        told = await call(asked.call)
        made = own.read_registration(options.name, options.labels, told.status, told.headers, told.body)
        write_whole(self.path_of(options.name), msgspec.json.encode(_Kept(registration=made)))
        return _as_told(options, made)
