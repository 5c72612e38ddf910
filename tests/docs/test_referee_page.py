"""What the page says of the referee is what it does."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from jobmeter.config.referee import referee_settings
from jobmeter.model.job import Job
from jobmeter.referee.queries import Terms, expand
from scripts.referee_keys import PAGE, written

COMMANDS = [
    line.strip(" -").partition(" || ")[0].partition("  #")[0]
    for line in PAGE.read_text().splitlines()
    if re.match(r"[ -]*jobmeter referee --", line)
]

JOB = {
    "CI_JOB_STARTED_AT": "2020-01-01T00:00:00Z",
    "CI_API_V4_URL": "https://gitlab.example/api/v4",
    "CI_JOB_ID": "103",
    "CI_JOB_TOKEN": "token",
}


def test_tables_are_what_the_code_says() -> None:
    """`make golden` rewrites them."""
    text = PAGE.read_text()
    if os.environ.get("JOBMETER_GOLDEN") == "write":
        PAGE.write_text(written(text))
    assert written(text) == PAGE.read_text(), "run `make golden` and read the change"


def test_the_configuration_of_the_page_is_accepted(tmp_path: Path) -> None:
    """And its placeholders are those there are."""
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "token").write_text("s3cret")
    file = tmp_path / "referee.toml"
    file.write_text(block.replace("/etc/jobmeter/prometheus-token", str(tmp_path / "token")))
    options = referee_settings([f"--config={file}", "--since=1m"], {}).options
    selector = options.selector_of(Job(runner="large-1"), None)
    assert selector == 'instance=~"large-1(:[0-9]+)?"'
    for query in options.queries:
        assert selector in expand(query.text, Terms(selector, 10, 60, 15))


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_page_are_accepted(command: str, tmp_path: Path) -> None:
    """With a file of gitlab-runner where they name one, in a job of GitLab."""
    file = tmp_path / "config.toml"
    file.write_text(
        '[[runners]]\nexecutor = "docker"\n[runners.referees.metrics]\nprometheus_address = "http://localhost:9090"\n'
    )
    words = [re.sub(r"^/etc/.*", str(file), word) for word in shlex.split(command)[2:]]
    assert referee_settings(words, JOB).options.queries


def test_there_are_commands_on_the_page() -> None:
    """The first shows how to begin, the second how to switch, the third how to stay, the fourth how to attach."""
    assert len(COMMANDS) == 4
