"""Evidence in words, and as Markdown for a job's summary page: what was seen, and what could not be had."""

from collections.abc import Sequence
from itertools import chain

from jobmeter.model.evidence.document import Evidence, QueryAnswer, seconds_of
from jobmeter.model.summarize import rfc3339_of
from jobmeter.report.evidence_figures import MAX_SERIES, Answer
from jobmeter.report.figures import moment, roughly
from jobmeter.report.layout import Column
from jobmeter.report.markdown import MAX_MARKDOWN_BYTES, bounded, escape_markdown, folded, table
from jobmeter.report.notes import Remark, job_identity
from jobmeter.report.text import clean, fit

_MAX_TEXT = 300
_MAX_PROBLEMS = 20
_SIGNS = {"good": "✅", "bad": "❌", "warn": "⚠️"}
_WITHOUT = {"empty": "no series", "failed": "failed", "partial": "a part is missing", "data": "no numbers"}


def outcome(document: Evidence) -> str:
    """How much was had, in a few words: ``12 of 15 queries have data``."""
    count, all_of_them = len(_with_data(document)), len(document.queries)
    if not all_of_them:
        return "nothing was asked"
    if count == all_of_them:
        return f"all {count} queries have data" if count > 1 else "the query has data"
    return f"{count} of {all_of_them} queries {'has' if count == 1 else 'have'} data"


def tone(document: Evidence) -> str:
    """good, warn or bad: all was had, some, or nothing; a class of the style sheet."""
    states = {query.state for query in document.queries}
    if not _with_data(document):
        return "bad"
    is_whole = states == {"data"} or not (document.problems or states & {"failed", "partial"})
    return "good" if is_whole else "warn"


def subject(document: Evidence) -> str:
    """Of which job it is, as far as it is known."""
    told = job_identity(document.job)
    return told or clean(
        f"task {document.task}" if document.task else f"run {document.run_uid or 'not known'}"
    )


def circumstances(document: Evidence) -> str:
    """Who was asked, when, about what and how finely; how far back a point looks."""
    about = f" about {{{fit(document.selector, _MAX_TEXT)}}}" if document.selector else ""
    window = max((query.window_seconds for query in document.queries), default=0.0)
    back = f" A point of a rate is of the time before it, up to {roughly(window)}." if window > 0 else ""
    return clean(
        f"{fit(document.source.address, _MAX_TEXT)} was asked at {_moment(document.asked_time)}{about}"
        f" from {_moment(document.start_time)} to {_moment(document.end_time)},"
        f" a point every {roughly(document.step_seconds)}.{back}"
    )


def _moment(time: str) -> str:
    """In UTC, whatever zone it is told in."""
    return moment(rfc3339_of(seconds_of(time)))


def remarks(document: Evidence) -> list[Remark]:
    """What a reader has to know, one sentence each."""
    found = [
        Remark(clean(fit(each, _MAX_TEXT)), is_warning=True) for each in document.problems[:_MAX_PROBLEMS]
    ]
    if document.tail_open:
        length = seconds_of(document.end_time) - seconds_of(document.start_time)
        late = min(document.tail_seconds, length)
        which = f"the last {roughly(late)}" if 0 < late < length else "all" if late else "the end"
        found.append(
            Remark(
                f"It was asked before the last scrape had come: of {which} of the job points may be missing."
            )
        )
    elif _has_tail(document):
        found.append(
            Remark(
                f"Numbers are of the job's time and of the {roughly(document.tail_seconds)} after it, in which its "
                "last moments were scraped; charts end with the job."
            )
        )
    return found


def _has_tail(document: Evidence) -> bool:
    end = seconds_of(document.end_time)
    courses = (series.points for query in document.queries for series in query.series)
    return any(points[-1][0] > end for points in courses if points)


def without_data(document: Evidence) -> list[tuple[str, str, str]]:
    """Of each query of which not all was had its name, what is the matter, and the reason or its expression."""
    found = []
    for query in document.queries:
        answer = Answer(query)
        if query.state != "data" or not any(value is not None for value in chain(*answer.numbers)):
            said = query.reason or " ".join(query.warnings) or query.expression
            found.append((answer.name, _WITHOUT[query.state], clean(fit(said, _MAX_TEXT))))
    return found


def numbers(answers: Sequence[Answer], *, brief: bool = False) -> list[Column]:
    """The columns of a table with a row a query, over all of its series; ``brief`` leaves room for their names."""
    told = Answer.brief if brief else Answer.amount
    values = [[value for of in answer.numbers for value in of if value is not None] for answer in answers]
    pairs = list(zip(answers, values, strict=True))
    means = [sum(value / len(of) for value in of) if of else None for of in values]
    series = [f"{len(answer.query.series) + answer.query.series_left_out:,}" for answer in answers]
    points = [f"{answer.query.point_count + answer.query.points_left_out:,}" for answer in answers]
    return [
        Column("series", series),
        *([] if brief else [Column("points", points)]),
        Column("lowest", [told(answer, min(of, default=None)) for answer, of in pairs]),
        Column("mean", [told(answer, mean) for answer, mean in zip(answers, means, strict=True)]),
        Column("highest", [told(answer, max(of, default=None)) for answer, of in pairs]),
    ]


def render_evidence_markdown(document: Evidence) -> str:
    """The evidence for a job's summary page, of at most MAX_MARKDOWN_BYTES: what was seen, what could not be had."""
    answers = [Answer(query) for query in _with_data(document)]
    names = [escape_markdown(answer.name) for answer in answers]
    several = [answer for answer in answers if len(answer.query.series) > 1]
    blocks = [
        f"### jobmeter: what Prometheus saw of {escape_markdown(subject(document))}",
        f"{_SIGNS[tone(document)]} **{escape_markdown(outcome(document)[:1].upper() + outcome(document)[1:])}**",
        "\n".join(f"- {escape_markdown(each.text)}" for each in remarks(document)),
        table("query", names, numbers(answers)),
        _missing(document),
        folded("Each series", "\n\n".join(_series(answer) for answer in several)),
        folded("Queries as they were sent", _expressions(document)),
        f"<sub>{escape_markdown(circumstances(document))}</sub>",
    ]
    return bounded("\n\n".join(block for block in blocks if block) + "\n", MAX_MARKDOWN_BYTES)


def _with_data(document: Evidence) -> list[QueryAnswer]:
    return [query for query in document.queries if query.point_count]


def _missing(document: Evidence) -> str:
    return "\n".join(
        f"- **{escape_markdown(name)}**: {state}. {escape_markdown(why)}"
        for name, state, why in without_data(document)
    )


def _series(answer: Answer) -> str:
    """The series of one query that rise highest."""
    rows = [(answer.series_names[place], answer.numbers[place]) for place in answer.chosen]
    known = [[value for value in of if value is not None] for _, of in rows]
    columns = [
        Column("lowest", [answer.amount(min(of, default=None)) for of in known]),
        Column("highest", [answer.amount(max(of, default=None)) for of in known]),
        Column("last", [answer.amount(of[-1] if of else None) for of in known]),
    ]
    told = table(
        escape_markdown(answer.name), [escape_markdown(name) or "no labels" for name, _ in rows], columns
    )
    more = len(answer.query.series) - MAX_SERIES
    return told + (f"\n\n… and {more:,} more series." if more > 0 else "")


def _expressions(document: Evidence) -> str:
    return "\n".join(
        f"- {escape_markdown(Answer(query).name)}: {escape_markdown(fit(query.expression, _MAX_TEXT))}"
        for query in document.queries
    )
