"""The result of a check as plain text for a terminal or a job's log."""

from collections.abc import Mapping

from jobmeter.model.budgets.judgement import Judgement, Level, State
from jobmeter.report.check_words import columns, headline, sentence, verdict_level
from jobmeter.report.layout import Line, Span, paint, table
from jobmeter.report.notes import job_identity
from jobmeter.report.text import wrap

SIGNS: Mapping[State, str] = {"ok": "✓", "breach": "✗", "noise": "~", "unknown": "?"}
_STYLES: Mapping[Level, str] = {"none": "good", "notice": "bold", "warning": "warn", "error": "bad"}


def render_check(judgement: Judgement, *, width: int = 80, colour: bool = False) -> str:
    """One line for the result, the table, and a sentence for each budget that is not plainly kept.

    At most ``width`` cells wide.
    """
    style = _STYLES[verdict_level(judgement)]
    opening = wrap(headline(judgement), width, first="jobmeter check: ", indent=" " * 16, phrases=True)
    lines: list[Line] = [[(text, style)] for text in opening]
    job = job_identity(judgement.job)
    lines += [[(text, "faint")] for text in wrap(job, width, first="  ", indent="  ")] if job else []
    names: list[Span] = [
        (f"{SIGNS[each.state]} {each.budget.measure.title}", _STYLES[each.level])
        for each in judgement.findings
    ]
    rows = table("budget", names, columns(judgement), width)
    lines += [[], *rows] if rows else []
    told = [each for each in judgement.findings if each.state != "ok"]
    lines += [[]] if told else []
    for each in told:
        text = sentence(each, judgement)
        lines += [[(line, "")] for line in wrap(text, width, first=f"{SIGNS[each.state]} ", indent="  ")]
    return paint(lines, width, colour=colour)
