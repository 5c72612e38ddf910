"""What a forge's runner does with our actions: their steps in order, with inputs, outputs and a page."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml

from tests.e2e.support.collectors import wait_until
from tests.e2e.support.components import ROOT

ACTION = ROOT / "action.yml"
WHOLE_JOB = ROOT / "deploy/whole-job/action.yml"
FILES = ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT", "GITHUB_STATE")
EXPRESSION = re.compile(r"\$\{\{\s*([\w.-]+)\s*\}\}")

Execute = Callable[[str], int]
"""Runs a script by a shell that descends from the runner, and returns its exit code."""


@dataclass(frozen=True)
class Used:
    """One use of the action."""

    exit_code: int
    log: str
    page: str
    """What its steps wrote for the job's page, as Markdown."""
    outputs: dict[str, str]


@dataclass
class Job:
    """A job of a repository; `execute` runs one script where the job's steps run."""

    directory: Path
    execute: Execute
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.directory / "temp").mkdir(parents=True)
        (self.directory / "workspace").mkdir()
        self.environ = {
            "PATH": os.environ["PATH"],
            "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": "my-org/my-repo",
            "GITHUB_REPOSITORY_OWNER": "my-org",
            "GITHUB_WORKFLOW": "ci.yml",
            "GITHUB_JOB": "build",
            "GITHUB_RUN_ID": "17",
            "GITHUB_ACTION_PATH": str(ROOT),
            "RUNNER_TEMP": str(self.directory / "temp"),
            **self.environ,
        }

    def use(self, inputs: Mapping[str, str] | None = None) -> Used:
        """Use the action: `uses:` with these inputs."""
        action = yaml.safe_load(ACTION.read_text())
        unknown = set(inputs or {}) - set(action["inputs"])
        assert not unknown, f"the action has no inputs {unknown}"
        known = {f"inputs.{name}": one["default"] for name, one in action["inputs"].items()}
        known |= {f"inputs.{name}": value for name, value in (inputs or {}).items()}
        code, log, page = 0, "", ""
        for step in action["runs"]["steps"]:
            code, said, written, outputs = self._step(step, known)
            log, page = log + said, page + written
            known |= {f"steps.{step.get('id')}.outputs.{name}": value for name, value in outputs.items()}
            if code:
                break
        values = {name: _evaluate(one["value"], known) for name, one in action["outputs"].items()}
        return Used(code, log, page, values)

    def use_whole_job(self, inputs: Mapping[str, str] | None = None, state: str = "") -> tuple[Used, str]:
        """Run `main` of the action, or its `post` with the state that main has saved; and the state it leaves."""
        action = yaml.safe_load(WHOLE_JOB.read_text())
        values = {name: one["default"] for name, one in action["inputs"].items()} | dict(inputs or {})
        env = {f"INPUT_{name.upper()}": value for name, value in values.items()}
        env |= {f"STATE_{key}": value for key, value in _pairs(state).items()}
        script = WHOLE_JOB.parent / action["runs"]["post" if state else "main"]
        program = shlex.join(
            ["env", *(f"{name}={value}" for name, value in env.items()), "node", str(script)]
        )
        code, log, files = self._execute("sh", program, {})
        return Used(code, log, files["GITHUB_STEP_SUMMARY"], {}), files["GITHUB_STATE"]

    def run(self, commands: str) -> int:
        """A step of the workflow's own."""
        return self._execute("sh", commands, {})[0]

    def _step(self, step: dict[str, Any], known: Mapping[str, str]) -> tuple[int, str, str, dict[str, str]]:
        env = {name: _evaluate(value, known) for name, value in step.get("env", {}).items()}
        code, said, files = self._execute(step["shell"], _evaluate(step["run"], known), env)
        return code, said, files["GITHUB_STEP_SUMMARY"], _pairs(files["GITHUB_OUTPUT"])

    def _execute(self, shell: str, commands: str, env: Mapping[str, str]) -> tuple[int, str, dict[str, str]]:
        """Exit code, log, and what was written into the files that a runner offers each step."""
        script, log = self.directory / "step.sh", self.directory / "step.log"
        script.write_text(commands)
        files = {name: self.directory / name.lower() for name in FILES}
        for file in files.values():
            file.write_text("")
        variables = self.environ | dict(env) | {name: str(file) for name, file in files.items()}
        exports = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
        code = self.execute(
            "\n".join(
                [
                    *exports,
                    f"cd {self.directory / 'workspace'}",
                    f"exec {shell} -e {script} > {log} 2>&1 < /dev/null",
                ]
            )
        )
        return code, log.read_text(), {name: file.read_text() for name, file in files.items()}


def _pairs(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


def _evaluate(text: str, known: Mapping[str, str]) -> str:
    return EXPRESSION.sub(
        lambda match: known.get(match[1], "") if match[1].startswith("steps") else known[match[1]], text
    )


class Runner:
    """A process of the host by the name of a forge's runner, whose children are the steps."""

    def __init__(self, directory: Path, name: str = "Runner.Worker") -> None:
        self._code = directory / "code"
        program = directory / name
        program.symlink_to("/bin/sh")
        self._shell = subprocess.Popen([program, "-s"], stdin=subprocess.PIPE, text=True)

    def execute(self, script: str) -> int:
        """Run a script as a child and return its exit code."""
        self._code.unlink(missing_ok=True)
        assert self._shell.stdin is not None
        self._shell.stdin.write(
            f"/bin/sh -c {shlex.quote(script)}; echo $? > {self._code}.new; mv {self._code}.new {self._code}\n"
        )
        self._shell.stdin.flush()
        wait_until(lambda: self._code.exists() or self._shell.poll() is not None, "the end of the step")
        return int(self._code.read_text())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._shell.communicate()
