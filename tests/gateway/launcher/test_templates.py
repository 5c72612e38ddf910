"""How official runners are started: the words, the files, the environment."""

from __future__ import annotations

import tomllib
from typing import Any

import msgspec
import pytest

from jobmeter.gateway.forges.own import Credential
from jobmeter.gateway.launcher.templates import (
    COMMANDS,
    PATH,
    Kind,
    Places,
    Prepared,
    check_command,
    executor_of,
    prepare,
)
from jobmeter.model.errors import UsageError

TOKEN = "planted-task-token"


def places(kind: Kind = "forgejo", **fields: Any) -> Places:
    told: dict[str, Any] = {
        "kind": kind, "name": "builder-1", "task_id": "34", "url": "http://127.0.0.1:8090",
        "credential": Credential(token=TOKEN, uuid="u-9"), "labels": ("here:host",), "work_dir": "/work/34",
    }  # fmt: skip
    return Places(**(told | fields))


def content(prepared: Prepared, name: str) -> bytes:
    (found,) = (file.content for file in prepared.files if file.name == name)
    return found


@pytest.mark.parametrize(
    "kind, argv",
    [
        ("forgejo", "forgejo-runner one-job --config /work/34/config.yaml"),
        ("gitea", "act_runner daemon --once --config /work/34/config.yaml"),
        (
            "gitlab",
            "gitlab-runner run-single --config /work/34/config.toml --runner builder-1 --max-builds 1"
            " --wait-timeout 60",
        ),
    ],
)
def test_the_ready_commands(kind: Kind, argv: str) -> None:
    """One for each kind of forge, each for one task; the token is in none of their words."""
    prepared = prepare(COMMANDS[kind], places(kind), {})
    assert " ".join(prepared.argv) == argv
    assert prepared.folders == ("tmp", "work")
    assert {file.mode for file in prepared.files} == {0o600}
    assert TOKEN not in f"{prepared}{prepared.files}{prepared.environ}"


@pytest.mark.parametrize("kind", ["forgejo", "gitea"])
def test_the_files_of_act_like_runners(kind: Kind) -> None:
    """A registration with the gateway, one job at a time, no cache server, work below the task's folder."""
    prepared = prepare(COMMANDS[kind], places(kind), {})
    assert msgspec.json.decode(content(prepared, ".runner")) == {
        "id": 1, "uuid": "u-9", "name": "builder-1", "token": TOKEN, "address": "http://127.0.0.1:8090",
        "labels": ["here:host"],
    }  # fmt: skip
    assert msgspec.json.decode(content(prepared, "config.yaml")) == {
        "log": {"level": "info"},
        "runner": {"file": "/work/34/.runner", "capacity": 1},
        "cache": {"enabled": False},
        "host": {"workdir_parent": "/work/34/work"},
    }


def test_the_runner_has_more_time_than_the_task() -> None:
    """So that it is the gateway that ends it, and says why."""
    prepared = prepare(COMMANDS["forgejo"], places(timeout_seconds=3600.0), {})
    assert msgspec.json.decode(content(prepared, "config.yaml"))["runner"]["timeout"] == "3660s"


def test_the_file_of_gitlab_runner() -> None:
    """TOML, whatever the folder is called."""
    prepared = prepare(COMMANDS["gitlab"], places("gitlab", work_dir='/wörk/"34"\\x'), {})
    said = tomllib.loads(content(prepared, "config.toml").decode())
    (runner,) = said["runners"]
    assert (said["concurrent"], runner["executor"]) == (1, "shell")
    assert (runner["name"], runner["url"], runner["token"]) == ("builder-1", "http://127.0.0.1:8090", TOKEN)
    assert runner["builds_dir"] == '/wörk/"34"\\x/work'


def test_the_whole_environment() -> None:
    """The folder is its home; what was told is stronger."""
    found = prepare(["x"], places(), {"LANG": "C", "DOCKER_HOST": "unix:///run/x"}).environ
    assert found == {
        "PATH": PATH, "HOME": "/work/34", "TMPDIR": "/work/34/tmp", "LANG": "C", "DOCKER_HOST": "unix:///run/x"
    }  # fmt: skip


@pytest.mark.parametrize(
    "word, filled",
    [
        ("{url}", "http://127.0.0.1:8090"),
        ("--token={token}", f"--token={TOKEN}"),
        ("{uuid}/{name}/{task_id}", "u-9/builder-1/34"),
        ("{work_dir}/x", "/work/34/x"),
        ("${{HOME}}", "${HOME}"),
        ("a{{{name}}}", "a{builder-1}"),
        ("", ""),
    ],
)
def test_placeholders(word: str, filled: str) -> None:
    """Two braces are one."""
    assert prepare([word], places(), {}).argv == (filled,)
    check_command([word])


def test_an_unknown_placeholder() -> None:
    """It is named, with those that are known."""
    with pytest.raises(UsageError) as raised:
        check_command(["vm", "--token", "{tokn}"])
    assert str(raised.value) == (
        "'{tokn}' is not known; accepted are {config}, {url}, {token}, {uuid}, {work_dir}, {name}, {task_id}, "
        "and {{ for a brace"
    )


@pytest.mark.parametrize("word, brace", [("{config", "{"), ("config}", "}"), ("{url}}", "}")])
def test_a_brace_that_stands_alone(word: str, brace: str) -> None:
    """One that was not closed would reach the runner as it is."""
    with pytest.raises(UsageError) as raised:
        check_command([word])
    assert str(raised.value) == f"{brace!r} stands alone in {word!r}; {2 * brace} is a brace"


@pytest.mark.parametrize(
    "command, executor",
    [
        (COMMANDS["gitlab"], "shell"),
        (["gitlab-runner", "run-single", "--executor", "docker"], "docker"),
        (["gitlab-runner", "run-single", "--executor=docker+machine"], "docker+machine"),
        (["x", "--executor"], ""),
    ],
)
def test_how_jobs_are_run(command: list[str], executor: str) -> None:
    """By the word that gitlab-runner itself takes."""
    assert executor_of(command) == executor
