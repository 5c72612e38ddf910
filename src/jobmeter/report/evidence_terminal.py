"""Evidence as plain text for a terminal or a job's log."""

from jobmeter.model.evidence.document import Evidence
from jobmeter.report.evidence import circumstances, numbers, outcome, remarks, subject, tone, without_data
from jobmeter.report.evidence_figures import Answer
from jobmeter.report.layout import Line, Span, paint, table
from jobmeter.report.text import wrap


def render_evidence_terminal(document: Evidence, *, width: int = 80, colour: bool = False) -> str:
    """What was seen in one table, and a sentence for each thing that could not be had; at most ``width`` cells wide."""
    opening = wrap(f"jobmeter: {outcome(document)}", width, indent="  ")
    lines: list[Line] = [[(text, tone(document))] for text in opening]
    lines += [[(text, "faint")] for text in wrap(subject(document), width, first="  ", indent="  ")]
    answers = [Answer(query) for query in document.queries if query.point_count]
    names: list[Span] = [(answer.name, "") for answer in answers]
    rows = table("query", names, numbers(answers, brief=True), width)
    lines += [[], *rows] if rows else []
    said = [(each.text, "warn" if each.is_warning else "") for each in remarks(document)]
    said += [
        (f"{name}: {state}. {why}", "warn" if state == "failed" else "")
        for name, state, why in without_data(document)
    ]
    lines += [[]] if said else []
    for text, style in said:
        lines += [[(line, style)] for line in wrap(text, width, first="- ", indent="  ")]
    lines += [[], *([(text, "faint")] for text in wrap(circumstances(document), width, indent=""))]
    return paint(lines, width, colour=colour)
