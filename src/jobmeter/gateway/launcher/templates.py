"""How each official runner is started for one task: its command, its files, its environment. Pure."""

import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from jobmeter.gateway.forges.own import Credential
from jobmeter.model.errors import UsageError

Kind = Literal["forgejo", "gitea", "gitlab"]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where a runner's command is looked for, and its own, unless its environment says otherwise."""
COMMANDS: Mapping[Kind, tuple[str, ...]] = {
    "forgejo": ("forgejo-runner", "one-job", "--config", "{config}"),
    "gitea": ("act_runner", "daemon", "--once", "--config", "{config}"),
    "gitlab": (
        "gitlab-runner", "run-single", "--config", "{config}", "--runner", "{name}",
        "--max-builds", "1", "--wait-timeout", "60",
    ),
}  # fmt: skip
"""The ready commands, by the forge's kind; ``gitea-runner`` takes the words of act_runner."""

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")
_EXECUTOR = re.compile(r"--executor(?:=(\S+))?")
_SPARE_SECONDS = 60
"""So much later than ours does a runner's own time limit end a job: ours says why."""
_PLACEHOLDERS = ("config", "url", "token", "uuid", "work_dir", "name", "task_id")


class Places(Struct, frozen=True, kw_only=True):
    """What is known of one task's runner when it is started. ``work_dir`` is its folder; ``url`` is the gateway's."""

    kind: Kind
    name: str
    task_id: str
    url: str
    credential: Credential
    labels: tuple[str, ...]
    work_dir: str
    timeout_seconds: float | None = None


class File(Struct, frozen=True):
    """One to be written in the work dir, for the runner's account."""

    name: str
    content: bytes
    mode: int = 0o600

    def __repr__(self) -> str:
        """Without the content, where the credential is."""
        return f"File(name={self.name!r}, {len(self.content)} bytes)"


class Prepared(Struct, frozen=True):
    """A runner that can be started: ``folders`` and ``files`` are to be made in the work dir first."""

    argv: tuple[str, ...]
    environ: Mapping[str, str]
    folders: tuple[str, ...]
    files: tuple[File, ...]

    def __repr__(self) -> str:
        """Without what may hold the credential."""
        return f"Prepared({self.argv[0]!r}, {len(self.files)} files)"


def prepare(command: Sequence[str], places: Places, environment: Mapping[str, str]) -> Prepared:
    """What one task's runner needs. Raises UsageError for a placeholder that nobody knows."""
    config, files = _gitlab(places) if places.kind == "gitlab" else _act_like(places)
    values = {
        "config": _below(places, config),
        "url": places.url,
        "token": places.credential.token,
        "uuid": places.credential.uuid or "",
        "work_dir": places.work_dir,
        "name": places.name,
        "task_id": places.task_id,
    }
    argv = tuple(_filled(word, values) for word in command)
    environ = {
        "PATH": PATH,
        "HOME": places.work_dir,
        "TMPDIR": _below(places, "tmp"),
        "LANG": "C.UTF-8",
        **environment,
    }
    return Prepared(argv, environ, ("tmp", "work"), files)


def check_command(command: Sequence[str]) -> None:
    """Raises UsageError for a placeholder that nobody knows, and for a brace that stands alone."""
    for word in command:
        if alone := re.search(r"[{}]", _PLACEHOLDER.sub("", word)):
            raise UsageError(f"{alone[0]!r} stands alone in {word[:80]!r}; {2 * alone[0]} is a brace")
        _filled(word, dict.fromkeys(_PLACEHOLDERS, ""))


def executor_of(command: Sequence[str]) -> str:
    """How gitlab-runner will run jobs, by its command: ``shell`` if that does not say it."""
    for word, following in zip(command, [*command[1:], ""], strict=True):
        if found := _EXECUTOR.fullmatch(word):
            return found[1] or following
    return "shell"


def _filled(word: str, values: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        if found[0] in ("{{", "}}"):
            return found[0][0]
        if found[1] not in values:
            accepted = ", ".join(f"{{{name}}}" for name in values)
            raise UsageError(f"{found[0]!r} is not known; accepted are {accepted}, and {{{{ for a brace")
        return values[found[1]]

    return _PLACEHOLDER.sub(value, word)


def _below(places: Places, name: str) -> str:
    return posixpath.join(places.work_dir, name)


def _act_like(places: Places) -> tuple[str, tuple[File, ...]]:
    """All that were made of act_runner: JSON is YAML too, and each leaves out what it does not know."""
    registration = {
        "id": 1,
        "uuid": places.credential.uuid,
        "name": places.name,
        "token": places.credential.token,
        "address": places.url,
        "labels": places.labels,
    }
    runner: dict[str, object] = {"file": _below(places, ".runner"), "capacity": 1}
    if places.timeout_seconds is not None:
        runner["timeout"] = f"{round(places.timeout_seconds) + _SPARE_SECONDS}s"
    config = {
        "log": {"level": "info"},
        "runner": runner,
        "cache": {"enabled": False},
        "host": {"workdir_parent": _below(places, "work")},
    }
    return "config.yaml", (
        File(".runner", msgspec.json.encode(registration)),
        File("config.yaml", msgspec.json.encode(config)),
    )


def _gitlab(places: Places) -> tuple[str, tuple[File, ...]]:
    told = {
        "name": places.name,
        "url": places.url,
        "token": places.credential.token,
        "executor": "shell",
        "builds_dir": _below(places, "work"),
        "cache_dir": _below(places, "work/.cache"),
    }
    lines = ["concurrent = 1", "check_interval = 1", "[[runners]]"]
    lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in told.items()]
    return "config.toml", (File("config.toml", "\n".join([*lines, ""]).encode()),)
