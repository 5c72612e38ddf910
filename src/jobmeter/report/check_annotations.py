"""The result of a check beside the code: GitHub's log commands, and GitLab's Code Quality report."""

from collections.abc import Mapping
from hashlib import sha256

import msgspec

from jobmeter.model.budgets.judgement import Finding, Judgement, Level
from jobmeter.report.check_words import STATE_WORDS, sentence
from jobmeter.report.text import clean, fit

_MAX_SENTENCE = 600
# The words that GitLab accepts: info, minor, major, critical, blocker.
_SEVERITIES: Mapping[Level, str] = {"notice": "info", "warning": "minor", "error": "major"}


def github_annotations(judgement: Judgement, path: str) -> str:
    """A line for each budget that is not plainly kept, about the file of budgets at ``path`` in the repository.

    GitHub shows ten of a kind and step; Gitea and Forgejo take the lines for text.
    """
    lines = []
    for finding in judgement.findings:
        if finding.level == "none":
            continue
        job = judgement.job.job
        title = f"{STATE_WORDS[finding.state]}: {finding.budget.measure.title}" + (
            f" of {job}" if job else ""
        )
        place = f"file={_property(path)},title={_property(f'jobmeter, {title}')}"
        lines.append(f"::{finding.level} {place}::{_data(sentence(finding, judgement))}")
    return "".join(f"{line}\n" for line in lines)


def code_quality(judgement: Judgement, path: str) -> bytes:
    """GitLab's Code Quality report: a JSON list with an entry for each budget that is not plainly kept."""
    return msgspec.json.format(
        msgspec.json.encode(
            [_entry(finding, judgement, path) for finding in judgement.findings if finding.level != "none"]
        ),
        indent=2,
    )


def _entry(finding: Finding, judgement: Judgement, path: str) -> dict[str, object]:
    return {
        "description": fit(sentence(finding, judgement), _MAX_SENTENCE),
        "check_name": f"jobmeter-{finding.budget.measure.key}",
        "fingerprint": _fingerprint(finding, judgement),
        "severity": _SEVERITIES[finding.level],
        "location": {"path": clean(path), "lines": {"begin": 1}},
    }


def _fingerprint(finding: Finding, judgement: Judgement) -> str:
    """The same for the same budget of the same job, so that GitLab knows an entry again in the next pipeline."""
    job, budget = judgement.job, finding.budget
    leg = sorted((job.matrix or {}).items())
    named = (job.repository, job.workflow, job.job, leg, budget.measure.key, budget.text)
    return sha256(repr(named).encode()).hexdigest()


def _data(text: str) -> str:
    """A value of a log command: https://docs.github.com/actions/reference/workflow-commands-for-github-actions."""
    return clean(fit(text, _MAX_SENTENCE)).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
