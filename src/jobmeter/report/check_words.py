"""What every form of a check's result says: a headline, a sentence a budget, and the cells of the table."""

from collections.abc import Mapping, Sequence

from jobmeter.model.budgets.judgement import Finding, Judgement, Level, State
from jobmeter.model.history.usual import Usual
from jobmeter.model.quantities import format_change
from jobmeter.report.figures import LOWER_BOUND
from jobmeter.report.history_words import runs_of_usual
from jobmeter.report.layout import Column
from jobmeter.report.text import clean, plural

STATE_WORDS: Mapping[State, str] = {
    "ok": "within budget",
    "breach": "over budget",
    "noise": "over budget by noise",
    "unknown": "not known",
}


def headline(judgement: Judgement) -> str:
    """The result in one line: ``over budget: peak memory need``; what is not known is never left out."""
    findings = judgement.findings
    if not findings:
        return "no budget is about this job"
    kept, breaches, unknown, noise = (
        judgement.count(state) for state in ("ok", "breach", "unknown", "noise")
    )
    parts = [_over(findings) if breaches else ""]
    if not breaches:
        parts.append(f"within {plural(kept, 'budget')}" if kept else "")
        parts.append(f"{plural(noise, 'budget')} over by noise alone" if noise else "")
    parts.append(f"{plural(unknown, 'budget')} not known" if unknown else "")
    if breaches and not any(finding.level == "error" for finding in findings if finding.state == "breach"):
        parts.append("reported only")
    return "; ".join(part for part in parts if part)


def _over(findings: Sequence[Finding]) -> str:
    titles = dict.fromkeys(each.budget.measure.title for each in findings if each.state == "breach")
    return f"over budget: {', '.join(titles)}"


def verdict_level(judgement: Judgement) -> Level:
    """The loudest level of its findings; a notice without any."""
    if not judgement.findings:
        return "notice"
    levels: tuple[Level, ...] = ("error", "warning", "notice")
    found = {finding.level for finding in judgement.findings}
    return next((level for level in levels if level in found), "none")


def sentence(finding: Finding, judgement: Judgement) -> str:
    """What became of one budget, as text that may be shown anywhere."""
    title, used = finding.budget.measure.title, used_cell(finding)
    what = finding.reading.what
    of = f" ({what})" if what and what != title else ""
    match finding.state:
        case "unknown" if finding.reading.value is None:
            text = f"{title} is not known: {finding.why}"
        case "unknown" if finding.allowed is None:
            text = f"{title} of {used}{of} cannot be compared: {finding.why}"
        case "unknown":
            limit = limit_cell(finding)
            text = f"{title} is {used}{of}, which does not prove that the limit of {limit} is kept: {finding.why}"
        case "ok":
            text = f"{title} of {used}{of} is within {limit_cell(finding)}{_beside(finding, judgement)}"
        case _:
            text = f"{title} of {used}{of} is over {limit_cell(finding)}{_excess(finding, judgement)}"
    return clean(text)


def _excess(finding: Finding, judgement: Judgement) -> str:
    value, allowed, form = finding.reading.value, finding.allowed, finding.budget.measure.form
    least = "at least " if finding.reading.is_lower_bound else ""
    by = f" by {least}{form(value - allowed)}" if value is not None and allowed is not None else ""
    if finding.usual is None:
        return by
    runs = _runs(finding, finding.usual, judgement)
    if finding.state == "noise":
        return f"{by}, but within the spread of {runs}"
    if finding.is_usual:
        return f"{by}; that is within the spread of {runs}, but the limit is strict"
    return f"{by}, and {spread_cell(finding)} the spread of {runs}"


def _beside(finding: Finding, judgement: Judgement) -> str:
    """How it compares with the base."""
    if finding.usual is None:
        return ""
    change = f", {change_cell(finding)} against the median" if change_cell(finding) else ""
    return f"{change}, {spread_cell(finding)} the spread of {_runs(finding, finding.usual, judgement)}"


def _runs(finding: Finding, usual: Usual, judgement: Judgement) -> str:
    """``main's 20 runs (91.0 s to 106 s)``, or those since its last change."""
    form = finding.budget.measure.form
    runs = runs_of_usual(usual, form)
    return f"{branch(judgement)}'s {runs} ({form(usual.low)} to {form(usual.high)})"


def branch(judgement: Judgement) -> str:
    """The base branch without what is in front of its name."""
    return judgement.base.name


def used_cell(finding: Finding) -> str:
    """``≥ 89.0 s``; nothing where it is not known."""
    reading = finding.reading
    if reading.value is None:
        return ""
    return (LOWER_BOUND if reading.is_lower_bound else "") + finding.budget.measure.form(reading.value)


def limit_cell(finding: Finding) -> str:
    """``2 GiB``, or ``105 s (+10 %)``."""
    budget, allowed = finding.budget, finding.allowed
    if allowed is None:
        return budget.text
    form = budget.measure.form(allowed)
    return f"{form} ({budget.text})" if budget.is_relative else form


def change_cell(finding: Finding) -> str:
    """``+2.8 %`` to the base's median; nothing where there is nothing to compare with."""
    value, usual = finding.reading.value, finding.usual
    return "" if value is None or usual is None else format_change(usual.median, value)


def spread_cell(finding: Finding) -> str:
    """``within``, ``above`` or ``below``; nothing where there is no spread."""
    value, usual = finding.reading.value, finding.usual
    if value is None or usual is None:
        return ""
    return "above" if value > usual.high else "below" if value < usual.low else "within"


def columns(judgement: Judgement) -> list[Column]:
    """The table's columns behind the names of the measures."""
    findings = judgement.findings
    medians = [
        finding.budget.measure.form(finding.usual.median) if finding.usual else "" for finding in findings
    ]
    return [
        Column("used", [used_cell(finding) for finding in findings]),
        Column("limit", [limit_cell(finding) for finding in findings]),
        Column("base", medians, rank=1),
        Column("change", [change_cell(finding) for finding in findings], rank=2),
        Column("spread", [spread_cell(finding) for finding in findings], rank=3),
    ]
