"""The result of a check beside the code."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from jobmeter.report.check_annotations import code_quality, github_annotations
from tests.report.check_examples import EXAMPLES, evil

PATH = ".jobmeter.toml"


@pytest.mark.parametrize(
    "name, levels",
    [
        ("every_state", ["error", "notice", "error", "notice"]),
        ("reported", ["warning", "notice", "warning", "notice"]),
        ("kept", []),
        ("lower_bounds", ["error", "error", "error"]),
    ],
)
def test_a_line_for_each_budget_that_is_not_kept(name: str, levels: list[str]) -> None:
    """An error fails the check; noise and what is not known are notices."""
    lines = github_annotations(EXAMPLES[name], PATH).splitlines()
    assert [line.split(" ")[0].strip(":") for line in lines] == levels
    severities = {"error": "major", "warning": "minor", "notice": "info"}
    entries = json.loads(code_quality(EXAMPLES[name], PATH))
    assert [entry["severity"] for entry in entries] == [severities[level] for level in levels]


def test_a_log_command_is_escaped_as_github_asks() -> None:
    """A percent sign in a sentence, a colon and a comma in a property."""
    line = github_annotations(EXAMPLES["strict"], "a,b/x.toml").splitlines()[0]
    assert line.startswith(
        "::error file=a%2Cb/x.toml,title=jobmeter%2C over budget%3A CPU time of build::CPU time of 1 m 30 s "
        "is over 1 m 26 s (+0 %25) by 4.3 s; that is within the spread of main's 20 runs"
    )


def test_names_start_no_command_of_their_own() -> None:
    """One line each, and none but ours begins with colons."""
    lines = github_annotations(evil(), "evil\n::error::x").splitlines()
    assert lines
    assert all(line.isprintable() for line in lines)
    assert all(line.startswith(("::error ", "::notice ", "::warning ")) for line in lines)


def test_an_entry_of_code_quality_has_what_gitlab_asks_for() -> None:
    """Description, name, fingerprint, severity, and a place."""
    entry = json.loads(code_quality(EXAMPLES["every_state"], PATH))[0]
    assert set(entry) == {"description", "check_name", "fingerprint", "severity", "location"}
    assert entry["location"] == {"path": PATH, "lines": {"begin": 1}}
    assert entry["check_name"] == "jobmeter-memory"


def test_a_fingerprint_is_that_of_budget_and_job() -> None:
    """The same whatever was used, another for another budget, job or leg of a matrix."""
    one = EXAMPLES["every_state"]
    legs = [replace(one.job, matrix=matrix) for matrix in ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 2})]
    same, turned, other = (
        [entry["fingerprint"] for entry in json.loads(code_quality(replace(one, job=job), PATH))]
        for job in legs
    )
    assert same == turned
    assert not set(same) & set(other)
    assert len(set(same)) == len(same)
    assert json.loads(code_quality(evil(), PATH))
