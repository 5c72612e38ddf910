"""`deploy/gitlab`: the script of a job that extends the component, as GitLab's runner composes and executes it."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.support.components import CACHE, ROOT, require_cached
from tests.e2e.support.docker import HOST, DockerEngine, Output

COMPONENT = ROOT / "deploy/gitlab/templates/jobmeter.yml"
BURN = "python3 -c 'import time; end = time.process_time() + 1\nwhile time.process_time() < end: pass'"
JOB_VARIABLES = {
    "GITLAB_CI": "true",
    "CI_JOB_ID": "4711",
    "CI_JOB_NAME": "build",
    "CI_PROJECT_PATH": "my-org/my-repo",
    "CI_PROJECT_NAMESPACE": "my-org",
    "CI_PIPELINE_ID": "17",
}


def component(**inputs: str) -> dict[str, Any]:
    """The hidden job that the component defines, with its inputs replaced."""
    text = COMPONENT.read_text()
    declared = next(yaml.safe_load_all(text))["spec"]["inputs"]
    values = {name: one["default"] for name, one in declared.items() if "default" in one} | inputs
    _, template = yaml.safe_load_all(
        re.sub(r"\$\[\[ inputs\.(\w+) \]\]", lambda match: values[match[1]], text)
    )
    return dict(template[values["name"]])


@dataclass(frozen=True)
class Executor:
    """The Docker executor: script and after_script run in containers that end with them, and share the checkout."""

    engine: DockerEngine
    builds: Path
    variables: dict[str, str]
    shell: str

    def execute(self, job: dict[str, Any]) -> tuple[Output, Output]:
        """before_script and script in one shell, after_script in another."""
        script = self._run([*job["before_script"], *job["script"]], job)
        return script, self._run(job["after_script"], job)

    def _run(self, lines: list[str], job: dict[str, Any]) -> Output:
        file = self.builds / "script"
        file.write_text("\n".join(["set -e", "cd $CI_PROJECT_DIR", *lines]))
        variables = self.variables | job["variables"]
        # The checkout, where pip builds, is a copy for the test alone to write to.
        paths = {self.builds, CACHE / "wheels", Path(sys.prefix), Path(sys.base_prefix)}
        flags = [*(f"--volume={path}:{path}" for path in paths), f"--volume={ROOT}:/jobmeter:ro"]
        flags += [f"--env={name}={value}" for name, value in variables.items()]
        return self.engine.run(HOST, self.shell, str(file), flags=flags, check=False)


@pytest.fixture(params=["sh", "bash"])
def executor(request: pytest.FixtureRequest, docker_engine: DockerEngine, tmp_path: Path) -> Executor:
    """A project's checkout, an image with Python, and what pip installs without an index."""
    require_cached("wheels/msgspec-*.whl")
    project = tmp_path / "my-org/my-repo"
    project.mkdir(parents=True)
    (tmp_path / "my-org/my-repo.tmp").mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3").symlink_to(Path(sys.executable).resolve())
    variables = JOB_VARIABLES | {
        "CI_PROJECT_DIR": str(project),
        "PATH": f"{tmp_path}/bin:/usr/bin:/bin",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(CACHE / "wheels"),
    }
    return Executor(docker_engine, tmp_path, variables, request.param)


def test_job_is_metered_and_its_summary_attached(executor: Executor) -> None:
    """The report is in the job's log, its files where `artifacts` says, and the metrics can be read."""
    job = component(package="/jobmeter", interval="200ms") | {"script": [BURN, "sleep 1"]}
    script, after = executor.execute(job)
    project = Path(executor.variables["CI_PROJECT_DIR"])

    assert script.returncode == 0, script.stdout + script.stderr
    assert after.returncode == 0, after.stdout + after.stderr
    assert "my-org/my-repo" in after.stdout
    summary = json.loads((project / ".jobmeter/summary.json").read_text())
    assert summary["cpu_seconds"] > 0.5
    assert summary["exit"]["reason"] != "lost"
    assert summary["job"]["forge"] == "gitlab"
    assert "jobmeter" in (project / job["artifacts"]["reports"]["metrics"]).read_text()
    assert job["artifacts"]["when"] == "always"
    assert all((project / path).exists() for path in job["artifacts"]["paths"])


def test_failure_is_the_scripts(executor: Executor) -> None:
    """A script that fails, fails as it would alone, and is reported."""
    job = component(package="/jobmeter", interval="200ms") | {
        "script": ["sleep 1", "sh -c 'exit 7'", "echo no"]
    }
    script, after = executor.execute(job)

    assert script.returncode == 7
    assert "no" not in script.stdout.split()
    assert "my-org/my-repo" in after.stdout


def test_what_cannot_be_installed_fails_nothing(executor: Executor) -> None:
    """It is one sentence, with what pip said above it; the script runs."""
    job = component(package="no-such-package-of-jobmeter") | {"script": ["echo it works"]}
    script, after = executor.execute(job)

    assert (script.returncode, after.returncode) == (0, 0)
    assert "it works" in script.stdout
    assert "this job is not metered" in script.stdout
