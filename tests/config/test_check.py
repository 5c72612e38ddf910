"""Options of `jobmeter check`, and the file of budgets."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobmeter.config.check import check_settings, read_plan
from jobmeter.model.budgets.plan import Plan
from jobmeter.model.errors import UsageError
from jobmeter.model.job import Job

FULL = """
[check]
base = "main"
runs = 30
fail = false
fail_on_unknown = true

[check.default]
memory = "2 GiB"
duration = ["20m", "+25 %"]

[[check.job]]
job = "build-*"
workflow = "ci.*"
matrix = { arch = "arm*", lto = "true" }
fail = true
memory = "none"
cpu_seconds = [600, { limit = "+10 %", strict = true }]
network = 1073741824
"""


@pytest.fixture
def write(tmp_path: Path):
    """Writes a file of budgets and reads it."""

    def plan(text: str) -> Plan:
        path = tmp_path / "budgets.toml"
        path.write_text(text)
        return read_plan(str(path))

    return plan


def test_a_file_that_says_everything(write):
    """General keys, the default, and a rule whose patterns must all fit."""
    plan = write(FULL)
    assert (plan.base, plan.runs, plan.fail, plan.fail_on_unknown) == ("main", 30, False, True)
    other = plan.terms(Job(job="test"))
    assert [(each.measure.key, each.text) for each in other.budgets] == [
        ("memory", "2 GiB"),
        ("duration", "20m"),
        ("duration", "+25 %"),
    ]
    job = Job(job="build-x", workflow="ci.yml", matrix={"arch": "arm64", "lto": True})
    budgets = plan.terms(job).budgets
    assert [(each.measure.key, each.text, each.strict) for each in budgets] == [
        ("duration", "20m", False),
        ("duration", "+25 %", False),
        ("cpu_seconds", "600", False),
        ("cpu_seconds", "+10 %", True),
        ("network", "1073741824", False),
    ]
    assert (plan.terms(job).fail, other.fail) == (True, False)


def test_a_file_of_one_line(write):
    """The rest has defaults: it fails, but not for what is not known."""
    plan = write("check.default.memory = '2Gi'")
    assert (plan.base, plan.runs, plan.fail, plan.fail_on_unknown) == (None, 20, True, False)


DEFAULT = "[check.default]\n"
RULE = "[[check.job]]\njob = 'a'\n"


@pytest.mark.parametrize(
    "text, sentence",
    [
        (
            "",
            "budgets.toml: there is no budget in it; [check.default] and [[check.job]] take memory, cpu_seconds",
        ),
        ("[check]\nfail = true", "there is no budget in it"),
        (DEFAULT + "memory = 'none'", "there is no budget in it"),
        ("[chek]", "budgets.toml: chek: there is no such key; 'check' is meant?"),
        ('"a\\u001bb" = 1', "'a\\x1bb': there is no such key; accepted are check"),
        ("check = 1", "check: 1 is not accepted; accepted is a table"),
        ("[check]\nmemory = '1Gi'", "check.memory: there is no such key; accepted are base, runs, fail"),
        (
            "[check]\nfail-on-unknown = true",
            "check.fail-on-unknown: there is no such key; 'fail_on_unknown' is meant?",
        ),
        ("[check]\nfail = 'yes'", "check.fail: 'yes' is not accepted; accepted are true and false"),
        ("[check]\nbase = ''", "check.base: '' is not accepted; accepted is a text that is not empty"),
        ("[check]\nruns = 4", "check.runs: 4 is not accepted; accepted are 5 to 200 runs"),
        ("[check]\nruns = true", "check.runs: true is not accepted"),
        (DEFAULT + "memmory = '1Gi'", "check.default.memmory: there is no such key; 'memory' is meant?"),
        (
            DEFAULT + "disk = '1Gi'",
            "check.default.disk: there is no such key; accepted are memory, cpu_seconds, duration, network",
        ),
        (
            DEFAULT + "memory = '2 Gb'",
            "check.default.memory: '2 Gb' is not a memory quantity; accepted are forms",
        ),
        (DEFAULT + "memory = true", "check.default.memory: true is no limit; accepted are a text as '2 GiB'"),
        (DEFAULT + "memory = 2026-11-21", "check.default.memory: datetime.date(2026, 11, 21) is no limit"),
        (DEFAULT + "memory = []", "check.default.memory has 0 limits; accepted are 1 to 8, or 'none'"),
        (DEFAULT + "memory = ['none']", "'none' is not a memory quantity"),
        (DEFAULT + "memory = -1", "'-1' is below nothing"),
        (DEFAULT + "memory = nan", "'nan' is not a memory quantity"),
        (
            DEFAULT + "duration = 600",
            "check.default.duration: '600' is not a duration; accepted are forms such as",
        ),
        (DEFAULT + "memory = {}", "check.default.memory: nothing is no limit"),
        (
            DEFAULT + "memory = {limit = '+1 %', strikt = true}",
            "memory.strikt: there is no such key; 'strict' is meant?",
        ),
        (
            DEFAULT + "memory = {limit = '+1 %', strict = 1}",
            "memory.strict: 1 is not accepted; accepted are true",
        ),
        (DEFAULT + "memory = {limit = '1Gi', strict = true}", "strict is for limits that are relative"),
        (
            "[check.job]\njob = 'a'",
            "check.job is not a list; accepted is [[check.job]], once for each kind of job",
        ),
        ("[check]\njob = ['a']", "[[check.job]] number 1: 'a' is not accepted; accepted is a table"),
        (
            RULE + "[[check.job]]\nmemory = '1Gi'",
            "[[check.job]] number 2, says no job; accepted are job, workflow",
        ),
        (RULE + "memory = '10 %'", "[[check.job]] number 1, memory: '10 %' has no +"),
        (RULE + "workflo = 'a'", "number 1, workflo: there is no such key; 'workflow' is meant?"),
        (RULE + "matrix = 'arm'", "number 1, matrix: 'arm' is not accepted; accepted is a table"),
        (
            RULE + "matrix = { lto = true }",
            "number 1, matrix.lto: true is no text; accepted are patterns as 'arm*'",
        ),
        (RULE + "fail = 1", "number 1, fail: 1 is not accepted; accepted are true and false"),
        ("[check", "budgets.toml: at its end: this is not TOML"),
    ],
)
def test_every_mistake_in_the_file_is_one_sentence(write, text, sentence):
    """It names the file, the place, and what is accepted there."""
    with pytest.raises(UsageError) as raised:
        write(text)
    assert sentence in str(raised.value)
    assert "budgets.toml" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_is_named():
    """A check without budgets must not pass."""
    with pytest.raises(UsageError, match=r"/nonesuch/\.jobmeter\.toml cannot be read: No such file"):
        read_plan("/nonesuch/.jobmeter.toml")


def test_flags_and_variables(tmp_path):
    """The token comes from a file too; a flag is stronger than a variable."""
    (tmp_path / "token").write_text("from-file\n")
    environ = {"JOBMETER_RECEIVER": "http://a", "JOBMETER_READ_TOKEN_FILE": str(tmp_path / "token")}
    found = check_settings(["--receiver=http://b", "--report-only", "job.jsonl"], environ)
    assert (found.receiver, found.read_token, found.report_only) == ("http://b", "from-file", True)
    assert (found.file, found.budgets, found.annotations) == ("job.jsonl", ".jobmeter.toml", "auto")


@pytest.mark.parametrize(
    "argv, sentence",
    [
        (["a", "b"], "check takes one journal or summary"),
        (["--base="], "--base: '' is no branch"),
        (["--annotations=gitea"], "--annotations: 'gitea' is not accepted; accepted are auto, github, none"),
        (["--read-token=two words"], "--read-token: this is no token"),
    ],
)
def test_flags_that_are_not_accepted(argv, sentence):
    """One sentence each, without what is secret."""
    with pytest.raises(UsageError, match=sentence) as raised:
        check_settings(argv, {})
    assert "two words" not in str(raised.value)
