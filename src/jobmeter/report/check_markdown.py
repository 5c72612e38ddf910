"""The result of a check as a Markdown table, for a job's summary page or a comment."""

from collections.abc import Mapping

from jobmeter.model.budgets.judgement import Finding, Judgement, Level
from jobmeter.report.check_words import branch, columns, headline, sentence, verdict_level
from jobmeter.report.layout import Column
from jobmeter.report.markdown import escape_markdown
from jobmeter.report.notes import job_identity
from jobmeter.report.text import fit, plural

_MAX_CELL = 80
_MAX_SENTENCE = 600
_SIGNS: Mapping[Level, str] = {"none": "✅", "notice": "❔", "warning": "⚠️", "error": "❌"}
_SPREAD = (
    "The spread holds the middle 90 % of these runs, and what is within three median absolute deviations of "
    "their median; where their level changed, only the runs since count."
)


def check_markdown(judgement: Judgement) -> str:
    """A heading of level three, the table, and a line for each budget that is not plainly kept."""
    job = job_identity(judgement.job)
    heading = "### jobmeter check" + (f": {escape_markdown(fit(job, 2 * _MAX_CELL))}" if job else "")
    blocks = [heading, f"{_SIGNS[verdict_level(judgement)]} **{escape_markdown(headline(judgement))}**"]
    blocks += [_table(judgement), _sentences(judgement), _footer(judgement)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _table(judgement: Judgement) -> str:
    shown = [_renamed(column, judgement) for column in columns(judgement) if any(column.cells)]
    if not judgement.findings:
        return ""
    lines = [
        "| | budget | " + " | ".join(column.title for column in shown) + " |",
        "|:-:|:--|" + "--:|" * len(shown),
    ]
    for row, finding in enumerate(judgement.findings):
        cells = " | ".join(escape_markdown(fit(column.cell(row), _MAX_CELL)) for column in shown)
        lines.append(f"| {_sign(finding)} | {finding.budget.measure.title} | {cells} |")
    return "\n".join(lines)


def _renamed(column: Column, judgement: Judgement) -> Column:
    if column.title != "base":
        return column
    title = f"median of {escape_markdown(fit(branch(judgement), _MAX_CELL))}"
    return Column(title, column.cells)


def _sign(finding: Finding) -> str:
    return "🔹" if finding.state == "noise" else _SIGNS[finding.level]


def _sentences(judgement: Judgement) -> str:
    told = [each for each in judgement.findings if each.state != "ok"]
    return "\n".join(
        f"- {_sign(each)} {escape_markdown(fit(sentence(each, judgement), _MAX_SENTENCE))}" for each in told
    )


def _footer(judgement: Judgement) -> str:
    if not any(finding.usual for finding in judgement.findings):
        return ""
    name = escape_markdown(fit(branch(judgement), _MAX_CELL))
    runs = plural(judgement.base.runs, "run")
    return f"<sub>Compared with the last {runs} of {name}. {_SPREAD}</sub>"
