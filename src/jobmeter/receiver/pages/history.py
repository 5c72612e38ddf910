"""The page of a job: its runs over time, how they spread, what stands out, where levels changed."""

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlencode

from jobmeter.model.history.digest import Change, Digest, PastRun, Spread, StandsOut, Waste
from jobmeter.model.quantities import format_percent
from jobmeter.receiver.api.history_types import JobHistory
from jobmeter.receiver.pages.charts import NARROW, WIDE, Pair, Width, figures
from jobmeter.receiver.pages.drawing import Drawing
from jobmeter.receiver.pages.history_parts import (
    NAME_CELLS,
    Cell,
    Option,
    asked,
    choice,
    day_and_time,
    end_cell,
    form,
    job_address,
    pager,
    small,
    table,
    tile,
    tiles,
)
from jobmeter.receiver.pages.layout import address
from jobmeter.receiver.store.usages import Names
from jobmeter.report.figures import duration, size
from jobmeter.report.history_charts import job_chart
from jobmeter.report.history_words import (
    MEASURE_WORDS,
    change_words,
    outlier_words,
    short_ref,
    short_sha,
)
from jobmeter.report.html_parts import bar, card, section, text
from jobmeter.report.html_parts import table as plain_table
from jobmeter.report.layout import Column
from jobmeter.report.palette import CSS
from jobmeter.report.text import clean, fit, plural

WINDOWS = ("50", "200", "1000")
"""Of so many runs a page may be."""
DEFAULT_WINDOW = "200"
_LISTED, _MOST_LISTED = 20, 200
_MAX_NOTES = 6


def names_of_history(found: JobHistory) -> Names:
    """The job of an answer."""
    return found.organization, found.repository, found.workflow, found.job


def history_charts(found: JobHistory) -> list[Pair]:
    """The chart of a job, for both widths; none of fewer than two runs."""
    wide, narrow = (job_chart(found.runs, found.digest, width=width, palette=CSS) for width in (WIDE, NARROW))
    return [Pair(wide, narrow)] if wide and narrow else []


def history_body(
    found: JobHistory, refs: Sequence[str], legs: Sequence[str], query: Mapping[str, str], drawing: Drawing
) -> str:
    """Everything about the runs of one job."""
    names, digest = names_of_history(found), found.digest
    place = job_address(names)

    def picture(key: str, width: Width) -> str:
        return _asked(f"{place}/charts/{key}", dict(query) | {"width": width})

    title = f'<h1 class="plain">{text(fit(clean(found.job), NAME_CELLS))}</h1>'
    lead = f'<p class="lead">{text(_lead(digest))}</p>'
    links = pager([("What to request", text(job_address(names, "sizing")))])
    body = (
        f"{_tiles(digest)}{_notes(digest, found.runs)}"
        f"{section('Over time', figures(history_charts(found), picture, drawing))}"
        f"{section('How runs spread', card(_spreads(digest.spreads)))}"
        f"{section('Runs', _runs(found, query))}"
        if found.runs
        else _nothing(place, query)
    )
    return f"{title}{lead}{links}{_filter(place, refs, legs, query)}{body}{_branches(names, refs)}"


def _asked(path: str, query: Mapping[str, str]) -> str:
    """An address with what is asked for, to be escaped by who puts it into a page."""
    return f"{path}?{urlencode({name: value for name, value in query.items() if value})}"


def _lead(digest: Digest) -> str:
    if not digest.runs:
        return "No run of it is over yet."
    cut_short = digest.runs - digest.whole_runs
    return plural(digest.runs, "run") + (f", {cut_short:,} of them did not end well" if cut_short else "")


def _filter(place: str, refs: Sequence[str], legs: Sequence[str], query: Mapping[str, str]) -> str:
    branches = [Option("", "all"), *(Option(ref, short_ref(ref)) for ref in refs)]
    fields = [choice("ref", "branch", branches, query.get("ref", ""))]
    if len(legs) > 1 or query.get("leg"):
        options = [Option("", "all"), *(Option(leg, leg) for leg in legs if leg)]
        fields.append(choice("leg", "leg of the matrix", options, query.get("leg", "")))
    windows = [Option(count, f"last {int(count):,}") for count in WINDOWS]
    fields.append(choice("runs", "runs", windows, query.get("runs", DEFAULT_WINDOW)))
    return form(place, *fields)


def _tiles(digest: Digest) -> str:
    spreads = {spread.measure: spread for spread in digest.spreads}
    made = [
        _spread_tile(measure, spreads[measure])
        for measure in ("memory", "cpu_seconds", "duration")
        if measure in spreads
    ]
    made += [_waste_tile("Memory reserved, unused", digest.memory, "memory", 2**30, "GiB")]
    made += [_waste_tile("CPU reserved, unused", digest.cpu, "cpu", 1.0, "core")]
    return tiles(made)


def _spread_tile(measure: str, spread: Spread) -> str:
    words, values = MEASURE_WORDS[measure], spread.values
    if values.peak is None:
        return ""
    middle = values.peak if values.p50 is None else values.p50
    title = words.title[:1].upper() + words.title[1:]
    sub = "" if values.p95 is None else f"median · 95 % of runs up to {words.form(values.p95)}"
    return tile(title, words.form(middle), sub or "of one run")


def _waste_tile(title: str, waste: Waste, colour: str, unit: float, name: str) -> str:
    share = waste.share
    if share is None or waste.reserved is None or waste.used is None:
        return ""
    unused = max(0.0, waste.reserved - waste.used) / unit / 3600
    sub = f"{_amount(unused)} {name}-hours in {plural(waste.runs, 'run')}"
    return tile(title, format_percent(max(0.0, share)), sub, meter=bar(share, colour))


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _notes(digest: Digest, runs: Sequence[PastRun]) -> str:
    """What changed and what stands out, newest first, each with its run."""
    by_uid = {run.run_uid: run for run in runs}
    lines = [*map(_change_note, digest.changes[:_MAX_NOTES])]
    lines += [_outlier_note(one, by_uid[one.run_uid]) for one in digest.stand_out[:_MAX_NOTES]]
    hidden = max(0, len(digest.changes) - _MAX_NOTES) + max(0, len(digest.stand_out) - _MAX_NOTES)
    if hidden:
        lines.append(f"… and {hidden:,} more; the API has them all.")
    items = "".join(f"<li>{line}</li>" for line in lines)
    return section("What changed, and what stands out", f'<ul class="notes">{items}</ul>') if items else ""


def _change_note(change: Change) -> str:
    commit = f"commit {short_sha(change.sha)}, " if change.sha else ""
    when = (
        f'<a href="{text(address("runs", change.run_uid))}">{text(commit)}{day_and_time(change.began_at)}</a>'
    )
    said = change_words(change)
    return f"{text(said[:1].upper() + said[1:])} from {when} on."


def _outlier_note(outlier: StandsOut, run: PastRun) -> str:
    link = f'<a href="{text(address("runs", run.run_uid))}">{day_and_time(run.began_at)}</a>'
    return f"Outlier {link}: {text(outlier_words(outlier))}."


def _spreads(spreads: Sequence[Spread]) -> str:
    known = {spread.measure: spread for spread in spreads}
    shown = [(MEASURE_WORDS[key], known[key]) for key in MEASURE_WORDS if key in known]

    def column(name: str) -> list[str]:
        values = [(words, getattr(spread.values, name)) for words, spread in shown]
        return ["" if value is None else words.form(value) for words, value in values]

    columns = [
        Column(title, column(name))
        for title, name in (
            ("median", "p50"),
            ("p75", "p75"),
            ("p95", "p95"),
            ("p99", "p99"),
            ("highest", "peak"),
        )
    ]
    bounds = [f"{spread.lower_bounds:,}" if spread.lower_bounds else "" for _, spread in shown]
    columns += [
        Column("runs", [f"{spread.runs:,}" for _, spread in shown]),
        Column("of them lower bounds", bounds),
    ]
    return plain_table(
        "Of runs that went to their end", [words.title for words, _ in shown], columns, first="measure"
    )


def _runs(found: JobHistory, query: Mapping[str, str]) -> str:
    """The newest as a table in which two can be chosen to be compared, the rest folded away."""
    rows = [_run_row(run) for run in found.runs[:_MOST_LISTED]]
    shown = table(rows[:_LISTED], "began, UTC")
    if len(rows) > _LISTED:
        more = table(rows[_LISTED:], "began, UTC")
        shown += f"<details><summary>{plural(len(rows) - _LISTED, 'run')} more</summary>{more}</details>"
    if len(found.runs) > _MOST_LISTED:
        shown += (
            f'<p class="hinted">The oldest {len(found.runs) - _MOST_LISTED:,} are in the chart alone.</p>'
        )
    place = job_address(names_of_history(found))
    kept = {name: value for name, value in query.items() if name != "cursor"}
    links = [("Newest", asked(place, kept))] if "cursor" in query else []
    if found.next_cursor:
        links.append(("Older", asked(place, kept | {"cursor": found.next_cursor})))
    button = '<p><button class="plain">Compare the two that are chosen</button></p>'
    return f'<form action="/compare">{shown}{button}</form>{pager(links)}'


def _run_row(run: PastRun) -> tuple[str, Sequence[Cell]]:
    link = f'<a href="{text(address("runs", run.run_uid))}">{day_and_time(run.began_at)}</a>'
    about = " · ".join(_about(run))
    return f"{link}{small(about)}", (
        Cell("end", end_cell(run), left=True),
        Cell("memory", text(size(run.memory_bytes)) + _reserved(run)),
        Cell("CPU time", text(duration(run.cpu_seconds))),
        Cell("took", text(duration(run.duration_seconds))),
        Cell("before", _radio("before", run)),
        Cell("after", _radio("after", run)),
    )


def _about(run: PastRun) -> Iterator[str]:
    if run.ref:
        yield short_ref(run.ref)
    if run.sha:
        yield short_sha(run.sha)
    if run.leg:
        yield run.leg
    if run.run_id:
        yield f"run {run.run_id}"


def _reserved(run: PastRun) -> str:
    amount = run.reserved_memory_bytes.amount
    return small(f"of {size(amount)}") if amount is not None else ""


def _radio(side: str, run: PastRun) -> str:
    label = f"{side}: the run of {day_and_time(run.began_at)}"
    return (
        f'<input type="radio" name="{side}" value="{text(run.run_uid)}" aria-label="{text(label)}" required>'
    )


def _branches(names: Names, refs: Sequence[str]) -> str:
    """A form that compares two branches, where there are two."""
    if len(refs) < 2:
        return ""
    options = [Option(ref, short_ref(ref)) for ref in refs]
    base = next((ref for ref in refs if ref in ("refs/heads/main", "refs/heads/master")), refs[1])
    other = next(ref for ref in refs if ref != base)
    fields = (choice("before", "before", options, base), choice("after", "after", options, other))
    return section("Two branches", form(job_address(names, "compare"), *fields, button="Compare"))


def _nothing(place: str, query: Mapping[str, str]) -> str:
    if query:
        return f'<p class="card">No run is like that. <a href="{text(place)}">All runs of the job</a></p>'
    return '<p class="card">No run of this job is over yet.</p>'
